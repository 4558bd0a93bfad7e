//! Files that are made anew and must be whole or absent.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// Writes a file beside `path` and renames it into place: a reader sees the old bytes or the new ones, never half of either.
///
/// # Errors
/// Those of the file system; the old file stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let draft = path.with_extension(format!("{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let result = write_synced(&draft, bytes, path).and_then(|()| fs::rename(&draft, path));
    if result.is_err() {
        // The error that counts is the first one.
        let _ = fs::remove_file(&draft);
    }
    result
}

/// Whoever may read and write the old file may do so with the new one, and nobody else meanwhile.
fn write_synced(draft: &Path, bytes: &[u8], old: &Path) -> io::Result<()> {
    let rights = fs::metadata(old).ok().map(|old| old.permissions());
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if let Some(rights) = &rights {
        options.mode(rights.mode());
    }
    let mut file = options.open(draft)?;
    // The process's mask may have taken some.
    rights.map_or(Ok(()), |rights| file.set_permissions(rights))?;
    file.write_all(bytes)?;
    file.sync_all()
}
