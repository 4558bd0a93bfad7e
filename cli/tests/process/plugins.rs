//! Plugins on the command line, and those of the demo bot. If a language's tools are not on this machine, its part is
//! skipped with a message; on CI all must be available.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{
    client::{log_in, post},
    commands::{chat, run},
    replay::{copy, path, warm_folder},
    support::{Running, banter, root},
};

const LANGUAGES: [(&str, &str, &[&str]); 3] =
    [("rust", "cargo", &["test", "--quiet"]), ("js", "node", &["--test"]), ("python", "python3", &["-m", "unittest"])];

fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "{program} is not on this machine");
    if !there {
        eprintln!("skipped: {program} is not on this machine");
    }
    there
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// From a new plugin to a reply, in each language.
#[test]
fn new_build_test_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("shop");
    assert_eq!(run(banter(folder.path()).arg("new").arg(&bot)).code, 0);
    let plugin = |words: &[&str]| {
        let mut command = banter(folder.path());
        command.arg("plugin").args(words).arg("--bot").arg(&bot);
        // The folder of the tools is shared with the demo bot.
        run(command.env("BANTER_PLUGINS__TOOLS", root().join(".cache/plugin-tools")))
    };
    for (language, program, test) in LANGUAGES {
        if !is_there(program) || (language == "js" && !is_there("npm")) {
            continue;
        }
        let name = format!("my_{language}");
        let made = plugin(&["new", "--lang", language, &name]);
        assert_eq!(made.code, 0, "{}", made.err);
        assert!(made.out.contains("handler: { plugin: my_"), "{}", made.out);
        assert_eq!(plugin(&["new", "--lang", language, &name]).code, 2, "the plugin already exists");
        let tested = Command::new(program)
            .args(test)
            .current_dir(bot.join("plugins").join(&name))
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-tests"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(tested.status.success(), "{}", text(&tested));
        let built = plugin(&["build", &name]);
        assert_eq!(built.code, 0, "{}", built.err);
        assert!(plugin(&["build", &name]).out.contains("up to date"));
        let ran = plugin(&["run", &name, "--text", "привет"]);
        assert_eq!((ran.code, ran.out.trim()), (0, "You said: привет"), "{}", ran.err);
        let checked = plugin(&["check", &name, "--json"]);
        let report: Value = serde_json::from_str(&checked.out).unwrap();
        assert_eq!(
            (checked.code, &report["good"], &report["named_in_bot"]),
            (0, &true.into(), &false.into()),
            "{report}"
        );
        assert_eq!(report["contract"], banter_sandbox::VERSION);
    }
    assert_eq!(plugin(&["new", "--lang", "rust", "Bad Name"]).code, 2);
    let unknown = plugin(&["build", "nowhere"]);
    assert!(unknown.code == 2 && unknown.err.contains("hint:"), "{}", unknown.err);
}

#[test]
fn sources_that_do_not_compile_are_told() {
    if !is_there("cargo") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("shop");
    assert_eq!(run(banter(folder.path()).arg("new").arg(&bot)).code, 0);
    let plugin = |words: &[&str]| run(banter(folder.path()).arg("plugin").args(words).arg("--bot").arg(&bot));
    assert_eq!(plugin(&["new", "--lang", "rust", "broken"]).code, 0);
    fs::write(bot.join("plugins/broken/src/lib.rs"), "fn handle( {").unwrap();
    let built = plugin(&["build", "broken"]);
    assert!(
        built.code == 1 && built.err.contains("src/lib.rs:1") && built.err.contains("hint: fix it"),
        "{}",
        built.err
    );
    assert!(!bot.join("plugins/broken.wasm").exists());
    let ran = plugin(&["run", "broken"]);
    assert!(ran.code == 2 && ran.err.contains("banter plugin build broken"), "{}", ran.err);
}

/// Checks the settings of a plugin against its schema, and names without a plugin.
#[test]
fn check_tells_what_is_wrong_with_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("shop");
    assert_eq!(run(banter(folder.path()).arg("new").arg(&bot)).code, 0);
    fs::create_dir(bot.join("plugins")).unwrap();
    fs::write(bot.join("plugins/tax.wasm"), b"no component").unwrap();
    fs::write(
        bot.join("plugins/tax.schema.json"),
        r#"{"properties":{"rate":{"type":"number"}},"additionalProperties":false}"#,
    )
    .unwrap();
    let mut yaml = fs::read_to_string(bot.join("bot.yaml")).unwrap();
    yaml.push_str("plugins:\n  tax: { file: plugins/tax.wasm, settings: { rate: high, rtae: 1 } }\n  gone: { file: plugins/gone.wasm }\n  1st: { file: plugins/tax.wasm }\n");
    fs::write(bot.join("bot.yaml"), yaml.replace("  1st: { file: plugins/tax.wasm }\n", "")).unwrap();
    fs::write(
        bot.join("intents/hello.yaml"),
        fs::read_to_string(bot.join("intents/hello.yaml"))
            .unwrap()
            .replace("handler:", "handler: { plugin: taxx }\nold:"),
    )
    .unwrap();
    let check = || run(banter(folder.path()).args(["check", "--no-model", "--bot"]).arg(&bot));
    let told = check();
    for expected in [
        "this is not a component",
        "\"high\" is not of type \"number\"",
        "('rtae' was unexpected)",
        "the file plugins/gone.wasm of the plugin `gone` does not exist",
        "there is no plugin `taxx`",
        "did you mean `tax`?",
    ] {
        assert!(told.err.contains(expected), "{expected} is not in {}", told.err);
    }
    fs::write(bot.join("bot.yaml"), yaml).unwrap();
    assert!(check().err.contains("`1st` is not a valid name"), "{}", check().err);
}

/// The demo bot's plugins in all three programming languages answer in both languages of the bot.
#[test]
fn the_demo_bots_plugins_answer() {
    let folder = tempfile::tempdir().unwrap();
    let built = |name: &str| {
        let there = root().join(format!("plugins/{name}.wasm")).exists();
        assert!(there || std::env::var_os("CI").is_none(), "plugins/{name}.wasm is not built");
        if !there {
            eprintln!("skipped: plugins/{name}.wasm is not built; run `banter plugin build`");
        }
        there
    };
    let talk = |lines: &[(&str, &str)]| {
        let said: String = lines.iter().map(|(said, _)| format!("{said}\n")).collect();
        let ran = chat(folder.path(), &[], &said);
        let told: Vec<&str> = ran.out.lines().filter(|line| !line.starts_with("  [")).collect();
        for ((said, expected), told) in lines.iter().zip(&told) {
            assert!(told.contains(expected), "to {said:?}: {told:?} has no {expected:?}\n{}{}", ran.out, ran.err);
        }
        assert_eq!(told.len(), lines.len(), "{}", ran.out);
    };
    if built("delivery") {
        talk(&[("how much is delivery to Kazan", "Delivery to Kazan costs 350 ₽. Ordered now, it arrives on 20")]);
        talk(&[("сколько идёт доставка", "В какой город?"), ("Лондон", "7 раб. дн. Если заказать сейчас, приедет ")]);
    }
    if built("converter") {
        talk(&[
            ("how much is 15.6 inches in cm", "15.6 in = 39.62 cm"),
            ("переведи 3 фута в метры", "3 фут. = 0,91 м"),
        ]);
    }
    if built("order_number") {
        talk(&[
            ("check the order number 4000-1235-4676", "Did you swap two digits? 4000-1234-5676 would be right."),
            ("4000-1234-5676", "4000-1234-5676 is a valid order number."),
        ]);
        talk(&[("верный ли номер заказа 4000 1234 5676", "4000-1234-5676 — верный номер заказа.")]);
    }
}

/// Without the tools of its language a plugin is not built; the rest of the bot is served and compared all the same.
#[test]
fn fixtures_of_a_plugin_that_is_not_built_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let bot = folder.path().join("shop");
    assert_eq!(run(banter(folder.path()).arg("new").arg(&bot)).code, 0);
    let mut yaml = fs::read_to_string(bot.join("bot.yaml")).unwrap();
    yaml.push_str("plugins: { parcel: { file: plugins/parcel.wasm, optional: true } }\n");
    fs::write(bot.join("bot.yaml"), yaml).unwrap();
    let intent = "intent: parcel\nexamples: { en: [where is my parcel, has my parcel left], ru: [где моя посылка] }\nhandler: { plugin: parcel }\n";
    fs::write(bot.join("intents/parcel.yaml"), intent).unwrap();
    let fixture =
        "conversation: parcel\nturns: [{ user: where is my parcel, expect: { intent: parcel, text: On its way. } }]\n";
    fs::write(bot.join("fixtures/parcel.yaml"), fixture).unwrap();
    let replay = |words: &[&str]| run(banter(folder.path()).args(["replay", "--bot"]).arg(&bot).args(words));
    let all = replay(&[]);
    assert_eq!(all.code, 0, "{}{}", all.out, all.err);
    for part in [
        "1 passed, 0 failed, 1 skipped",
        "the plugin `parcel` is not built, so 1 fixture that needs it was skipped",
        "hint: build it with `banter plugin build parcel`",
    ] {
        assert!(all.out.contains(part), "{part} is not in {}", all.out);
    }
    let none = replay(&["--filter", "parcel"]);
    assert!(none.code == 2 && none.err.contains("nothing was compared"), "{}{}", none.out, none.err);
}

/// Programs that are there and fail: no network, and no target for WebAssembly.
fn broken_tools(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for name in ["cargo", "rustc", "rustup", "npm", "node", "python3"] {
        let file = folder.join(name);
        fs::write(&file, "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho 'no network' >&2\nexit 1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// On a machine where the tools of one language, or of all, are missing or cannot fetch anything, the demo bot's first
/// start skips those plugins and serves the rest.
#[test]
fn machines_without_plugin_tools_serve_the_demo_bot() {
    let folder = warm_folder();
    let bot = folder.path().join("bot");
    for part in ["intents", "scripts", "texts", "fixtures", "plugins"] {
        copy(&root().join(part), &bot.join(part));
    }
    fs::copy(root().join("bot.yaml"), bot.join("bot.yaml")).unwrap();
    let tools = folder.path().join("tools");
    broken_tools(&tools);
    let (absent, broken) = ("/nowhere", format!("{}:/bin", path(&tools)));
    let cases: [(&[&str], &str, &str); 7] = [
        (&["converter"], absent, "npm is not on the PATH"),
        (&["converter"], &broken, "cannot fetch componentize-qjs"),
        (&["order_number"], absent, "python3 is not on the PATH"),
        (&["order_number"], &broken, "cannot fetch componentize-py"),
        (&["delivery"], absent, "cargo is not on the PATH"),
        (&["delivery"], &broken, "cannot add the target wasm32-wasip2"),
        (&["converter", "order_number", "delivery"], absent, "is not on the PATH"),
    ];
    for (plugins, programs, reason) in cases {
        for plugin in plugins {
            // A file of an earlier build would be up to date.
            let _ = fs::remove_file(bot.join(format!("plugins/{plugin}.wasm")));
            let mut build = banter(folder.path());
            build.args(["plugin", "build", plugin, "--available", "--bot", path(&bot)]);
            let fetched = folder.path().join("fetched");
            let built = run(build.env("PATH", programs).env("BANTER_PLUGINS__TOOLS", &fetched));
            assert_eq!(built.code, 0, "{}", built.err);
            assert!(built.out.contains("skipped: ") && built.out.contains(reason), "{}", built.out);
        }
        // A first start: a store with a version would serve that.
        let data = warm_folder();
        let mut server = banter(data.path());
        let log = folder.path().join("log");
        server.args(["serve", "--port", "0", "--bot", path(&bot)]).stderr(fs::File::create(&log).unwrap());
        let server = Running::start_as(server.env("BANTER_RELOAD__WATCH", "false"));
        let token = log_in(&server.address, "ann@mail.example").unwrap();
        let reply = post(&server.address, "/messages/send", &token, &json!({ "text": "where is my order" })).unwrap();
        assert_eq!(reply["response"], "What is the order number?");
        let told = fs::read_to_string(&log).unwrap();
        for plugin in plugins {
            assert!(told.contains(&format!("build it with `banter plugin build` plugin=\"{plugin}\"")), "{told}");
        }
        drop(server);
        for plugin in plugins {
            let kept = root().join(format!("plugins/{plugin}.wasm"));
            if kept.exists() {
                fs::copy(kept, bot.join(format!("plugins/{plugin}.wasm"))).unwrap();
            }
        }
    }
}
