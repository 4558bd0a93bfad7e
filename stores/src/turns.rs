//! Dialogues and their turns.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use banter_engine::state::DialogueState;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DialogId, Millis, StoreError, UserId};

/// Dialogues.
#[async_trait]
pub trait DialogStore: Send + Sync {
    /// The user's own default dialogue, made when there is none; `None` when the user is gone.
    async fn default_dialog(&self, user: UserId, now: Millis) -> Result<Option<DialogId>, StoreError>;

    /// Whose dialogue it is, or `None` when there is none.
    async fn owner(&self, dialog: DialogId) -> Result<Option<UserId>, StoreError>;

    /// A user's dialogues by id.
    async fn of_user(&self, user: UserId) -> Result<Vec<DialogRecord>, StoreError>;

    /// Makes a dialogue from a record; a second call with the same record finds that of the first.
    async fn import_dialog(&self, user: UserId, record: &DialogRecord) -> Result<DialogId, StoreError>;
}

/// A dialogue as exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogRecord {
    /// Its id where it was exported.
    pub id: DialogId,
    /// Given by the user.
    pub name: String,
    /// The one for messages that name none.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Millis,
}

/// One turn to be stored: one write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTurn {
    /// 24 hex digits.
    pub id: String,
    /// The dialogue.
    pub dialog: DialogId,
    /// The user.
    pub user: UserId,
    /// 1 for the first turn of a dialogue; no holes.
    pub seq: i64,
    /// When it was made.
    pub created_at: Millis,
    /// What the user sent.
    pub text: String,
    /// The reply as one text.
    pub response: String,
    /// Type, intent, confidence, entities, catalogue version, latency.
    pub classification: Value,
    /// What was said and shown.
    pub outputs: Value,
    /// The state after the turn.
    pub state: DialogueState,
    /// The client's key for repeats, and the hash of its request. It is of no use to anybody else.
    #[serde(skip)]
    pub idempotency: Option<(String, [u8; 32])>,
    /// Values that handlers keep for the user.
    #[serde(skip)]
    pub kept: BTreeMap<String, Value>,
}

/// What became of a submitted turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is stored, durably.
    Stored,
    /// Another turn has this place; reload the state and run again.
    Conflict,
    /// A turn with this idempotency key exists.
    Duplicate,
    /// The user is gone. Only a store that keeps users too can tell.
    Gone,
}

/// Resolves when the fate of a submitted turn is durable.
pub type Receipt = BoxFuture<'static, Result<Appended, StoreError>>;

/// The end of a dialogue, as the next turn needs it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastTurn {
    /// 0 for a dialogue without turns.
    pub seq: i64,
    /// The state after it.
    pub state: DialogueState,
}

/// A stored answer to a request that comes again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The hash of the first request.
    pub request_hash: [u8; 32],
    /// The reply as one text.
    pub response: String,
    /// What was said and shown.
    pub outputs: Value,
}

/// One message and its reply, for the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// 24 hex digits.
    pub id: String,
    /// What the user sent.
    pub text: String,
    /// The reply.
    pub response: String,
}

/// Which part of a history.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Only this dialogue.
    pub dialog: Option<DialogId>,
    /// The newest so many.
    pub limit: Option<i64>,
    /// Only what is older than this message.
    pub before: Option<String>,
}

/// Turns, and what handlers keep for users.
#[async_trait]
pub trait TurnStore: Send + Sync {
    /// The end of a dialogue.
    async fn last(&self, dialog: DialogId) -> Result<LastTurn, StoreError>;

    /// Hands a turn in. When this returns, the turn's place in the order of writes is fixed: a later submission that builds
    /// on it may follow at once, and fails with it if it fails. The receipt tells when it is durable; it is awaited or dropped, and what
    /// is handed in later may wait until then.
    async fn submit(&self, turn: NewTurn) -> Result<Receipt, StoreError>;

    /// The answer that a user's idempotency key has had since a time.
    async fn find_answer(&self, user: UserId, key: &str, since: Millis) -> Result<Option<StoredAnswer>, StoreError>;

    /// A user's messages, oldest first.
    async fn history(&self, user: UserId, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError>;

    /// A value that a handler has kept.
    async fn kept(&self, user: UserId, key: &str) -> Result<Option<Value>, StoreError>;

    /// All values that handlers have kept for a user.
    async fn all_kept(&self, user: UserId) -> Result<BTreeMap<String, Value>, StoreError>;

    /// A user's turns in the order in which they were stored, after the one with this id, so many at the most.
    async fn page(&self, user: UserId, after: Option<&str>, limit: u32) -> Result<Vec<NewTurn>, StoreError>;

    /// What users have said since, outside forms, the newest first and each once, `limit` at the most. [`SEARCHED`] turns are looked
    /// through.
    async fn utterances(&self, since: Millis, limit: u32) -> Result<Utterances, StoreError>;

    /// Removes some of a user's turns, and at the end what handlers have kept; `false` when nothing was left to remove.
    async fn remove_some(&self, user: UserId) -> Result<bool, StoreError>;

    /// Whether the store reads and writes.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Turns that are looked through for utterances, the newest first.
pub const SEARCHED: usize = 20_000;

/// Different messages of users, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utterances {
    /// Each once.
    pub texts: Vec<String>,
    /// Whether there are, or may be, more.
    pub more: bool,
    searched: usize,
    seen: HashSet<String>,
    limit: usize,
}

impl Utterances {
    /// None so far, and `limit` at the most.
    pub fn up_to(limit: u32) -> Self {
        Self { limit: limit as usize, ..Self::default() }
    }

    /// Takes the next older one; `false` when no more are wanted.
    pub fn take(&mut self, text: String) -> bool {
        self.searched += 1;
        if self.seen.insert(text.clone()) {
            if self.texts.len() == self.limit {
                self.more = true;
                return false;
            }
            self.texts.push(text);
        }
        self.more = self.searched >= SEARCHED;
        !self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utterances_are_counted_once_and_more_are_told_of() {
        let take = |texts: &[&str]| {
            let mut found = Utterances::up_to(2);
            let _ = texts.iter().all(|text| found.take((*text).to_owned()));
            (found.texts, found.more)
        };
        let both = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(take(&["a", "a", "a", "b", "a"]), (both.clone(), false));
        assert_eq!(take(&["a", "b", "c", "d"]), (both, true));
        assert_eq!(take(&["a"; SEARCHED + 1]), (vec!["a".to_owned()], true), "who knows what lies behind");
    }
}
