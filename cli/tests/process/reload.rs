//! Publishes new versions to a running server, from the command line and from the bot's folder.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    commands::{Ran, run},
    support::{Running, banter},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A starter bot from `banter new`.
fn new_bot(folder: &Path) -> std::path::PathBuf {
    let bot = folder.join("shop");
    assert_eq!(run(banter(folder).arg("new").arg(&bot)).code, 0);
    bot
}

fn change(bot: &Path, file: &str, from: &str, to: &str) {
    let path = bot.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn say(address: &str, text: &str) -> String {
    let mut answer = ureq::post(format!("{address}/webhooks/rest/webhook"))
        .send_json(json!({ "sender": "me", "message": text }))
        .unwrap();
    let parts: Value = answer.body_mut().read_json().unwrap();
    parts[0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_version_is_tried_taken_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let bot = new_bot(folder.path());
    let server = Running::start(folder.path(), &[("BANTER_BOT", bot.to_str().unwrap())]);
    let command = |words: &[&str]| -> Ran {
        let mut command = banter(folder.path());
        command.env("BANTER_BOT", &bot).args(words).args(["--server", &server.address]);
        run(&mut command)
    };
    change(&bot, "intents/hello.yaml", "Hello! Shall I", "Howdy! Shall I");
    change(&bot, "intents/hello.yaml", ", \"Good day! Do you want a table?\"", "");
    let tried = command(&["reload", "--dry-run"]);
    assert_eq!(tried.code, 0, "{}", tried.err);
    assert!(
        tried.out.contains("+ Howdy! Shall I book a table?") && tried.out.contains("nothing has changed"),
        "{}",
        tried.out
    );
    assert!(!say(&server.address, "hello").starts_with("Howdy"));

    let taken = command(&["reload", "--wait", "-m", "friendlier & kinder"]);
    assert_eq!(taken.code, 0, "{}{}", taken.out, taken.err);
    assert!(taken.out.contains("1 text changed") && taken.out.contains("up to date"), "{}", taken.out);
    assert!(say(&server.address, "hello").starts_with("Howdy"));
    let listed = command(&["versions"]);
    assert_eq!(listed.out.lines().count(), 2, "{}", listed.out);
    assert!(listed.out.starts_with("* ") && listed.out.contains("friendlier & kinder"), "{}", listed.out);
    let ids: Value = serde_json::from_str(&command(&["versions", "--json"]).out).unwrap();
    let id = |at: usize| ids["versions"][at]["id"].as_str().unwrap()[..8].to_owned();
    let different = command(&["diff", &id(1), &id(0)]);
    assert!(different.out.contains("~ intents/hello.yaml"), "{}", different.out);

    change(&bot, "intents/bye.yaml", "intent: bye", "intent: bye\nhandlr: {}");
    let refused = command(&["reload"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("error: intents/bye.yaml:") && refused.err.contains("hint:"), "{}", refused.err);
    let fleet: Value = serde_json::from_str(&command(&["fleet", "--json"]).out).unwrap();
    let now = fleet["activation"]["generation"].as_u64().unwrap();
    let late = command(&["rollback", "--generation", &(now - 1).to_string()]);
    assert!(late.code == 1 && late.err.contains("hint: `banter fleet`"), "{}", late.err);
    assert!(say(&server.address, "hello").starts_with("Howdy"), "another admin was faster");
    let back = command(&["rollback", "--generation", &now.to_string()]);
    assert_eq!(back.code, 0, "{}", back.err);
    assert!(!say(&server.address, "hello").starts_with("Howdy"));
    let canary = command(&["promote"]);
    assert!(canary.code == 1 && canary.err.contains("there is no canary"), "{}", canary.err);
    let unknown = command(&["rollback", "0000"]);
    assert!(unknown.code == 1 && unknown.err.contains("hint: `banter versions`"), "{}", unknown.err);
    assert_eq!(command(&["fleet"]).code, 0);
    let key = folder.path().join("wrong.key");
    std::fs::write(&key, "wrong\n").unwrap();
    let wrong = command(&["fleet", "--key-file", key.to_str().unwrap()]);
    assert!(wrong.code == 1 && wrong.err.contains("BANTER_ADMIN__KEY"), "{}", wrong.err);
    let far = run(banter(folder.path()).args(["fleet", "--server", "http://bot.example"]));
    assert!(
        far.code == 2 && far.err.contains("the admin key is not sent to http://bot.example in clear"),
        "{}",
        far.err
    );
    let nobody = run(banter(folder.path()).args(["fleet", "--server", "http://127.0.0.1:1"]));
    assert!(nobody.code == 2 && nobody.err.contains("banter serve"), "{}", nobody.err);
}

#[test]
fn users_become_administrators_and_cease_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let bot = new_bot(folder.path());
    let server = Running::start(folder.path(), &[("BANTER_BOT", bot.to_str().unwrap())]);
    let token = crate::client::log_in(&server.address, "ann@mail.example").unwrap();
    let ask = || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.get(format!("{}/admin/fleet", server.address));
        request.header("Authorization", format!("Bearer {token}")).call().unwrap().status().as_u16()
    };
    assert_eq!(ask(), 403);
    let grant = run(banter(folder.path()).args(["admin", "grant", "ann@mail.example"]));
    assert_eq!(grant.code, 0, "{}", grant.err);
    assert_eq!(ask(), 200);
    assert_eq!(run(banter(folder.path()).args(["admin", "revoke", "ann@mail.example"])).code, 0);
    assert_eq!(ask(), 403);
    assert_eq!(run(banter(folder.path()).args(["admin", "grant", "nobody@mail.example"])).code, 2);
}

struct Watching {
    child: Child,
    lines: mpsc::Receiver<String>,
    address: String,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watching {
    fn start(data_dir: &Path, bot: &Path) -> Self {
        let mut command = banter(data_dir);
        command.args(["serve", "--port", "0"]).env("BANTER_BOT", bot).env("BANTER_LOG__FILTER", "off");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
        let first = lines.recv_timeout(PATIENCE).unwrap();
        let address = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { child, lines, address }
    }

    /// Waits for a line that contains `part`, and returns all lines up to it.
    fn hear(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut heard = String::new();
        while Instant::now() < end {
            if let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) {
                heard.push_str(&line);
                heard.push('\n');
                if line.contains(part) {
                    return heard;
                }
            }
        }
        panic!("no `{part}` in {heard}");
    }
}

/// In the dev profile a saved file is in use at once. Broken files are reported, and the server keeps serving.
#[test]
fn a_folder_is_followed_as_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let bot = new_bot(folder.path());
    let server = Watching::start(folder.path(), &bot);
    change(&bot, "intents/hello.yaml", "Hello! Shall I", "Howdy! Shall I");
    change(&bot, "intents/hello.yaml", ", \"Good day! Do you want a table?\"", "");
    server.hear("1 text changed");
    assert!(say(&server.address, "hello").starts_with("Howdy"));
    let hello = fs::read_to_string(bot.join("intents/hello.yaml")).unwrap();
    // Editors' temporary files are ignored, and a half-saved file is refused until the next save.
    fs::write(bot.join("intents/.hello.yaml.swp"), "x").unwrap();
    fs::write(bot.join("intents/hello.yaml~"), "x").unwrap();
    fs::write(bot.join("intents/hello.yaml"), &hello[..40]).unwrap();
    let told = server.hear("the previous version stays in use");
    assert!(told.contains("error: intents/hello.yaml:"), "{told}");
    assert!(say(&server.address, "hello").starts_with("Howdy"));
    fs::write(bot.join("intents/hello.yaml"), hello.replace("Howdy", "Ahoy")).unwrap();
    server.hear("1 text changed");
    assert!(say(&server.address, "hello").starts_with("Ahoy"));
    // A folder that did not exist at the start is followed too.
    fs::create_dir_all(bot.join("more")).unwrap();
    let fixture = "conversation: greets\nlanguage: en\nturns:\n  - user: hello\n    expect: { text: Good evening! }\n";
    fs::write(bot.join("fixtures/greets.yaml"), fixture).unwrap();
    let told = server.hear("the previous version stays in use");
    assert!(told.contains("fixtures/greets.yaml:5") && told.contains("Good evening!"), "{told}");
}

/// Without a followed folder, a restart serves the published version.
#[test]
fn a_restart_serves_what_was_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let bot = new_bot(folder.path());
    let environment = [("BANTER_BOT", bot.to_str().unwrap())];
    let mut server = Running::start(folder.path(), &environment);
    change(&bot, "intents/hello.yaml", "Hello! Shall I", "Howdy! Shall I");
    change(&bot, "intents/hello.yaml", ", \"Good day! Do you want a table?\"", "");
    let taken = run(banter(folder.path()).env("BANTER_BOT", &bot).args(["reload", "--server", &server.address]));
    assert_eq!(taken.code, 0, "{}", taken.err);
    change(&bot, "intents/hello.yaml", "Howdy! Shall I", "Unpublished! Shall I");
    server.kill();
    let server = Running::start(folder.path(), &environment);
    assert!(say(&server.address, "hello").starts_with("Howdy"), "{}", say(&server.address, "hello"));
}
