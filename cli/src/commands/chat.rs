//! `banter chat`: a REPL over the engine alone. The dialogue state lives as long as the command.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
};

use banter_engine::{
    Engine, Request, Snapshot,
    handlers::script::Scripting,
    host::{Host, HostError, HttpAnswer},
    policy::HttpPolicy,
    state::DialogueState,
    turn::{Message, Output, Turn},
};
use rustyline::{DefaultEditor, error::ReadlineError};
use serde_json::{Value, json};

use super::{print, runtime};
use crate::{failure::Failure, progress::BuildBar};
use banter_server::{assembly, catalogs, config::Config, host::OutboundHttp};

const HELP: &str = "/explain  explain the last reply\n/state    show the dialogue state\n/answer   in a dialogue that is handed off: answer as a person (/answer TEXT), or give it back to the bot\n/reset    start a new dialogue\n/quit     leave (also Ctrl-D)";

/// Chats until the input ends.
pub fn run(config: &Config, json: bool) -> Result<u8, Failure> {
    let scripting = Arc::new(Scripting::new());
    let runtime = runtime(0)?;
    let sandbox = assembly::observing_sandbox(config, runtime.handle().clone());
    let bar = BuildBar::default();
    let catalogue = catalogs::load_good(&config.bot, &scripting, &sandbox, &config.outside)?;
    let encoders = Arc::new(assembly::encoders(&config.embedding, &config.data_dir));
    let host = Arc::new(ChatHost::default());
    let engine = Engine::new(encoders, scripting, host.clone());
    let (snapshot, _) =
        catalogs::build(catalogue, &engine, Some(&config.data_dir.join("index")), &mut |stage| bar.show(stage))?;
    drop(bar);
    let mut chat = Chat { engine, snapshot, host, state: DialogueState::default(), last: None, turns: 0, json };
    if io::stdin().is_terminal() && !json { chat.interactive(config) } else { chat.piped() }
}

struct Chat {
    engine: Engine,
    snapshot: Snapshot,
    host: Arc<ChatHost>,
    state: DialogueState,
    last: Option<Turn>,
    turns: u64,
    json: bool,
}

impl Chat {
    fn interactive(&mut self, config: &Config) -> Result<u8, Failure> {
        let failed =
            |error: ReadlineError| Failure::usage(format!("cannot read the terminal: {error}"), "pipe lines instead");
        let mut editor = DefaultEditor::new().map_err(failed)?;
        let history = config.data_dir.join("chat-history");
        // Before the first chat there is neither a folder nor a history; saving reports an error.
        let _ = fs::create_dir_all(&config.data_dir);
        let loaded = if history.exists() { editor.load_history(&history) } else { Ok(()) };
        if let Err(error) = &loaded {
            eprintln!("warning: cannot read the input history {}, so it is left as it is: {error}", history.display());
        }
        print(format!(
            "{} · {} intents · /help lists the commands",
            self.snapshot.catalogue.name,
            self.snapshot.catalogue.intents.len()
        ));
        loop {
            let language = self.state.language.as_ref().map_or("  ", |language| language.code());
            match editor.readline(&format!("{language} > ")) {
                Ok(line) => {
                    // A line missing from the history must not end the chat.
                    let _ = editor.add_history_entry(&line);
                    if !self.take(&line)? {
                        break;
                    }
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => break,
                Err(error) => return Err(failed(error)),
            }
        }
        if loaded.is_ok()
            && let Err(error) = editor.save_history(&history)
        {
            eprintln!("warning: cannot save the input history: {error}");
        }
        Ok(0)
    }

    fn piped(&mut self) -> Result<u8, Failure> {
        for line in io::stdin().lock().lines() {
            let line =
                line.map_err(|error| Failure::usage(format!("cannot read the input: {error}"), "pipe UTF-8 lines"))?;
            if !self.take(&line)? {
                break;
            }
        }
        Ok(0)
    }

    /// Handles one line; `false` ends the chat.
    fn take(&mut self, line: &str) -> Result<bool, Failure> {
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => return Ok(false),
            "/help" => self.tell(HELP),
            "/reset" => {
                self.state = DialogueState::default();
                self.last = None;
                self.tell("started a new dialogue");
            }
            "/answer" => self.answer(""),
            "/state" => self.tell(pretty(&self.state)),
            "/explain" => match &self.last {
                Some(turn) => self.tell(explain(turn)),
                None => self.tell("there are no replies yet"),
            },
            command if command.starts_with('/') => match command.strip_prefix("/answer ") {
                Some(answer) => self.answer(answer.trim()),
                None => self.tell(format!("unknown command {command}; /help lists the commands")),
            },
            _ => self.say(line)?,
        }
        Ok(true)
    }

    /// Answers from outside.
    fn answer(&mut self, text: &str) {
        if self.state.hand_off.is_none() {
            return self.tell("the dialogue is not handed off");
        }
        self.state.end_hand_off(text);
        self.tell(if text.is_empty() { "given back to the bot" } else { text });
    }

    /// Prints the output of a command. With `--json` it goes to standard error, because programs read only turns.
    fn tell(&self, text: impl std::fmt::Display) {
        if self.json { eprintln!("{text}") } else { print(text) }
    }

    fn say(&mut self, line: &str) -> Result<(), Failure> {
        self.turns += 1;
        let message = Message { text: line, user: 2, dialogue: 1, seed: self.turns };
        let turn = self
            .engine
            .reply(&self.snapshot, Request::new(&self.snapshot, message, &self.state, jiff::Timestamp::now()))
            .map_err(|error| Failure::usage(error.to_string(), "see the message above"))?;
        self.host.keep(&turn.kept);
        self.state = turn.state.clone();
        if self.json {
            print(record(line, &turn).to_string());
        } else {
            turn.outputs.iter().for_each(|output| print(show(output)));
            turn.events.iter().for_each(|event| eprintln!("warning: {}", json!(event)));
            if turn.state.hand_off.is_some() {
                eprintln!("note: the dialogue is handed off; /answer ends that");
            }
        }
        self.last = Some(turn);
        Ok(())
    }
}

fn show(output: &Output) -> String {
    match output {
        Output::Text { text, suggestions } if suggestions.is_empty() => text.clone(),
        Output::Text { text, suggestions } => format!("{text}\n  [{}]", suggestions.join("] [")),
        Output::Image { url } => format!("image: {url}"),
        Output::Payload { value } => format!("payload: {value}"),
    }
}

fn record(line: &str, turn: &Turn) -> Value {
    json!({
        "user": line, "language": turn.language.code(), "type": turn.kind, "intent": turn.intent,
        "probability": turn.probability, "handler": turn.handler, "text": turn.text(), "outputs": turn.outputs,
        "entities": turn.entities, "slots": turn.state.slots, "events": turn.events, "explain": turn.explain,
    })
}

fn pretty<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string())
}

fn explain(turn: &Turn) -> String {
    let mut lines = vec![
        format!("rule      {}", turn.explain.rule),
        format!("language  {}", turn.language),
        format!("handler   {}", turn.handler),
    ];
    if let Some(in_scope) = turn.explain.in_scope {
        lines.push(format!("in scope  {in_scope:.3}"));
    }
    for candidate in &turn.explain.candidates {
        lines.push(format!("          {:.3}  {}", candidate.probability, candidate.intent));
    }
    for near in &turn.explain.neighbours {
        lines.push(format!("near      {:.3}  {:<20} {}", near.similarity, near.intent.as_str(), near.text));
    }
    for entity in &turn.entities {
        lines.push(format!("entity    {} = {} (\"{}\")", entity.entity, entity.value, entity.text));
    }
    lines.extend(turn.explain.trace.iter().map(|step| format!("trace     {step}")));
    let times = &turn.timings;
    lines.push(format!(
        "time      embed {} µs, decide {} µs, handle {} µs",
        times.embed_us, times.decide_us, times.handle_us
    ));
    lines.join("\n")
}

/// Sends HTTP requests as the server does, and keeps values in memory.
#[derive(Default)]
pub(super) struct ChatHost {
    http: OutboundHttp,
    kept: Mutex<BTreeMap<String, Value>>,
}

impl ChatHost {
    pub(super) fn keep(&self, values: &BTreeMap<String, Value>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).extend(values.clone());
    }
}

impl Host for ChatHost {
    fn kv_get(&self, _: i64, key: &str) -> Result<Option<Value>, HostError> {
        Ok(self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        self.http.get(url, policy)
    }

    fn log(&self, source: &str, message: &str) {
        eprintln!("log {source}: {message}");
    }
}
