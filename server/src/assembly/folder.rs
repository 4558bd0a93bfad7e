//! The data folder: creates it, keeps it private, and locks it for one server at a time.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::{config::Config, setup::SetupError};

/// The file that the server locks while it uses the embedded store.
const LOCK: &str = "server.lock";

/// Creates the data folder, readable only by its owner.
///
/// # Errors
/// The folder cannot be created.
pub fn make_data_folder(config: &Config) -> Result<(), SetupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir).map_err(|error| {
        SetupError::new(
            format!("cannot create the data folder {}: {error}", config.data_dir.display()),
            "choose another with --data-dir",
        )
    })
}

/// Locks the folder for one server while the returned file is open. An embedded server keeps sessions and limits in
/// memory, so two servers on one folder would not know each other's.
///
/// # Errors
/// Another server holds the lock.
pub fn lock(data_dir: &Path) -> Result<File, SetupError> {
    let path = data_dir.join(LOCK);
    let failed = |error: &str, hint| {
        SetupError::new(format!("cannot use the data folder {}: {error}", data_dir.display()), hint)
    };
    let unusable =
        |error: std::io::Error| failed(&error.to_string(), "check its owner, or choose another folder with --data-dir");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(unusable)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => failed(
            "another server is using it",
            "stop the other server, choose another folder with --data-dir, or use external stores for both",
        ),
        TryLockError::Error(error) => unusable(error),
    })?;
    Ok(file)
}
