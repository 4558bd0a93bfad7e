//! Compiled code on disk: stored, private, and used only if nobody else could have written it.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
};

use banter_engine::handlers::plugin::PluginRuntime;

use crate::support::{GUEST, call, sandbox, spec};

struct Folder(tempfile::TempDir);

impl Folder {
    fn file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|ending| ending == "cwasm")).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("plugins")
    }

    /// Loads and calls the plugin; returns the file's inode afterwards.
    fn load(&self) -> u64 {
        let plugin = sandbox(Some(&self.path())).load(spec("kept"), &GUEST).unwrap();
        assert_eq!(call(&*plugin, "hello").text(), "hello of 7");
        fs::metadata(self.file()).unwrap().ino()
    }
}

#[test]
fn compiled_code_is_kept_privately_and_taken_again() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let made = folder.load();
    assert_eq!(fs::metadata(folder.file()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(folder.load(), made, "it was taken as it was");
}

#[test]
fn hostile_files_of_others_are_not_run() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let made = folder.load();
    // Others can write to the file, or to the folder.
    fs::set_permissions(folder.file(), Permissions::from_mode(0o666)).unwrap();
    let again = folder.load();
    assert_ne!(again, made, "a file that others could write was run");
    assert_eq!(fs::metadata(folder.file()).unwrap().mode() & 0o777, 0o600, "it was made anew");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    assert_ne!(folder.load(), again, "a file from a folder that others could write was run");
}

#[test]
fn damaged_files_are_made_anew() {
    let folder = Folder(tempfile::tempdir().unwrap());
    folder.load();
    let whole = fs::read(folder.file()).unwrap();
    // A bad disk changes a bit of the code, or loses all of it.
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [flipped, b"no compiled code".to_vec()] {
        fs::write(folder.file(), &damaged).unwrap();
        fs::set_permissions(folder.file(), Permissions::from_mode(0o600)).unwrap();
        folder.load();
        assert_ne!(fs::read(folder.file()).unwrap(), damaged, "damaged code stays, or was run");
    }
}
