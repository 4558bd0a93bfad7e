//! Secrets that are made at the first run and kept in the data folder with mode 600.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use banter_stores::secret::Secret;

use crate::setup::SetupError;

/// Signs tokens.
pub const SECRET: &str = "secret";
/// Lets whoever can read it change the bot; made in `dev`.
pub const ADMIN_KEY: &str = "admin.key";

/// The kept secret of this name, made when there is none.
///
/// # Errors
/// When the file can be neither read nor made, or others could have read it.
pub fn read_or_make(data_dir: &Path, name: &str) -> Result<Secret, SetupError> {
    let path = data_dir.join(name);
    let failed = |error: std::io::Error| {
        SetupError::new(
            format!("the secret {} cannot be used: {error}", path.display()),
            "check who owns the data folder",
        )
    };
    let made: String = (0..8).map(|_| format!("{:08x}", rand::random::<u32>())).collect();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            file.write_all(made.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(Secret::new(made))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mode = fs::metadata(&path).map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(SetupError::new(
                    format!("the secret {} can be read by others", path.display()),
                    format!("chmod 600 {}, or delete it to have a new one made", path.display()),
                ));
            }
            let text = fs::read_to_string(&path).map_err(failed)?;
            if text.len() < 32 {
                return Err(SetupError::new(
                    format!("the secret {} is too short", path.display()),
                    "delete it to have a new one made",
                ));
            }
            Ok(Secret::new(text))
        }
        Err(error) => Err(failed(error)),
    }
}
