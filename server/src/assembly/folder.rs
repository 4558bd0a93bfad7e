//! The data folder: made, kept from others, and for one server at a time.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::{config::Config, setup::SetupError};

/// Locked by the server that has the embedded store.
const LOCK: &str = "server.lock";

/// Makes the data folder, readable to nobody else.
///
/// # Errors
/// When it cannot be made.
pub fn make_data_folder(config: &Config) -> Result<(), SetupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir).map_err(|error| {
        SetupError::new(
            format!("the data folder {} cannot be made: {error}", config.data_dir.display()),
            "name another with --data-dir",
        )
    })
}

/// The folder for one server, as long as the file lives: sessions and limits of an embedded server are its own, so that two of them on
/// one folder would not know each other's.
///
/// # Errors
/// When another has it.
pub fn lock(data_dir: &Path) -> Result<File, SetupError> {
    let path = data_dir.join(LOCK);
    let failed = |error: String| {
        SetupError::new(
            format!("the data folder {} cannot be used: {error}", data_dir.display()),
            "stop the other server, name another folder with --data-dir, or give both the external stores",
        )
    };
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = file.map_err(|error| failed(error.to_string()))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => failed("another server has it".to_owned()),
        TryLockError::Error(error) => failed(error.to_string()),
    })?;
    Ok(file)
}
