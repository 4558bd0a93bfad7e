//! A disk cache of version contents, so that a reload fetches only new files. Each entry is verified when it is read.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
};

use banter_engine::{catalogue::manifest::hash_of, write_atomically};

/// A folder with one file per content, named by its hash.
#[derive(Clone, Debug)]
pub struct Contents(PathBuf);

impl Contents {
    /// A cache in `folder`, which is created when first needed.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// A content, if it is there and whole. A damaged one counts as absent: it is fetched or made again.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn get(&self, hash: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(hash)) {
            Ok(bytes) => Ok((hash_of(&bytes) == hash).then_some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a content exists; it may be damaged.
    pub fn has(&self, hash: &str) -> bool {
        self.0.join(hash).is_file()
    }

    /// Stores a content.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn put(&self, hash: &str, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        write_atomically(&self.0.join(hash), bytes)
    }

    /// Deletes all contents except these.
    pub fn keep(&self, hashes: &BTreeSet<String>) {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(folder = %self.0.display(), %error, "old contents cannot be listed and stay");
                return;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            if !entry.file_name().to_str().is_some_and(|name| hashes.contains(name)) {
                // A file that cannot be deleted only costs space.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
