//! The hot path of a message, for `tools/instructions.sh`, which counts the instructions inside [`guarded_turn`]:
//! `instructions FOLDER KIND`. The first run keeps the fitted classifier in FOLDER, so that a run under Valgrind need not
//! fit it. KIND is `plain`, `form` or `unclear`.

use std::{error::Error, path::Path, sync::Arc};

use banter_engine::{
    Engine, EngineError, Request, Snapshot,
    catalogue::{bundle::Bundle, loader},
    diagnostic::Diagnostics,
    embedding::{AnyLanguage, hashed::HashedEmbedder},
    handlers::{plugin::NoPlugins, script::Scripting},
    host::NoHost,
    policy::Ceiling,
    state::DialogueState,
    turn::{Message, Turn},
};

const FILES: [(&str, &str); 5] = [
    (
        "bot.yaml",
        "name: guarded\nlanguages: [en, ru]\nfallback: { text: { en: Pardon?, ru: Простите? } }\n\
         entities: { order_id: { pattern: '[A-Z]-\\d{4}' } }\n",
    ),
    (
        "intents/greet.yaml",
        "intent: greet\nexamples: { en: [hello there, good morning friend], ru: [привет тебе, доброе утро друг] }\n\
         handler: { reply: { en: Hello!, ru: Привет! } }\n",
    ),
    (
        "intents/hours.yaml",
        "intent: hours\nexamples: { en: [when are you open, opening hours of the shop], ru: [когда вы открыты, часы работы] }\n\
         handler: { script: hours.rhai }\n",
    ),
    (
        "intents/status.yaml",
        "intent: status\nexamples: { en: [where is my order, track order A-1042], ru: [где мой заказ, отследить заказ] }\n\
         slots: { order_id: { entity: order_id, ask: { en: Which order?, ru: Какой заказ? } } }\n\
         handler: { reply: { en: 'Order {order_id} is fine.', ru: 'Заказ {order_id} в порядке.' } }\n",
    ),
    ("scripts/hours.rhai", "fn handle(ctx) { if ctx.language == \"ru\" { \"с девяти\" } else { \"from nine\" } }\n"),
];
const TURNS: usize = 200;
/// Turns before the counted ones: they fill what is computed once.
const WARM: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(kind)) = (arguments.next(), arguments.next()) else {
        return Err("usage: instructions FOLDER plain|form|unclear".into());
    };
    let texts: &[&str] = match kind.as_str() {
        "plain" => &["when are you open", "когда вы открыты", "hello there"],
        "form" => &["where is my order", "A-1042", "где мой заказ", "no, B-2210"],
        "unclear" => &["whre iz the oder of mine", "the moon is full of cheese", "ghbdtn nt,t"],
        _ => return Err(format!("{kind} is none of plain, form, unclear").into()),
    };
    let embedder = Arc::new(HashedEmbedder::new(384));
    let engine = Engine::new(Arc::new(AnyLanguage(embedder)), Arc::new(Scripting::new()), Arc::new(NoHost));
    let snapshot = snapshot(&engine, Path::new(&folder))?;
    let mut state = DialogueState::default();
    for (number, text) in texts.iter().cycle().take(WARM + TURNS).enumerate() {
        let turn = if number < WARM {
            turn(&engine, &snapshot, &state, text)
        } else {
            guarded_turn(&engine, &snapshot, &state, text)
        };
        state = turn?.state;
    }
    println!("{TURNS}");
    Ok(())
}

fn snapshot(engine: &Engine, folder: &Path) -> Result<Snapshot, Box<dyn Error>> {
    let mut diagnostics = Diagnostics::default();
    let bundle = Bundle::of(&FILES);
    let loaded = loader::load(&bundle, engine.scripting(), &NoPlugins, &Ceiling::unlimited(), &mut diagnostics);
    let catalogue = loaded.ok_or_else(|| diagnostics.render(false))?;
    let embedder = engine.embedder(&catalogue)?;
    Ok(Snapshot::build(Arc::new(catalogue), &*embedder, Some(folder), &mut |_| {})?.0)
}

/// What is counted. It must keep its name and its frame.
#[inline(never)]
fn guarded_turn(engine: &Engine, snapshot: &Snapshot, state: &DialogueState, text: &str) -> Result<Turn, EngineError> {
    turn(engine, snapshot, state, text)
}

fn turn(engine: &Engine, snapshot: &Snapshot, state: &DialogueState, text: &str) -> Result<Turn, EngineError> {
    let message = Message { text, user: 1, dialogue: 1, seed: 1 };
    engine.reply(snapshot, Request::new(snapshot, message, state, jiff::Timestamp::UNIX_EPOCH))
}
