//! Files that are made anew and must be whole or absent.

use std::{
    fs::{self, File},
    io::{self, Write},
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
    let result =
        write_synced(&draft, bytes).and_then(|()| keep_rights(path, &draft)).and_then(|()| fs::rename(&draft, path));
    if result.is_err() {
        // The error that counts is the first one.
        let _ = fs::remove_file(&draft);
    }
    result
}

/// Whoever may read and write a file may do so when it is written anew.
fn keep_rights(path: &Path, draft: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(old) => fs::set_permissions(draft, old.permissions()),
        // There is none yet.
        Err(_) => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
