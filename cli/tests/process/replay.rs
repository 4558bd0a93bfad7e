//! `banter replay`: exit codes, reports, files, servers.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    commands::{Ran, run},
    stores::with_urls,
    support::{Running, banter},
};

/// Embeddings and classifier of the demo bot, made once. Tests may share the folder, because files are replaced
/// atomically.
static DATA: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay");
    let ran = replay_in(&folder, &["--filter", "small talk"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    folder
});

fn replay_in(data_dir: &Path, words: &[&str]) -> Ran {
    run(banter(data_dir).arg("replay").args(words).env("BANTER_LOG__FILTER", "off"))
}

pub fn replay(words: &[&str]) -> Ran {
    replay_in(&DATA, words)
}

/// A separate data folder that starts with cached embeddings and a trained classifier.
pub fn warm_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&DATA.join("replay"), &folder.path().join("index"));
    copy(&DATA.join("replay"), &folder.path().join("replay"));
    folder
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

pub fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

const DIFFERS: &str = "conversation: \"differs <&> on purpose\"\nturns:\n  # asked often\n  - user: how can I pay # by whom?\n    expect: { intent: refund, text: \"By card, by <b>bank</b> transfer, or in cash.\" }\n";

#[test]
fn two_runs_give_the_same_bytes_whatever_the_order_the_threads_and_the_cache() {
    let (cold, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = |data_dir: &Path, words: &[&str]| {
        let ran = replay_in(data_dir, &[&["--json", "-"], words].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        ran.out
    };
    let first = report(cold.path(), &["--jobs", "1"]);
    let parsed: Value = serde_json::from_str(&first).unwrap();
    assert!(parsed["passed"].as_u64().unwrap() >= 40, "the demo bot's own fixtures");
    assert_eq!(parsed["coverage"]["intents"]["missed"], json!([]));
    assert!(first == report(cold.path(), &["--jobs", "4"]), "another number of threads, and a warm cache");
    assert!(first == report(cold.path(), &["--shuffle", "7"]), "another order");
    assert!(first == report(other.path(), &["--shuffle", "8", "--jobs", "3"]), "another order, with a cold cache");
}

#[test]
fn a_difference_is_told_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = file(folder.path(), "differs.yaml", DIFFERS);
    let reports = ["a.json", "a.xml", "a.html"].map(|name| folder.path().join(name));
    let [json, junit, html] = [0, 1, 2].map(|at| path(&reports[at]).to_owned());
    let words = [path(&fixture), "--json", &json, "--junit", &junit, "--html", &html];
    let ran = replay(&words);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let told = ran.out.replace(path(folder.path()), "FOLDER");
    let (differences, summary) = told.split_once("0 passed, 1 failed").unwrap();
    // The last digits of a similarity depend on the processor.
    let digits = regex::Regex::new(r"\d\.\d{3}").unwrap();
    insta::assert_snapshot!(digits.replace_all(differences, "N.NNN"));
    assert!(summary.contains("intents"), "{summary}");

    let report: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(
        (&report["failed"], &report["fixtures"][0]["turns"][0]["differences"][0]["field"]),
        (&json!(1), &json!("intent"))
    );
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("failures=\"1\"") && xml.contains("differs &lt;&amp;&gt; on purpose"), "{xml}");
    let page = fs::read_to_string(&html).unwrap();
    assert!(page.contains("differs \\u003c&> on purpose") && !page.contains("<b>bank"), "user messages are not markup");
    assert!(!page.contains("src=") && !page.contains("href="), "the page loads no other files");

    let github = replay(&[path(&fixture), "--format", "github"]);
    let annotation = format!("::error file={},line=5,title=banter replay%3A intent::", path(&fixture));
    assert!(github.code == 1 && github.out.contains(&annotation), "{}", github.out);
}

#[test]
fn update_writes_what_came_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = file(folder.path(), "differs.yaml", DIFFERS);
    let ran = replay(&[path(&fixture), "--update"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    insta::assert_snapshot!(fs::read_to_string(&fixture).unwrap());
    assert_eq!(replay(&[path(&fixture)]).code, 0);
    // A difference that no new value can fix stays, and still fails.
    let not = file(
        folder.path(),
        "not.yaml",
        "conversation: not so\nturns: [{ user: how can I pay, expect: { not: { intent: payment_methods } } }]\n",
    );
    let before = fs::read_to_string(&not).unwrap();
    let ran = replay(&[path(&not), "--update"]);
    assert!(ran.code == 1 && ran.err.contains("not updated"), "{}", ran.err);
    assert_eq!(fs::read_to_string(&not).unwrap(), before);
    // Files of other tools are never written.
    let story = "stories:\n- story: pays\n  steps:\n  - user: how can I pay\n  - bot: Never.\n";
    let rasa = file(folder.path(), "rasa.yaml", story);
    assert_eq!(replay(&[path(&rasa), "--update"]).code, 1);
    assert_eq!(fs::read_to_string(&rasa).unwrap(), story);
    // A value that cannot be written does not block others, and the file mode is kept.
    let alias = "conversation: one of two\nturns:\n  - user: bye\n    expect: { intent: &pay payment_methods, text: x }\n  - user: how can I pay\n    expect: { intent: *pay }\n";
    let alias = file(folder.path(), "alias.yaml", alias);
    fs::set_permissions(&alias, fs::Permissions::from_mode(0o640)).unwrap();
    let ran = replay(&[path(&alias), "--update"]);
    assert!(ran.code == 1 && ran.err.contains("alias.yaml:4: the value cannot be written"), "{}", ran.err);
    let (text, mode) = (fs::read_to_string(&alias).unwrap(), fs::metadata(&alias).unwrap().permissions().mode());
    assert!(text.contains("intent: &pay payment_methods, text: ") && !text.contains("text: x"), "{text}");
    assert_eq!(mode & 0o777, 0o640);
    // A shared expectation that fits only one turn does not pass.
    let all = file(
        folder.path(),
        "all.yaml",
        "conversation: all\nexpect: { text: x }\nturns: [{ user: how can I pay }, { user: bye }]\n",
    );
    let ran = replay(&[path(&all), "--update"]);
    assert!(
        ran.code == 1 && ran.err.contains("several turns need different values") && ran.err.contains("still differ"),
        "{}",
        ran.err
    );
}

#[test]
fn broken_fixtures_end_with_2_and_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "x, ".repeat(900), "*a, ".repeat(900), "*b, ".repeat(900));
    let huge = format!("conversation: x\nturns:\n{}", "  - user: hello there my friend\n".repeat(100_000));
    let many = format!("conversation: x\nturns:\n{}", "  - user: hi\n".repeat(100_000));
    for (name, text, expected) in [
        ("types.yaml", "conversation: 1\nturns: [{ user: x }]\n", "expected a text, found the number 1"),
        ("keys.yaml", "conversation: x\nturn: [{ user: hello }]\n", "did you mean `turns`?"),
        ("bomb.yaml", &bomb, "expands to more than"),
        (
            "date.yaml",
            "conversation: x\nnow: 2026-13-45T99:00:00Z\nturns: [{ user: x }]\n",
            "is not a date with a time",
        ),
        ("many.yaml", &many, "many.yaml:"),
    ] {
        let fixture = file(folder.path(), name, text);
        let ran = replay(&[path(&fixture)]);
        assert!(ran.code == 2 && ran.err.contains(expected), "{name}: {} {}{}", ran.code, ran.out, ran.err);
        assert!(ran.err.contains(&format!("{name}:")) && ran.err.contains("hint:"), "{name}: {}", ran.err);
    }
    // CI gets diagnostics where it looks for differences.
    let broken = folder.path().join("keys.yaml");
    let report = folder.path().join("broken.json");
    let xml = folder.path().join("broken.xml");
    let ran = replay(&[path(&broken), "--format", "github", "--json", path(&report), "--junit", path(&xml)]);
    let annotation = format!("::error file={},line=2,col=1,title=banter replay::unknown key `turn`", path(&broken));
    assert!(ran.code == 2 && ran.out.contains(&annotation), "{}", ran.out);
    let xml = fs::read_to_string(&xml).unwrap();
    assert!(xml.contains("<error message=\"unknown key `turn`\""), "{xml}");
    let ran = replay(&[path(&broken), "--format", "github", "--json", "-"]);
    assert_eq!(
        serde_json::from_str::<Value>(&ran.out).unwrap()["faults"][0]["line"],
        2,
        "standard output has only the report"
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(report["faults"][0]["line"], 2, "{report}");
    let fixture = file(folder.path(), "huge.yaml", &huge);
    let ran = replay(&[path(&fixture)]);
    assert!(ran.code == 2 && ran.err.contains("split it"), "{}", ran.err);
    let key = file(folder.path(), "key", "sesame");
    let far = ["--url", "http://bot.example", "--channel", "rasa", "--key-file", path(&key)];
    for (words, expected) in [
        (vec!["--bot", "/nowhere"], "cannot read the bot's folder /nowhere"),
        (vec!["/nowhere.yaml"], "cannot read /nowhere.yaml"),
        (vec!["--filter", "no fixture is called so"], "no fixture matched the filter"),
        (vec!["--mutate", "x"], "invalid value"),
        (vec!["--mutate", "0"], "0 is not in 1"),
        (vec!["--mutate", "9", "--at-least", "500"], "500 is not in 0..=100"),
        (vec!["--junit", "-", "--html", "-"], "cannot both go to standard output"),
        (vec!["--url", "http://127.0.0.1:9", "--rate", "1e-20"], "it must be from 0.001"),
        (vec!["--url", "http://127.0.0.1:9", "--rate", "NaN"], "it must be from 0.001"),
        (vec!["--url", "http:// bot"], "write http://host:port"),
        (far.to_vec(), "the channel key is not sent to http://bot.example in clear"),
    ] {
        let ran = replay(&words);
        assert!(ran.code == 2 && ran.err.contains(expected), "{words:?}: {} {}", ran.code, ran.err);
    }
}

#[test]
fn choices_and_the_first_failure() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "f/a.yaml", DIFFERS);
    file(folder.path(), "f/b.yaml", DIFFERS);
    let fixtures = folder.path().join("f");
    let ran = replay(&[path(&fixtures), "--fail-fast", "--jobs", "1"]);
    assert!(ran.code == 1 && ran.out.contains("0 passed, 1 failed, 1 not run"), "{}", ran.out);
    // The same with many threads: the first fixture in order that differs ends the run, not the fastest one.
    let ran = replay(&[path(&fixtures), "--fail-fast", "--jobs", "4", "--json", "-"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["not_run"], report["fixtures"].as_array().unwrap().len()), (&json!(1), 1), "{}", ran.out);
    assert!(report["fixtures"][0]["file"].as_str().unwrap().ends_with("a.yaml"));
    // A file is played once, whatever paths lead to it. Links to files are followed; links to folders are reported.
    symlink(fixtures.join("a.yaml"), fixtures.join("c.yaml")).unwrap();
    symlink(folder.path(), fixtures.join("circle")).unwrap();
    let around = format!("{}/../f/b.yaml", path(&fixtures));
    let ran = replay(&[path(&fixtures), &around, "--junit", "-"]);
    assert_eq!(ran.out.matches("<testcase").count(), 2, "{}", ran.out);
    assert!(ran.out.starts_with("<?xml") && ran.err.contains("links to folders are not followed"), "{}", ran.err);
    let ran = replay(&["--tag", "weather", "--json", "-"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let files = report["fixtures"].as_array().unwrap();
    assert!(
        !files.is_empty() && files.iter().all(|one| one["file"].as_str().unwrap().starts_with("fixtures/weather/"))
    );
}

/// Replays over the native and the Rasa channel, against one server or two.
fn check_servers(environments: [&[(&str, &str)]; 2]) {
    let folders = [warm_folder(), warm_folder()];
    let limits = [("BANTER_AUTH__LOGINS_PER_ADDRESS", "100000"), ("BANTER_AUTH__LOGINS_PER_EMAIL", "100000")];
    let servers: Vec<Running> = environments
        .iter()
        .zip(&folders)
        .map(|(environment, folder)| Running::start(folder.path(), &[&limits, *environment].concat()))
        .collect();
    let urls: Vec<&str> = match environments {
        [one, other] if one == other => vec!["--url", &servers[0].address, "--url", &servers[1].address],
        _ => vec!["--url", &servers[0].address],
    };
    let data = tempfile::tempdir().unwrap();
    for channel in [["--channel", "rasa"], ["--channel", "native"]] {
        let ran = replay(&[urls.as_slice(), &channel, &["--jobs", "2", "--json", "-"]].concat());
        assert_eq!(ran.code, 0, "{channel:?}: {}{}", ran.out, ran.err);
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert!(
            report["failed"] == 0 && report["passed"].as_u64() >= Some(40) && report["not_compared"].as_u64() > Some(0)
        );
        // A fixture with an initial state or a plugin stub does not count as passed, and the report does not contain
        // what a client cannot know.
        assert!(report["skipped"].as_u64() > Some(0), "{}", report["skipped"]);
        let turns = report["fixtures"].as_array().unwrap().iter().flat_map(|one| one["turns"].as_array().unwrap());
        assert!(turns.clone().all(|turn| turn.get("intent").is_none()), "no client sees intents");
        assert!(turns.filter(|turn| turn.get("text").is_some()).count() > 500, "most messages are sent");
    }
    // What a client sees is compared.
    let fixture = file(data.path(), "differs.yaml", DIFFERS);
    let ran = replay(&[urls.as_slice(), &[path(&fixture), "--rate", "50"]].concat());
    assert!(ran.code == 1 && ran.out.contains("  text  "), "{}{}", ran.out, ran.err);
}

#[test]
fn the_same_fixtures_pass_over_http_on_the_embedded_store() {
    check_servers([&[], &[("BANTER_LOG__FORMAT", "json")]]);
}

#[test]
fn the_same_fixtures_pass_over_http_on_two_servers_and_three_stores() {
    with_urls(|environment| check_servers([environment, environment]));
}

#[test]
fn where_nothing_is_compared_nothing_passes() {
    let folder = warm_folder();
    let server = Running::start(folder.path(), &[]);
    let inside = "conversation: inside\nstate: { slots: { city: x } }\nturns: [{ user: how can I pay, expect: { text: zzz } }]\n";
    let fixture = file(folder.path(), "inside.yaml", inside);
    let ran = replay(&[path(&fixture), "--url", &server.address]);
    assert!(ran.code == 2 && ran.err.contains("nothing was compared"), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("0 passed, 0 failed, 1 skipped") && !ran.out.contains("intents"), "{}", ran.out);
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let ran = replay(&["--url", "http://127.0.0.1:9", "--filter", "small talk"]);
    assert!(ran.code == 2 && ran.err.contains("does not respond") && ran.err.contains("hint:"), "{}", ran.err);
}

#[test]
fn a_program_finds_its_model_from_any_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    symlink(root.join(".cache"), folder.path().join(".cache")).unwrap();
    let program = folder.path().join("target/release/banter");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::hard_link(env!("CARGO_BIN_EXE_banter"), &program).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let bot = file(elsewhere.path(), "bot/none", "").parent().unwrap().to_owned();
    fs::remove_dir_all(&bot).unwrap();
    let mut words = Command::new(&program);
    let made = run(words.args(["new", path(&bot)]).current_dir(elsewhere.path()));
    assert_eq!(made.code, 0, "{}", made.err);
    let mut words = Command::new(&program);
    let ran =
        run(words.args(["replay", "--bot", ".", "--fail-fast"]).current_dir(&bot).env("BANTER_LOG__FILTER", "off"));
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

#[test]
fn few_mutations_of_the_demo_bot_go_unnoticed() {
    let ran = replay(&["--mutate", "10", "--seed", "5", "--json", "-"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mutants: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(mutants["total"], 10);
    let unnoticed = |fate: &&Value| fate["noticed_by"].is_null();
    for fate in mutants["fates"].as_array().unwrap().iter().filter(unnoticed) {
        assert!(fate["reason"].is_string(), "{fate}");
    }
}

#[test]
fn watch_plays_again_at_each_change() {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("shop");
    assert_eq!(run(banter(folder.path()).args(["new", path(&bot)])).code, 0);
    let mut child = banter(folder.path())
        .args(["replay", "--watch", "--bot", path(&bot)])
        .env("BANTER_LOG__FILTER", "off")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut until = |part: &str| lines.find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part}"));
    until("1 passed, 0 failed");
    until("waiting for a change");
    // An editor's temporary file is ignored.
    file(&bot, "fixtures/.book_table.yaml.swp", "half");
    let fixture = bot.join("fixtures/book_table.yaml");
    let text = fs::read_to_string(&fixture).unwrap();
    fs::write(&fixture, text.replace("How many guests?", "How many?")).unwrap();
    until("0 passed, 1 failed");
    until("waiting for a change");
    fs::write(&fixture, text).unwrap();
    until("1 passed, 0 failed");
    child.kill().unwrap();
    child.wait().unwrap();
}
