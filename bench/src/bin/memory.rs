//! What holds how much memory: `bench/memory [--json]`.
//!
//! Each part is loaded alone in a process of its own, and the empty process is subtracted. Then follows the server with
//! the demo bot: a second start, so that plugins are compiled and the classifier is trained, and 1,000 messages.

use std::{hint::black_box, path::Path, process::Command, thread, time::Duration};

use banter_bench::{
    encoder_folder, encoders, fail,
    memory::{anonymous_kib, resident_kib},
    root,
    server::Server,
};
use banter_engine::{
    catalogue::{bundle::Bundle, loader},
    diagnostic::Diagnostics,
    embedding::{Embedding, Urgency},
    handlers::script::Scripting,
    language::Language,
    policy::Ceiling,
};
use banter_sandbox::Sandbox;
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

/// As in the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MESSAGES: usize = 1_000;
const SENDERS: usize = 100;
/// The demo bot's own kinds of messages: each plugin, a form, a text that is found at once, in both languages.
const SAID: [&str; 9] = [
    "convert 5 km to miles",
    "how much is delivery to Kazan",
    "check order number 79927398713",
    "where is my order",
    "A-1042",
    "hello",
    "что с моим заказом",
    "сколько стоит доставка в Москву",
    "переведи 5 км в мили",
];

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
    /// Load only this part and print its memory; the bench calls itself with it.
    #[arg(long, hide = true)]
    part: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A process that loads nothing.
    Nothing,
    /// The tokenizer.
    Tokenizer,
    /// The model with its tokenizer, after 100 texts.
    Model,
    /// The demo bot's intents, scripts and texts.
    Files,
    /// The demo bot with its compiled plugins.
    Bot,
}

/// Memory in KiB.
#[derive(Clone, Copy)]
struct Held {
    resident: u64,
    anonymous: u64,
}

impl Held {
    fn of_process(id: u32) -> Self {
        Self { resident: resident_kib(id), anonymous: anonymous_kib(id) }
    }

    fn without(self, other: Self) -> Self {
        let less = |ours: u64, theirs: u64| ours.saturating_sub(theirs);
        Self { resident: less(self.resident, other.resident), anonymous: less(self.anonymous, other.anonymous) }
    }

    fn json(self) -> Value {
        json!({ "resident_kib": self.resident, "anonymous_kib": self.anonymous })
    }
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(part) = arguments.part {
        return load(part);
    }
    let folder = root().join(".cache/bench/memory");
    let start = || {
        let mut server = Server::start(&folder);
        drop(server.wait());
        server
    };
    // The first start compiles and trains.
    say(&start(), 1);
    let empty = measure(Part::Nothing);
    let mut rows = vec![
        ("the three tokenizers", measure(Part::Tokenizer).without(empty)),
        ("the three encoders, after 100 texts", measure(Part::Model).without(empty)),
    ];
    let files = measure(Part::Files);
    rows.push(("demo bot without plugins", files.without(empty)));
    rows.push(("its three compiled plugins", measure(Part::Bot).without(files)));
    let server = start();
    say(&server, SAID.len());
    rows.push(("server, after the first messages", Held::of_process(server.id())));
    say(&server, MESSAGES);
    rows.push(("server, after 1,000 messages", Held::of_process(server.id())));
    thread::sleep(Duration::from_secs(15));
    rows.push(("server, 15 s later", Held::of_process(server.id())));
    if arguments.json {
        let rows: Value = rows.iter().map(|(name, held)| ((*name).to_owned(), held.json())).collect();
        println!("{rows}");
        return;
    }
    println!("{:<42} {:>9} {:>10}", "", "resident", "anonymous");
    for (name, Held { resident, anonymous }) in rows {
        println!("{name:<42} {:>5} MiB {:>6} MiB", resident / 1024, anonymous / 1024);
    }
}

/// Sends messages of different senders, one after the other.
fn say(server: &Server, count: usize) {
    let mut connection = banter_bench::http::Connection::open(server.port).unwrap_or_else(|e| fail(&e.to_string()));
    for (index, text) in SAID.iter().cycle().take(count).enumerate() {
        // Every second text is new to the model.
        let text = if index % 2 == 0 { format!("{text} {index}") } else { (*text).to_owned() };
        match connection.say(&format!("sender{}", index % SENDERS), &text) {
            Ok((200, _)) => {}
            other => fail(&format!("a message failed: {other:?}")),
        }
    }
}

/// The memory of a part, in a process of its own.
fn measure(part: Part) -> Held {
    let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let output = std::env::current_exe().and_then(|program| Command::new(program).args(["--part", &name]).output());
    let output = output.unwrap_or_else(|error| fail(&format!("cannot measure {name}: {error}")));
    let printed: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| fail(&format!("cannot measure {name}: {}", String::from_utf8_lossy(&output.stderr))));
    let kib = |key: &str| printed[key].as_u64().unwrap_or_else(|| fail(&format!("{name} printed no {key}")));
    Held { resident: kib("resident_kib"), anonymous: kib("anonymous_kib") }
}

fn load(part: Part) {
    let rest = || {
        // jemalloc returns freed pages after a while.
        thread::sleep(Duration::from_secs(12));
        println!("{}", Held::of_process(std::process::id()).json());
    };
    match part {
        Part::Nothing => rest(),
        Part::Tokenizer => {
            let read = |name| {
                let tokenizer = Tokenizer::from_file(encoder_folder().join(name).join("tokenizer.json"));
                tokenizer.unwrap_or_else(|error| fail(&error.to_string()))
            };
            let tokenizers = black_box(["e5", "minilm", "use"].map(read));
            rest();
            drop(tokenizers);
        }
        Part::Model => {
            let languages: Vec<Language> = ["en", "ru"].into_iter().filter_map(Language::new).collect();
            let encoders = encoders().of(&languages).unwrap_or_else(|error| fail(&error.to_string()));
            for index in 0..100 {
                let texts = [format!("{} {index}", SAID[index % SAID.len()])];
                drop(encoders.embed(&texts, Urgency::Patient).unwrap_or_else(|error| fail(&error.to_string())));
            }
            rest();
        }
        Part::Files => bot(root(), false, rest),
        Part::Bot => bot(root(), true, rest),
    }
}

/// Loads the demo bot as the server does, with or without its plugins. Their compiled code is in the server's data
/// folder.
fn bot(folder: &Path, with_plugins: bool, rest: impl Fn()) {
    let runtime = tokio::runtime::Runtime::new().unwrap_or_else(|error| fail(&error.to_string()));
    let sandbox = Sandbox::observing(runtime.handle().clone(), Some(root().join(".cache/bench/memory/plugins")));
    let mut diagnostics = Diagnostics::default();
    let mut bundle = Bundle::read(folder, &mut diagnostics).unwrap_or_else(|error| fail(&error.to_string()));
    bundle.files.retain(|path, _| with_plugins || !path.ends_with(".wasm"));
    let catalogue = loader::load(&bundle, &Scripting::new(), &sandbox, &Ceiling::unlimited(), &mut diagnostics);
    let catalogue = black_box(catalogue.unwrap_or_else(|| fail(&diagnostics.render(false))));
    rest();
    drop(catalogue);
}
