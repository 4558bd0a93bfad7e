//! Keys for servers come from the environment or from a file: every user of a machine sees the words of a command.

use std::{fs, io, path::Path};

use banter_stores::secret::Secret;

use crate::failure::Failure;

/// The key in a file, or on standard input for `-`, without spaces and line ends around it.
///
/// # Errors
/// The file cannot be read, or is empty.
pub fn read(path: &Path) -> Result<Secret, Failure> {
    let read = if path == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(path) };
    let hint = "write the key into a file that only you can read, or pass `-` and pipe it";
    let text =
        read.map_err(|error| Failure::usage(format!("cannot read the key {}: {error}", path.display()), hint))?;
    match text.trim() {
        "" => Err(Failure::usage(format!("the key file {} is empty", path.display()), hint)),
        key => Ok(Secret::new(key.to_owned())),
    }
}
