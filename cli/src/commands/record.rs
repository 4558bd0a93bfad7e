//! `banter record`: fixtures out of conversations that took place.

mod log;

use std::{
    fs::{self, OpenOptions},
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use banter_engine::{Engine, Snapshot, handlers::script::Scripting, host::Host, state::DialogueState, turn::Message};
use clap::{Args, Subcommand};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{chat::ChatHost, print, runtime, user};
use crate::{
    failure::Failure,
    progress::BuildBar,
    replays::record::{self, MAX_MESSAGES, Said, Utterance},
};
use banter_server::{assembly, catalogs, config::Config};
use banter_stores::{NewTurn, Stores, UserId};

/// Turns read at a time.
const PAGE: u32 = 500;
/// The end of input, for `chat`.
const HELP: &str = "say something; an empty line or Ctrl-D ends the recording";

/// Where conversations come from.
#[derive(Debug, Subcommand)]
pub enum Source {
    /// Talk now, or pipe lines; what was said becomes a fixture.
    #[command(after_help = "Example:\n  banter record chat --out fixtures/refund.yaml")]
    Chat(Common),
    /// A user's dialogue in the stores.
    #[command(after_help = "Example:\n  banter record dialog ann@mail.example --out fixtures/ann.yaml")]
    Dialog {
        /// Number or e-mail address of the user.
        user: String,
        /// Which of their dialogues; all of it in order without this.
        #[arg(long, value_name = "ID")]
        dialog: Option<i64>,
        /// Only the last messages.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        /// What all sources share.
        #[command(flatten)]
        common: Common,
    },
    /// An access log in JSON Lines: each line has `text` or `message`, and may have `sender`, `user_id` or `dialog_id`, and `time`.
    #[command(after_help = "Example:\n  banter record log access.jsonl --out fixtures/log")]
    Log {
        /// The log; `-` for standard input.
        file: PathBuf,
        /// What all sources share.
        #[command(flatten)]
        common: Common,
    },
}

/// What all sources share.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// The file to make; for a log, the folder. Standard output without it.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// What the fixture is called.
    #[arg(long)]
    name: Option<String>,
    /// Leave personal data as it is: e-mail addresses, telephone and card numbers, and names in slots.
    #[arg(long)]
    no_mask: bool,
    /// The bot's folder.
    #[arg(long, value_name = "DIR")]
    bot: Option<PathBuf>,
    /// Where vectors and the embedded store are.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Source {
    /// Bot and data folder, for the configuration.
    pub fn folders(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        let common = self.common();
        (common.bot.clone(), common.data_dir.clone())
    }

    fn common(&self) -> &Common {
        match self {
            Self::Chat(common) | Self::Dialog { common, .. } | Self::Log { common, .. } => common,
        }
    }
}

/// Records.
pub fn run(config: &Config, source: &Source) -> Result<u8, Failure> {
    let common = source.common();
    match source {
        Source::Chat(_) => {
            // Before anything is said that would be lost.
            if let Some(path) = common.out.as_ref().filter(|path| path.exists()) {
                return Err(Failure::usage(format!("{} exists already", path.display()), "name another file"));
            }
            let recorder = Recorder::open(config)?;
            let said = recorder.listen(common)?;
            recorder.write(&said, common, common.out.as_deref())
        }
        Source::Dialog { user, dialog, last, .. } => {
            let said = stored(config, user, *dialog, *last, common)?;
            Recorder::open(config)?.write(&said, common, common.out.as_deref())
        }
        Source::Log { file, .. } => {
            let all = log::read(file, common)?;
            let recorder = Recorder::open(config)?;
            if common.out.is_none() && all.len() > 1 {
                let message = format!("{} people speak, and each is a fixture of their own", all.len());
                return Err(Failure::usage(message, "name a folder with --out"));
            }
            let place =
                |number: usize| common.out.as_ref().map(|folder| folder.join(format!("{:03}.yaml", number + 1)));
            // All of them, or none.
            let taken = (0..all.len()).filter_map(place).find(|path| path.exists());
            if let Some(path) = taken {
                return Err(Failure::usage(format!("{} exists already", path.display()), "name another folder"));
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
                    // They are this run's own: none of them was there before.
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

/// A bot that what was said is played to.
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
        let catalogue = catalogs::load_good(&config.bot, &scripting, &sandbox)?;
        let embedder = assembly::embedder(&config.embedding, &config.data_dir)?;
        let outside = Arc::new(ChatHost::default());
        let engine = Engine::new(embedder, scripting, outside.clone());
        let bar = BuildBar::default();
        let folder = config.data_dir.join("index");
        let (snapshot, _) = catalogs::build(catalogue, &engine, Some(&folder), &mut |stage| bar.show(stage))?;
        Ok(Self { engine, outside, snapshot, _runtime: runtime })
    }

    /// Talks until the input ends.
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
                line.map_err(|error| Failure::usage(format!("the input cannot be read: {error}"), "pipe UTF-8 lines"))?;
            if line.trim().is_empty() {
                if interactive { break } else { continue }
            }
            if said.messages.len() == MAX_MESSAGES {
                tell_cut("the conversation");
                break;
            }
            let message = Message { text: &line, user: 2, dialog: 1, seed: seed ^ said.messages.len() as u64 };
            let turn = self.engine.reply(&self.snapshot, &state, &message, self.snapshot.local(now));
            let turn = turn.map_err(|error| Failure::usage(error.to_string(), "see the log"))?;
            self.outside.keep(&turn.kept);
            if interactive {
                eprintln!("{}", turn.text());
            }
            said.slots.extend(names(&turn.state));
            state = turn.state;
            said.messages.push(Utterance { text: line, at: Some(now) });
        }
        Ok(said)
    }

    fn write(&self, said: &Said, common: &Common, path: Option<&Path>) -> Result<u8, Failure> {
        write(&self.fixture(said, common)?, said.messages.len(), path)
    }

    fn fixture(&self, said: &Said, common: &Common) -> Result<String, Failure> {
        let host: Arc<dyn Host> = self.outside.clone();
        record::fixture(&self.engine, host, &self.snapshot, said, !common.no_mask)
    }
}

fn write(text: &str, messages: usize, path: Option<&Path>) -> Result<u8, Failure> {
    let Some(path) = path else {
        print(text.trim_end());
        return Ok(0);
    };
    let failed = |error: io::Error| {
        let hint = if error.kind() == io::ErrorKind::AlreadyExists {
            "name another file"
        } else {
            "check the folder's rights"
        };
        Failure::usage(format!("{} cannot be made: {error}", path.display()), hint)
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    if let Err(error) = file.write_all(text.as_bytes()) {
        // Half of it is of use to nobody, and would be in the way the next time.
        let _ = fs::remove_file(path);
        return Err(failed(error));
    }
    print(format!("{}: {} messages; `banter replay {}` passes", path.display(), messages, path.display()));
    Ok(0)
}

fn tell_cut(what: &str) {
    eprintln!("warning: {what} goes on, but a recording has {MAX_MESSAGES} messages at the most; the rest is left out");
}

fn named(common: &Common, otherwise: &str) -> String {
    common.name.clone().unwrap_or_else(|| otherwise.to_owned())
}

fn names(state: &DialogueState) -> Vec<(String, String)> {
    let text = |(slot, value): (&String, &Value)| Some((slot.clone(), value.as_str()?.to_owned()));
    state.slots.iter().filter_map(text).collect()
}

/// A dialogue from the stores.
fn stored(
    config: &Config,
    who: &str,
    dialog: Option<i64>,
    last: Option<usize>,
    common: &Common,
) -> Result<Said, Failure> {
    let mut turns: Vec<NewTurn> = Vec::new();
    user::with_stores(config, async |stores| {
        let user = user::find(stores, who).await?;
        turns = all_turns(stores, user, dialog).await?;
        Ok(0)
    })?;
    if last.is_none_or(|last| last > MAX_MESSAGES) && turns.len() > MAX_MESSAGES {
        eprintln!("warning: a recording has {MAX_MESSAGES} messages at the most; only the last ones are in it");
    }
    let skip = turns.len().saturating_sub(last.unwrap_or(MAX_MESSAGES).min(MAX_MESSAGES));
    let turns = &turns[skip..];
    if turns.is_empty() {
        return Err(Failure::usage(format!("{who} has said nothing there"), "name another user or dialogue"));
    }
    Ok(Said {
        name: named(common, "a dialogue from the stores"),
        messages: turns
            .iter()
            .map(|turn| Utterance {
                text: turn.text.clone(),
                at: jiff::Timestamp::from_millisecond(turn.created_at).ok(),
            })
            .collect(),
        slots: turns.iter().flat_map(|turn| names(&turn.state)).collect(),
        seed: 0,
    })
}

async fn all_turns(stores: &Stores, user: UserId, dialog: Option<i64>) -> Result<Vec<NewTurn>, Failure> {
    let mut all: Vec<NewTurn> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = stores.turns.page(user, after.as_deref(), PAGE).await;
        let page = page.map_err(|error| Failure::usage(error.to_string(), "check the stores"))?;
        let Some(end) = page.last() else { return Ok(all) };
        after = Some(end.id.clone());
        all.extend(page.into_iter().filter(|turn| dialog.is_none_or(|dialog| turn.dialog.0 == dialog)));
        // Only the last messages can be wanted; one more tells that there are others.
        let surplus = all.len().saturating_sub(MAX_MESSAGES + 1);
        all.drain(..surplus);
    }
}
