//! What parses what others wrote, by name. The name is also the folder of the seeds.

use std::{
    collections::BTreeMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use banter_engine::{
    catalogue::{Catalogue, bundle::Bundle, loader},
    diagnostic::Diagnostics,
    handlers::{plugin::NoPlugins, script::Scripting},
    policy::Ceiling,
    replay::reader,
    state::DialogueState,
    template::Template,
};
use banter_server::{
    catalogs::archive,
    config::Algorithm,
    listener::{Exchange, RequestBounds},
    tokens::Tokens,
    user_data,
};
use banter_stores::{News, secret::Secret};

/// A name, and what is fed.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 11] = [
    ("archive", archive_of_a_bot),
    ("bot", bot_file),
    ("intent", intent_file),
    ("fixture", fixture_file),
    ("head", request_head),
    ("export", exported_user),
    ("news", news_of_the_bus),
    ("script", script_file),
    ("state", stored_state),
    ("template", text_template),
    ("token", token),
];

static SCRIPTING: LazyLock<Scripting> = LazyLock::new(Scripting::new);

const BOT: &str = "name: test\nlanguages: [en, ru]\nfallback: { text: { en: Pardon?, ru: Простите? } }\n\
                   entities: { city: { values: { london: [London, Лондон] } } }\n";
const INTENT: &str =
    "intent: greet\nexamples: { en: [hello, good morning], ru: [привет] }\nhandler: { reply: Hello! }\n";

fn load(files: &[(&str, &[u8])]) -> Option<Catalogue> {
    let mut bundle = Bundle::of(&[("bot.yaml", BOT), ("intents/greet.yaml", INTENT)]);
    for (path, bytes) in files {
        bundle.files.insert((*path).to_owned(), bytes.to_vec());
    }
    let mut diagnostics = Diagnostics::default();
    let catalogue = loader::load(&bundle, &SCRIPTING, &NoPlugins, &Ceiling::default(), &mut diagnostics);
    // What is wrong must be printable, with its line.
    drop(diagnostics.render(true));
    catalogue
}

fn archive_of_a_bot(bytes: &[u8]) {
    drop(archive::read(bytes));
}

fn bot_file(bytes: &[u8]) {
    drop(load(&[("bot.yaml", bytes)]));
}

fn intent_file(bytes: &[u8]) {
    drop(load(&[("intents/other.yaml", bytes)]));
}

/// Fixtures of this project, of Rasa and of Botium.
fn fixture_file(bytes: &[u8]) {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| load(&[]).expect("the bot is good"));
    for path in
        ["fixtures/a.yaml", "fixtures/a.yml", "fixtures/a.md", "fixtures/a.convo.txt", "fixtures/a.utterances.txt"]
    {
        let files = BTreeMap::from([(path.to_owned(), bytes.to_vec())]);
        let mut diagnostics = Diagnostics::default();
        drop(reader::read(&files, &CATALOGUE, &mut diagnostics));
        drop(diagnostics.render(true));
    }
}

fn request_head(bytes: &[u8]) {
    let bounds = RequestBounds {
        head_bytes: 8_192,
        head_time: Duration::from_secs(1),
        idle_time: Duration::from_secs(1),
        body_silence: Duration::from_secs(1),
    };
    let now = Instant::now();
    let mut exchange = Exchange::new(bounds, now);
    for piece in bytes.chunks(7) {
        if exchange.receive(piece, now).is_err() {
            break;
        }
    }
}

fn exported_user(bytes: &[u8]) {
    drop(user_data::check(bytes));
}

fn news_of_the_bus(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        // News are numbers; nothing is left of them.
        let _ = News::decode(text);
    }
}

fn script_file(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        drop(SCRIPTING.compile("scripts/a.rhai", text));
    }
}

fn stored_state(bytes: &[u8]) {
    if let Ok(mut state) = serde_json::from_slice::<DialogueState>(bytes) {
        state.age(i64::MAX);
        drop(serde_json::to_string(&state.renewed()));
    }
}

fn text_template(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(template) = Template::parse(text)
    {
        drop(template.render(&|name| Some(name.repeat(3))));
    }
}

fn token(bytes: &[u8]) {
    static TOKENS: LazyLock<Tokens> =
        LazyLock::new(|| Tokens::new(&Secret::new("0123456789abcdef".to_owned()).into(), Algorithm::HS256));
    if let Ok(text) = str::from_utf8(bytes) {
        drop(TOKENS.read(text, 1_000));
    }
}
