//! What people do at the console with conversations: read, search, count, export, and teach the bot.

mod candidate;
mod numbers;
mod review;
mod users;
mod view;

use std::{path::PathBuf, sync::Arc};

use banter_engine::{
    Engine,
    catalogue::bundle::Bundle,
    lesson::{self, Lesson, LessonError},
    replay::record::{self, MAX_MESSAGES, RecordError, Said, Utterance, text_slots},
};
use banter_stores::{DialogueId, NewTurn, StoreError, Stores, TurnFilter, clock::SharedClock};
use thiserror::Error;
use tokio::{sync::Mutex, task::block_in_place};

use crate::catalogs::{
    follower::Follower,
    releases::Releases,
    serving::Serving,
    source::Source,
    terms::{Actor, NothingToDo, Published, ReleaseError, Wish},
};
pub use candidate::Tried;
pub use numbers::{Numbers, STEPS};
pub use review::{ReviewGroup, ReviewedText};
pub use users::UserSummary;
pub use view::{ConsoleTurn, Texts};

/// Turns read at a time.
const PAGE: u32 = 200;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ConsoleError {
    #[error("there is no such dialogue")]
    UnknownDialogue,
    #[error("there is no such user")]
    UnknownUser,
    /// Empty or too long.
    #[error("the text is empty or too long")]
    Text,
    #[error(transparent)]
    Lesson(#[from] LessonError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Internal(String),
}

pub struct Console {
    stores: Stores,
    source: Arc<Source>,
    follower: Arc<Follower>,
    releases: Arc<Releases>,
    engine: Arc<Engine>,
    clock: SharedClock,
    /// The bot's folder, if the server follows it: what is taught is written there, too.
    folder: Option<PathBuf>,
    /// Where exports lie until they are sent.
    data_dir: PathBuf,
    /// The last version that was tried and is not in use.
    candidate: Mutex<Option<Arc<Serving>>>,
}

/// What the console works on.
pub struct ConsoleParts {
    pub source: Arc<Source>,
    pub follower: Arc<Follower>,
    pub releases: Arc<Releases>,
    pub engine: Arc<Engine>,
    pub clock: SharedClock,
    pub folder: Option<PathBuf>,
    pub data_dir: PathBuf,
}

/// Turns of a search, or of a conversation.
pub struct FoundPage {
    pub turns: Vec<ConsoleTurn>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// What was taught, or would be.
pub struct Taught {
    pub published: Published,
    /// The paths of the files that are new or changed.
    pub files: Vec<String>,
}

impl Console {
    pub fn new(parts: ConsoleParts, stores: Stores) -> Self {
        let ConsoleParts { source, follower, releases, engine, clock, folder, data_dir } = parts;
        Self { stores, source, follower, releases, engine, clock, folder, data_dir, candidate: Mutex::default() }
    }

    /// The newest turns that a filter takes, before the turn with id `before`.
    ///
    /// # Errors
    /// [`ConsoleError::Store`].
    pub async fn search(
        &self,
        filter: &TurnFilter,
        before: Option<&str>,
        limit: u32,
        texts: Texts,
    ) -> Result<FoundPage, ConsoleError> {
        let found = self.stores.reports.search(filter, before, limit).await?;
        Ok(FoundPage { turns: texts.view(found.turns), next: found.next })
    }

    /// The turns of a dialogue in order, after turn number `after`.
    ///
    /// # Errors
    /// [`ConsoleError::UnknownDialogue`], [`ConsoleError::Store`].
    pub async fn conversation(
        &self,
        dialogue: DialogueId,
        after: i64,
        limit: u32,
        texts: Texts,
    ) -> Result<Vec<ConsoleTurn>, ConsoleError> {
        if self.stores.dialogues.owner(dialogue).await?.is_none() {
            return Err(ConsoleError::UnknownDialogue);
        }
        Ok(texts.view(self.stores.turns.of_dialogue(dialogue, after, limit).await?))
    }

    /// A dialogue as a fixture in YAML, without personal data unless all texts may be seen. The last messages of a long
    /// one.
    ///
    /// # Errors
    /// [`ConsoleError`].
    pub async fn fixture(&self, dialogue: DialogueId, texts: Texts) -> Result<String, ConsoleError> {
        if self.stores.dialogues.owner(dialogue).await?.is_none() {
            return Err(ConsoleError::UnknownDialogue);
        }
        let last = self.stores.turns.last(dialogue).await?.seq;
        let begin = (last - MAX_MESSAGES as i64).max(0);
        let mut turns: Vec<NewTurn> = Vec::new();
        while let page =
            self.stores.turns.of_dialogue(dialogue, turns.last().map_or(begin, |turn| turn.seq), PAGE).await?
            && !page.is_empty()
        {
            turns.extend(page);
        }
        let said = Said {
            name: format!("dialogue {}", dialogue.0),
            messages: Utterance::of(
                turns.iter().map(|turn| (turn.created_at, turn.text.as_str(), turn.response.as_str())),
            ),
            slots: turns.iter().flat_map(|turn| text_slots(&turn.state.slots)).collect(),
            seed: 0,
        };
        let snapshot = Arc::clone(&self.follower.line().stable.snapshot);
        let (engine, host) = (&self.engine, Arc::clone(self.engine.host()));
        let redact = texts == Texts::Masked;
        let work = || record::record(engine, host, &snapshot, &said, redact);
        Ok(block_in_place(|| self.source.gate.run(work))?)
    }

    /// Adds an example of an intent and a fixture to the version in use, and publishes the result through the gate.
    ///
    /// # Errors
    /// [`ConsoleError::Lesson`], [`ConsoleError::Release`].
    pub async fn teach(&self, lesson: &Lesson, wish: &Wish, actor: &Actor) -> Result<Taught, ConsoleError> {
        // Not what this server serves: another one may have published since.
        let activation = self.stores.catalog.activation().await?;
        let activation = activation.ok_or(ReleaseError::Nothing(NothingToDo::NothingPublished))?;
        let base = self.source.bundle(&self.source.record(&activation.version).await?).await?;
        let mut bundle = base.clone();
        let files = lesson::files(&bundle, lesson)?;
        for (path, bytes) in &files {
            bundle.files.insert(path.clone(), bytes.clone());
        }
        let diagnostics = banter_engine::diagnostic::Diagnostics::default();
        let wish = Wish { expected: Some(activation.generation), ..wish.clone() };
        let published = self.releases.publish(bundle, diagnostics, &wish, actor, &|_| {}).await?;
        if published.activated {
            block_in_place(|| self.write_down(&base, &files));
        }
        Ok(Taught { published, files: files.map(|(path, _)| path).to_vec() })
    }

    /// Writes files into the bot's folder that the server follows: its next change would undo what was taught.
    /// A file that somebody is editing stays as it is.
    fn write_down(&self, base: &Bundle, files: &[(String, Vec<u8>)]) {
        let Some(folder) = &self.folder else { return };
        for (path, bytes) in files {
            let target = folder.join(path);
            if std::fs::read(&target).ok().as_ref() != base.files.get(path) {
                tracing::warn!(path, "what was taught is not written into the bot's folder: the file there is another");
                continue;
            }
            let made = target.parent().map_or(Ok(()), std::fs::create_dir_all);
            if let Err(error) = made.and_then(|()| std::fs::write(&target, bytes)) {
                tracing::error!(%error, path, "what was taught is published, but not written into the bot's folder");
            }
        }
    }
}
