//! Secrets that are generated at the first start and stored in the data folder with mode 600.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use banter_stores::secret::Secret;

use crate::setup::SetupError;

/// The key that signs tokens.
pub const SECRET: &str = "secret";
/// The administrator key, generated in `dev`: any process that can read it can change the bot.
pub const ADMIN_KEY: &str = "admin.key";

/// Reads the secret of this name; generates it if there is none.
///
/// # Errors
/// When the file can be neither read nor created, is too short, or is accessible to other users.
pub fn read_or_make(data_dir: &Path, name: &str) -> Result<Secret, SetupError> {
    let path = data_dir.join(name);
    let failed = |error: std::io::Error| {
        SetupError::new(
            format!("cannot use the secret {}: {error}", path.display()),
            "check the owner and permissions of the data folder",
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
                    format!("the secret {} is accessible to other users", path.display()),
                    format!("run `chmod 600 {}`, or delete the file to generate a new secret", path.display()),
                ));
            }
            let text = fs::read_to_string(&path).map_err(failed)?;
            if text.len() < 32 {
                return Err(SetupError::new(
                    format!("the secret {} is too short", path.display()),
                    "delete the file to generate a new secret",
                ));
            }
            Ok(Secret::new(text))
        }
        Err(error) => Err(failed(error)),
    }
}
