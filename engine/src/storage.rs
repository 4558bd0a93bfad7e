//! Atomic file writes.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// Writes a temporary file next to `path` and renames it into place, so that a reader sees either the old or the new
/// bytes.
///
/// # Errors
/// Those of the file system; the old file then stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let draft = path.with_extension(format!("{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let result = write_synced(&draft, bytes, path).and_then(|()| fs::rename(&draft, path));
    if result.is_err() {
        // Return the first error, not one of the cleanup.
        let _ = fs::remove_file(&draft);
    }
    result
}

/// Gives the new file the permissions of the old one, from the moment it exists.
fn write_synced(draft: &Path, bytes: &[u8], old: &Path) -> io::Result<()> {
    let rights = match fs::metadata(old) {
        Ok(old) => Some(old.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // Default permissions could reveal what the old ones protected.
        Err(error) => return Err(error),
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if let Some(rights) = &rights {
        options.mode(rights.mode());
    }
    let mut file = options.open(draft)?;
    // The umask may have removed some bits.
    rights.map_or(Ok(()), |rights| file.set_permissions(rights))?;
    file.write_all(bytes)?;
    file.sync_all()
}
