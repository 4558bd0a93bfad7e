//! `banter record`: turns real conversations into fixtures.

mod log;

use std::{
    fs::{self, OpenOptions},
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use banter_engine::{
    Engine, Request, Snapshot,
    handlers::script::Scripting,
    host::Host,
    replay::record::{self, MAX_MESSAGES, RecordError, Said, Utterance},
    state::DialogueState,
    turn::Message,
};
use clap::{Args, Subcommand};
use tokio::runtime::Runtime;

use super::{chat::ChatHost, print, runtime, user};
use crate::{failure::Failure, progress::BuildBar};
use banter_server::{assembly, catalogs, config::Config};
use banter_stores::{NewTurn, Stores, UserId};

/// Turns per page read from the store.
const PAGE: u32 = 500;
/// Printed when `record chat` starts on a terminal.
const HELP: &str = "type a message; an empty line or Ctrl-D ends the recording";

/// The source of a conversation.
#[derive(Debug, Subcommand)]
pub enum RecordSource {
    /// Chat now, or pipe lines; the conversation becomes a fixture.
    #[command(after_help = "Example:\n  banter record chat --out fixtures/refund.yaml")]
    Chat(Common),
    /// Record a user's dialogue from the stores.
    #[command(
        alias = "dialog",
        after_help = "Example:\n  banter record dialogue ann@mail.example --out fixtures/ann.yaml"
    )]
    Dialogue {
        /// User number or e-mail address.
        user: String,
        /// The dialogue to record; the default is all dialogues of the user, in order.
        #[arg(long, alias = "dialog", value_name = "ID")]
        dialogue: Option<i64>,
        /// Record only the last N messages.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        /// Options of all sources.
        #[command(flatten)]
        common: Common,
    },
    /// Record an access log in JSON Lines.
    ///
    /// Each line has `text` or `message`, and may have `sender`, `user_id` or `dialog_id`, and `time`.
    #[command(after_help = "Example:\n  banter record log access.jsonl --out fixtures/log")]
    Log {
        /// The log file; `-` for standard input.
        file: PathBuf,
        /// Options of all sources.
        #[command(flatten)]
        common: Common,
    },
}

/// Options of all sources.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// The file to create, or the folder for a log with several conversations; the default is standard output.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// The name of the fixture.
    #[arg(long)]
    name: Option<String>,
    /// Do not redact personal data: e-mail addresses, phone and card numbers, and names in slots.
    #[arg(long, alias = "no-mask")]
    no_redact: bool,
    /// The bot's folder.
    #[arg(long, value_name = "DIR")]
    bot: Option<PathBuf>,
    /// The folder of cached embeddings and the embedded store.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl RecordSource {
    /// The bot folder and the data folder, for the configuration.
    pub fn folders(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        let common = self.common();
        (common.bot.clone(), common.data_dir.clone())
    }

    fn common(&self) -> &Common {
        match self {
            Self::Chat(common) | Self::Dialogue { common, .. } | Self::Log { common, .. } => common,
        }
    }
}

pub fn run(config: &Config, source: &RecordSource) -> Result<u8, Failure> {
    let common = source.common();
    match source {
        RecordSource::Chat(_) => {
            // Checked before the chat, which would be lost.
            if let Some(path) = common.out.as_ref().filter(|path| path.exists()) {
                return Err(Failure::usage(
                    format!("{} already exists", path.display()),
                    "choose another file with --out",
                ));
            }
            let recorder = Recorder::open(config)?;
            let said = recorder.listen(common)?;
            recorder.write(&said, common, common.out.as_deref())
        }
        RecordSource::Dialogue { user, dialogue, last, .. } => {
            let said = stored(config, user, *dialogue, *last, common)?;
            Recorder::open(config)?.write(&said, common, common.out.as_deref())
        }
        RecordSource::Log { file, .. } => {
            let all = log::read(file, common)?;
            let recorder = Recorder::open(config)?;
            if common.out.is_none() && all.len() > 1 {
                let message = format!("the log has {} speakers, and each becomes a separate fixture", all.len());
                return Err(Failure::usage(message, "choose a folder with --out"));
            }
            let place =
                |number: usize| common.out.as_ref().map(|folder| folder.join(format!("{:03}.yaml", number + 1)));
            // Either all fixtures are written, or none.
            let taken = (0..all.len()).filter_map(place).find(|path| path.exists());
            if let Some(path) = taken {
                return Err(Failure::usage(
                    format!("{} already exists", path.display()),
                    "choose another folder with --out",
                ));
            }
            let texts = all.iter().map(|logged| {
                recorder.fixture(&logged.said, common).map_err(|failure| {
                    let message = format!("{}:{}: {}", file.display(), logged.line, failure.message);
                    Failure { message, ..failure }
                })
            });
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            for (number, (logged, text)) in all.iter().zip(&texts).enumerate() {
                if let Err(failure) = write(text, logged.said.messages.len(), place(number).as_deref()) {
                    // This run created these files: none of them existed before.
                    for path in (0..number).filter_map(place) {
                        let _ = fs::remove_file(path);
                    }
                    return Err(failure);
                }
            }
            Ok(0)
        }
    }
}

/// A bot that recorded messages are played to.
struct Recorder {
    engine: Engine,
    outside: Arc<ChatHost>,
    snapshot: Snapshot,
    _runtime: Runtime,
}

impl Recorder {
    fn open(config: &Config) -> Result<Self, Failure> {
        let scripting = Arc::new(Scripting::tracing());
        let runtime = runtime(0)?;
        let sandbox = assembly::observing_sandbox(config, runtime.handle().clone());
        let bar = BuildBar::default();
        let catalogue = catalogs::load_good(&config.bot, &scripting, &sandbox, &config.outside)?;
        let encoders = Arc::new(assembly::encoders(&config.embedding, &config.data_dir));
        let outside = Arc::new(ChatHost::default());
        let engine = Engine::new(encoders, scripting, outside.clone());
        let folder = config.data_dir.join("index");
        let (snapshot, _) = catalogs::build(catalogue, &engine, Some(&folder), &mut |stage| bar.show(stage))?;
        Ok(Self { engine, outside, snapshot, _runtime: runtime })
    }

    /// Chats until the input ends.
    fn listen(&self, common: &Common) -> Result<Said, Failure> {
        let seed = 0;
        let now = jiff::Timestamp::now();
        let mut said = Said { name: named(common, "a chat"), seed, ..Said::default() };
        let interactive = io::stdin().is_terminal();
        if interactive {
            eprintln!("{HELP}");
        }
        let mut state = DialogueState::default();
        for line in io::stdin().lock().lines() {
            let line =
                line.map_err(|error| Failure::usage(format!("cannot read the input: {error}"), "pipe UTF-8 lines"))?;
            if line.trim().is_empty() {
                if interactive { break } else { continue }
            }
            if said.messages.len() == MAX_MESSAGES {
                tell_cut("the conversation");
                break;
            }
            let message = Message { text: &line, user: 2, dialogue: 1, seed: seed ^ said.messages.len() as u64 };
            let turn = self.engine.reply(&self.snapshot, Request::new(&self.snapshot, message, &state, now));
            let turn = turn.map_err(|error| Failure::usage(error.to_string(), "see the log"))?;
            self.outside.keep(&turn.kept);
            if interactive {
                eprintln!("{}", turn.text());
            }
            said.slots.extend(record::text_slots(&turn.state.slots));
            state = turn.state;
            said.messages.push(Utterance { text: line, at: Some(now), answered: None });
        }
        Ok(said)
    }

    fn write(&self, said: &Said, common: &Common, path: Option<&Path>) -> Result<u8, Failure> {
        write(&self.fixture(said, common)?, said.messages.len(), path)
    }

    fn fixture(&self, said: &Said, common: &Common) -> Result<String, Failure> {
        let host: Arc<dyn Host> = self.outside.clone();
        record::record(&self.engine, host, &self.snapshot, said, !common.no_redact).map_err(|error| {
            let hint = match &error {
                RecordError::Engine(_) => "see the log",
                RecordError::Empty => "record one with at least one message",
                RecordError::Invalid(_) => "remove the message that causes the error",
                RecordError::Unrepeatable => "record the conversation in shorter parts",
            };
            Failure::usage(error.to_string(), hint)
        })
    }
}

fn write(text: &str, messages: usize, path: Option<&Path>) -> Result<u8, Failure> {
    let Some(path) = path else {
        print(text.trim_end());
        return Ok(0);
    };
    let failed = |error: io::Error| {
        let hint = if error.kind() == io::ErrorKind::AlreadyExists {
            "choose another file"
        } else {
            "check the permissions of the folder"
        };
        Failure::usage(format!("cannot create {}: {error}", path.display()), hint)
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    if let Err(error) = file.write_all(text.as_bytes()) {
        // A partial file is useless, and would block the next attempt.
        let _ = fs::remove_file(path);
        return Err(failed(error));
    }
    print(format!("{}: {} messages; `banter replay {}` passes", path.display(), messages, path.display()));
    Ok(0)
}

fn tell_cut(what: &str) {
    eprintln!("warning: {what} is longer than {MAX_MESSAGES} messages, the limit of a recording; the rest is dropped");
}

fn named(common: &Common, otherwise: &str) -> String {
    common.name.clone().unwrap_or_else(|| otherwise.to_owned())
}

fn stored(
    config: &Config,
    who: &str,
    dialogue: Option<i64>,
    last: Option<usize>,
    common: &Common,
) -> Result<Said, Failure> {
    let mut turns: Vec<NewTurn> = Vec::new();
    user::with_stores(config, async |stores| {
        let user = user::find(stores, who).await?;
        turns = all_turns(stores, user, dialogue).await?;
        Ok(0)
    })?;
    if last.is_none_or(|last| last > MAX_MESSAGES) && turns.len() > MAX_MESSAGES {
        eprintln!("warning: a recording is limited to {MAX_MESSAGES} messages; only the last ones are recorded");
    }
    let skip = turns.len().saturating_sub(last.unwrap_or(MAX_MESSAGES).min(MAX_MESSAGES));
    let turns = &turns[skip..];
    if turns.is_empty() {
        return Err(Failure::usage(format!("{who} has no messages to record"), "choose another user or dialogue"));
    }
    Ok(Said {
        name: named(common, "a dialogue from the stores"),
        messages: Utterance::of(turns.iter().map(|turn| (turn.created_at, turn.text.as_str(), turn.response.as_str()))),
        slots: turns.iter().flat_map(|turn| record::text_slots(&turn.state.slots)).collect(),
        seed: 0,
    })
}

async fn all_turns(stores: &Stores, user: UserId, dialogue: Option<i64>) -> Result<Vec<NewTurn>, Failure> {
    let mut all: Vec<NewTurn> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = stores.turns.page(user, after.as_deref(), PAGE).await;
        let page = page.map_err(|error| Failure::usage(error.to_string(), "check the stores"))?;
        let Some(end) = page.last() else { return Ok(all) };
        after = Some(end.id.clone());
        all.extend(page.into_iter().filter(|turn| dialogue.is_none_or(|dialogue| turn.dialogue.0 == dialogue)));
        // Only the last messages are recorded; one more shows that there are earlier ones.
        let surplus = all.len().saturating_sub(MAX_MESSAGES + 1);
        all.drain(..surplus);
    }
}
