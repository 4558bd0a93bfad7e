//! Contents of versions on this server's disk, so that a reload fetches only what is new. A cache: each is checked when it is read.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
};

use banter_engine::{catalogue::manifest::hash_of, write_atomically};

/// A folder with a file a content, named by its hash.
#[derive(Clone, Debug)]
pub struct Contents(PathBuf);

impl Contents {
    /// In a folder that is made when it is needed.
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

    /// Whether there is such a content; not whether it is whole.
    pub fn has(&self, hash: &str) -> bool {
        self.0.join(hash).is_file()
    }

    /// Keeps a content.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn put(&self, hash: &str, bytes: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        write_atomically(&self.0.join(hash), bytes)
    }

    /// Forgets all but these.
    pub fn keep(&self, hashes: &BTreeSet<String>) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        for entry in entries.filter_map(Result::ok) {
            if !entry.file_name().to_str().is_some_and(|name| hashes.contains(name)) {
                // What stays costs space, and nothing else.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
