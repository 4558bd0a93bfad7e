//! Keys for servers come from the environment or from a file: every user of a machine sees the words of a command. They
//! leave the machine encrypted or not at all.

use std::{fs, io, net::IpAddr, path::Path};

use banter_stores::secret::Secret;
use ureq::http::Uri;

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

/// Whether a server is on this machine.
pub fn is_here(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses to send the key of this name over plain HTTP to another machine.
///
/// # Errors
/// The server is on another machine, and its address is not `https://`.
pub fn refuse_in_clear(name: &str, server: &Uri) -> Result<(), Failure> {
    if server.scheme_str() == Some("https") || is_here(server) {
        return Ok(());
    }
    Err(Failure::usage(
        format!("the {name} key is not sent to {} in clear", server.to_string().trim_end_matches('/')),
        "use its https:// address, or run the command on the server's own machine",
    ))
}
