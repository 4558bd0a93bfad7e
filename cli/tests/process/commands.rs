//! Commands: their output and exit codes.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{replay::warm_folder, support::banter};

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

fn finish(output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

pub fn run(command: &mut Command) -> Ran {
    finish(&command.output().unwrap())
}

pub fn chat(data_dir: &Path, arguments: &[&str], lines: &str) -> Ran {
    let mut child = banter(data_dir)
        .arg("chat")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    finish(&child.wait_with_output().unwrap())
}

#[test]
fn chat_reads_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "where is my order\n/state\nA-1042\n/explain\n/reset\n/explain\n/nonsense\n/quit\nnot read\n";
    let ran = chat(folder.path(), &[], lines);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for expected in [
        "What is the order number?",
        "\"slot\": \"order_id\"",
        "A-1042 is on its way",
        "handler   order_status.rhai",
        "started a new dialogue",
        "there are no replies yet",
        "unknown command /nonsense",
    ] {
        assert!(ran.out.replace(", expect it tomorrow", "").contains(expected), "{expected} is not in {}", ran.out);
    }
    let json = chat(folder.path(), &["--json"], "/state\nпривет\n/explain\n/reset\n");
    let turn: Value = serde_json::from_str(json.out.trim()).unwrap();
    assert!(json.err.contains("started a new dialogue"), "{}", json.err);
    assert_eq!((turn["language"].as_str(), turn["intent"].as_str()), (Some("ru"), Some("greet")));
}

#[test]
fn a_new_bot_is_good_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("my-shop");
    let made = run(banter(folder.path()).arg("new").arg(&bot));
    assert_eq!(made.code, 0, "{}", made.err);
    let checked = run(banter(folder.path()).args(["check", "--json", "--deny-warnings", "--bot"]).arg(&bot));
    assert_eq!(checked.code, 0, "{}", checked.out);
    let report: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(report["good"], true);
    let bot_name = bot.to_str().unwrap();
    let ran = chat(
        folder.path(),
        &["--bot", bot_name],
        "book a table for Saturday\n4\nзабронировать столик\n31 февраля\nзавтра\n40\n2\n",
    );
    let lines: Vec<&str> = ran.out.lines().collect();
    let [first, booked, day, none, again, guests, range, asked, done] = lines[..] else { panic!("{}", ran.out) };
    assert_eq!((first, day, guests), ("How many guests?", "На какой день?", "Сколько гостей?"));
    assert!(booked.starts_with("A table for 4 on ") && booked.ends_with(": done!"), "{booked}");
    assert_eq!((none, again), ("Такого дня нет: 31 февраля.", day));
    assert_eq!((range, asked), ("У нас столики на 1–12 гостей.", guests));
    assert!(done.starts_with("Столик на 2, ") && done.ends_with(": готово!"), "{done}");
    // A bot with few intents has few examples to tell foreign messages by, but must not match them.
    let kinds = |lines: &str| -> Vec<String> {
        let ran = chat(folder.path(), &["--json", "--bot", bot_name], lines);
        let turns = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        turns.map(|turn| turn["type"].as_str().unwrap().to_owned()).collect()
    };
    let foreign = "как приготовить борщ\nwhat is the weather\nwho won the world cup\nкак дела\ntell me a joke\nsdfgh\n";
    assert_eq!(kinds(foreign), ["unknown"; 6]);
    assert_eq!(kinds("thanks a lot\ngood evening\nдо встречи\nне нужно\nhi!\n"), ["matched"; 5]);
    let again = run(banter(folder.path()).arg("new").arg(&bot));
    assert_eq!(again.code, 2);
    assert!(again.err.contains("already exists") && again.err.contains("hint:"), "{}", again.err);
    assert_eq!(run(banter(folder.path()).args(["new", "bad name!"])).code, 2);
}

#[test]
fn check_tells_where() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("intents")).unwrap();
    fs::write(folder.path().join("bot.yaml"), "name: x\nlanguages: [en]\nfallback: { text: no }\nextra: 1\n").unwrap();
    let ran = run(banter(folder.path()).args(["check", "--bot"]).arg(folder.path()));
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("unknown key `extra`") && ran.err.contains("--> bot.yaml:4:1"), "{}", ran.err);
    let ran = run(banter(folder.path()).args(["check", "--json", "--bot"]).arg(folder.path()));
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let lines: Vec<u64> =
        report["faults"].as_array().unwrap().iter().filter_map(|diagnostic| diagnostic["line"].as_u64()).collect();
    assert!(lines.contains(&4) && report["good"] == false, "{report}");
    let ran = run(banter(folder.path()).args(["check", "--bot", "/nowhere"]));
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("hint:"), "{}", ran.err);
}

/// `banter schema | head -1`: a closed pipe does not cause a panic.
#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = banter(folder.path()).arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = finish(&child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn schemas_are_json() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["bot", "intent", "texts"] {
        let ran = run(banter(folder.path()).args(["schema", kind]));
        let schema: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(schema["title"].is_string(), "{kind}");
    }
    assert_eq!(run(banter(folder.path()).args(["schema", "nonsense"])).code, 2);
}

/// A bot with errors is not drawn, but its errors are shown.
#[test]
fn a_bot_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (format, begins) in [("mermaid", "flowchart LR"), ("dot", "digraph bot"), ("svg", "<?xml")] {
        let ran = run(banter(folder.path()).args(["graph", "--format", format, "--bot"]).arg(root));
        assert!(
            ran.code == 0 && ran.out.starts_with(begins) && ran.out.contains("return_item"),
            "{format}: {}",
            ran.err
        );
    }
    fs::write(folder.path().join("bot.yaml"), "name: x\n").unwrap();
    let ran = run(banter(folder.path()).args(["graph", "--bot"]).arg(folder.path()));
    assert!(ran.code == 1 && ran.err.contains("--> bot.yaml"), "{}", ran.err);
}

/// Each wrong setting is refused with exit code 2 and a hint.
#[test]
fn wrong_configuration_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = "kq7Zt0Wm3xV9bN2cR5yU8pL1sD4fG6hJ";
    for (environment, expected) in [
        (vec![("BANTER_PROT", "1")], "PROT".to_lowercase()),
        (vec![("BANTER_EMBEDDING__TREADS", "1")], "hint: did you mean `threads`?".to_owned()),
        (vec![("BANTER_PORT", "many")], "the environment (BANTER_PORT)".to_owned()),
        (vec![("BANTER_AUTH__ACCESS_MINUTES", "0")], "auth.access_minutes is 0".to_owned()),
        (vec![("BANTER_AUTH__PARALLEL_HASHES", "10000000000000000000")], "from 0 to 512".to_owned()),
        (vec![("BANTER_EMBEDDING__THREADS", "1000")], "from 0 to 256".to_owned()),
        (vec![("ADDRESS_FRONT", "shop")], "front (ADDRESS_FRONT) is `shop`".to_owned()),
        (vec![("ADDRESS_FRONT", "5")], "the environment (ADDRESS_FRONT)".to_owned()),
        (vec![("BANTER_PROFILE", "test")], "BANTER_PROFILE is `test`".to_owned()),
        (vec![("BANTER_ADDRESS", "0.0.0.0")], "the dev profile does not listen on 0.0.0.0".to_owned()),
        (vec![("BANTER_PROFILE", "release")], "auth.secret (SECRET_KEY_JWT) is missing".to_owned()),
        (vec![("BANTER_PROFILE", "release"), ("SECRET_KEY_JWT", "short")], "is shorter than 32 bytes".to_owned()),
        (
            vec![("BANTER_PROFILE", "release"), ("SECRET_KEY_JWT", "change-me-please-change-me-please")],
            "looks like an example".to_owned(),
        ),
        (
            vec![("BANTER_PROFILE", "release"), ("SECRET_KEY_JWT", "abababababababababababababababababab")],
            "repeats itself".to_owned(),
        ),
        (vec![("BANTER_PROFILE", "release"), ("SECRET_KEY_JWT", "98765")], "is shorter than 32 bytes".to_owned()),
        (vec![("BANTER_PROFILE", "release"), ("SECRET_KEY_JWT", "")], "is missing".to_owned()),
        (vec![("ALGORITHM", "none")], "auth.algorithm".to_owned()),
        (vec![("SECURE_HTTP_HTTPS", "perhaps")], "expected true or false".to_owned()),
        (vec![("SECRET_KEY_JWT", "[oops")], "SECRET_KEY_JWT begins with `[`, but is not a list of secrets".to_owned()),
        (vec![("DATABASE_HOST", "db")], "DATABASE_HOST is set".to_owned()),
        (vec![("BANTER_EMBEDDING__LIBRARY", "/nowhere.so")], "/nowhere.so".to_owned()),
        (vec![("BANTER_EMBEDDING__PATH", "/nowhere")], "/nowhere/e5/model.onnx".to_owned()),
        (vec![("BANTER_EMBEDDING__MODEL", "Nonsense")], "Nonsense".to_owned()),
        (
            vec![("BANTER_PROFILE", "release"), ("SECRET_KEY_JWT", good), ("BANTER_CHANNEL__KEY", "short")],
            "channel.key is shorter".to_owned(),
        ),
    ] {
        let mut command = banter(folder.path());
        command.args(["serve", "--port", "0"]).envs(environment.iter().copied());
        let ran = run(&mut command);
        assert_eq!(ran.code, 2, "{environment:?}: {}", ran.err);
        assert!(ran.err.contains(&expected) && ran.err.contains("hint:"), "{environment:?}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
    }
}

/// A typo in the file is reported with its line.
#[test]
fn wrong_lines_of_the_file_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Rocket.toml");
    for (content, expected) in [
        ("[default]\nport = 0\nprot = 1\n", "Rocket.toml:3 is wrong: there is no key `prot`"),
        (
            "[default.embedding]\nqueue = 5\n\n[default.auth] # [x]\nqueue = 5\n",
            "Rocket.toml:5 is wrong: there is no key `queue`",
        ),
        ("[default.stores]\npool = \"x\"\n", "Rocket.toml:2 is wrong: `stores.pool`: invalid type"),
        (
            "[default.limits]\nbody_seconds = 9\n[dev.limits]\nbody_seconds = \"x\"\n",
            "Rocket.toml:4 is wrong: `limits.body_seconds`",
        ),
        ("[default.limits]\nbody_bytes = \"many\"\n", "Rocket.toml:2 is wrong: `limits.body_bytes`: "),
        ("[default.embedding.encoders]\nxx = [\"use\"]\n", "embedding.encoders has the unknown language `xx`"),
        ("[default.embedding.encoders]\nen = []\n", "embedding.encoders.en is empty"),
        ("[default.embedding.encoders]\nen = [\"../use\"]\n", "embedding.encoders.en names `../use`"),
        ("[default\n", "Rocket.toml is wrong: "),
    ] {
        fs::write(&file, content).unwrap();
        let ran = run(banter(folder.path()).arg("serve").arg("--config").arg(&file));
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(expected) && ran.err.contains("hint:"), "{content}: {}", ran.err);
    }
}

#[test]
fn a_broken_model_is_told_and_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("e5");
    fs::create_dir(&model).unwrap();
    fs::write(model.join("encoder.json"), r#"{"prefix": ""}"#).unwrap();
    for file in ["model.onnx", "tokenizer.json", "config.json", "special_tokens_map.json", "tokenizer_config.json"] {
        fs::write(model.join(file), "{}").unwrap();
    }
    let ran = run(banter(folder.path()).args(["serve", "--port", "0"]).env("BANTER_EMBEDDING__PATH", folder.path()));
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("is broken") && ran.err.contains("make setup"), "{}", ran.err);
    let junk = folder.path().join("junk.so");
    fs::write(&junk, "no library").unwrap();
    let ran = run(banter(folder.path()).args(["serve", "--port", "0"]).env("BANTER_EMBEDDING__LIBRARY", &junk));
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("junk.so") && ran.err.contains("hint:"), "{}", ran.err);
}

/// What is lost on a full disk is not a success.
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = banter(folder.path()).args(["schema", "bot"]).stdout(full).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("cannot write to standard output") && told.contains("hint:"), "{told}");
}

/// Such a variable must not count as unset: a password would be empty.
#[test]
fn a_variable_that_is_not_utf8_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let latin = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9");
    for name in ["DATABASE_PASSWORD", "SECRET_KEY_JWT"] {
        let latin: &std::ffi::OsStr = latin;
        let ran = run(banter(folder.path()).args(["serve", "--port", "0"]).env(name, latin));
        assert!(ran.code == 2 && ran.err.contains(&format!("{name} is not UTF-8")), "{name}: {}", ran.err);
    }
}

/// Every user of a machine sees the words of a command, so keys come from files and the environment.
#[test]
fn no_command_takes_a_key_as_an_argument() {
    let folder = warm_folder();
    let mut files = 0;
    for command in ["serve", "replay", "reload", "versions", "fleet", "rollback", "promote", "admin", "record"] {
        let help = run(banter(folder.path()).args([command, "--help"])).out;
        assert!(!help.contains("--key ") && !help.contains("--key="), "{command}: {help}");
        files += usize::from(help.contains("--key-file <FILE>"));
    }
    assert!(files >= 5, "the others read it from a file: {files}");
}
