//! `make install`: the program works in any folder.

use std::{fs, process::Command};

use serde_json::json;

use crate::{
    client::{log_in, post},
    support::{Running, root},
};

#[test]
fn an_installed_program_makes_and_serves_a_bot_in_an_empty_folder() {
    let (prefix, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let installed = Command::new(root().join("tools/install.sh"))
        .args([env!("CARGO_BIN_EXE_banter"), prefix.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let program = prefix.path().join("bin/banter");
    let command = |folder: &std::path::Path| {
        let mut command = Command::new(&program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", empty.path()).current_dir(folder);
        command
    };
    let made = command(empty.path()).args(["new", "shop"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let shop = empty.path().join("shop");
    let server = Running::start_as(command(&shop).args(["serve", "--port", "0"]).stderr(std::process::Stdio::null()));
    let token = log_in(&server.address, "ann@mail.example").unwrap();
    let reply = post(&server.address, "/messages/send", &token, &json!({ "text": "hello" })).unwrap();
    assert!(reply["response"].as_str().is_some_and(|text| !text.is_empty()), "{reply}");
    assert!(fs::exists(shop.join(".banter/banter.db")).unwrap(), "the data is in the bot's folder");
}
