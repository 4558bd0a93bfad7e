//! Starts that cannot succeed: each ends with one sentence, a hint and the exit code of wrong use.

use std::{
    fs,
    os::unix::fs::{FileExt, symlink},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{
    client::{log_in, post},
    replay::copy,
    support::{Running, banter, plain, root},
};

/// Checks that `command` fails with exactly these two lines at the end of its errors.
fn check(command: &mut Command, message: &str, hint: &str) {
    let output = command.env("BANTER_LOG__FILTER", "off").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    let errors: Vec<&str> = told.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(message), "{message}: {told}");
    let hints: Vec<&str> = told.lines().filter(|line| line.starts_with("hint: ")).collect();
    assert!(hints.len() == 1 && hints[0].contains(hint), "{hint}: {told}");
}

fn serve(data_dir: &Path) -> Command {
    let mut command = banter(data_dir);
    command.args(["serve", "--port", "0"]).env("BANTER_RELOAD__REPLAY_AT_START", "false");
    command
}

#[test]
fn commands_at_the_same_moment_make_one_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("new");
    let start = |_| {
        let mut command = plain(&data_dir);
        command.env("BANTER_LOG__FILTER", "off");
        command.args(["verify", "nobody@mail.example"]).stderr(Stdio::piped()).spawn().unwrap()
    };
    let commands: Vec<Child> = (0..8).map(start).collect();
    for command in commands {
        let output = command.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains("nobody has the address"), "{told}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    // Nobody writes here, not even root.
    let read_only = Path::new("/proc/self");
    let command = |words: &[&str]| {
        let mut command = plain(read_only);
        command.args(words);
        command
    };
    check(&mut command(&["serve", "--port", "0"]), "cannot use the data folder /proc/self", "check its owner");
    check(&mut command(&["verify", "a@b.example"]), "/proc/self/banter.db", "check the owner and the free space");
    let below = Path::new("/proc/banter");
    check(
        command(&["serve", "--port", "0"]).env("BANTER_DATA_DIR", below),
        "cannot create the data folder /proc/banter",
        "--data-dir",
    );
}

#[test]
fn a_damaged_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    let token = log_in(&server.address, "ann@mail.example").unwrap();
    for number in 0..20 {
        post(&server.address, "/messages/send", &token, &serde_json::json!({ "text": format!("hello {number}") }));
    }
    drop(server);
    let file = folder.path().join("banter.db");
    let whole = fs::read(&file).unwrap();
    fs::remove_file(folder.path().join("banter.db-wal")).unwrap();
    // Every page but the first, and then the first.
    let database = fs::OpenOptions::new().write(true).open(&file).unwrap();
    database.write_all_at(&vec![0xFF; whole.len().saturating_sub(4_096)], 4_096).unwrap();
    check(&mut serve(folder.path()), "sqlite: ", "restore it from a backup");
    check(banter(folder.path()).args(["verify", "ann@mail.example"]), "sqlite: ", "");
    database.write_all_at(&[0xFF; 100], 0).unwrap();
    check(&mut serve(folder.path()), "sqlite: ", "restore it from a backup");
}

#[test]
fn a_damaged_model_and_a_missing_runtime_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let encoders = folder.path().join("encoders");
    fs::create_dir(&encoders).unwrap();
    for name in ["e5", "use"] {
        symlink(root().join(".cache/encoders").join(name), encoders.join(name)).unwrap();
    }
    // A copy, so that it can be damaged.
    let model = encoders.join("minilm");
    copy(&root().join(".cache/encoders/minilm"), &model);
    let with_model = || {
        let mut command = serve(folder.path());
        command.env("BANTER_EMBEDDING__PATH", &encoders);
        command
    };
    let tokenizer = fs::read(model.join("tokenizer.json")).unwrap();
    fs::write(model.join("tokenizer.json"), &tokenizer[..tokenizer.len() / 2]).unwrap();
    check(&mut with_model(), "model", "setup");
    fs::write(model.join("tokenizer.json"), &tokenizer).unwrap();
    let weights = fs::OpenOptions::new().write(true).open(model.join("model.onnx")).unwrap();
    weights.set_len(1_000).unwrap();
    check(&mut with_model(), "model", "setup");
    check(serve(folder.path()).env("BANTER_EMBEDDING__LIBRARY", "/nowhere/libonnxruntime.so"), "/nowhere", "setup");
    let no_library = folder.path().join("library.so");
    fs::write(&no_library, "no library").unwrap();
    check(serve(folder.path()).env("BANTER_EMBEDDING__LIBRARY", &no_library), "library.so", "setup");
}

/// Secrets of a list that cannot be read are not shown.
#[test]
fn a_malformed_secret_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for value in [
        "[{name=\"ci\", key=\"sesame-sesame\", scopes=[\"read\"]",
        "sesame-sesame",
        "[{name=\"ci\", key=[\"sesame-sesame\"], scopes=[\"read\"]}]",
        "[{name=\"ci\", key=\"sesame-sesame\", scopes=\"sesame-sesame\"}]",
    ] {
        let output = serve(folder.path()).env("BANTER_ADMIN__KEYS", value).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && told.contains("hint: "), "{told}");
        assert!(!told.contains("sesame"), "{told}");
    }
}

/// A link that somebody laid where an export will write is replaced, not followed.
#[test]
fn an_export_follows_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path(), &[]);
    log_in(&server.address, "ann@mail.example").unwrap();
    let (victim, out) = (folder.path().join("victim"), folder.path().join("ann.jsonl"));
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, folder.path().join("ann.jsonl.part")).unwrap();
    let mut export = banter(folder.path());
    export.args(["export", "ann@mail.example", "--out", out.to_str().unwrap()]).env("BANTER_LOG__FILTER", "off");
    assert!(export.status().unwrap().success());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::read_to_string(&out).unwrap().contains("ann@mail.example"));
}
