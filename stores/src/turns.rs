//! Dialogues and their turns.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use banter_engine::state::DialogueState;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DialogueId, HandOffChange, Millis, StoreError, UserId};

#[async_trait]
pub trait DialogueStore: Send + Sync {
    /// The user's default dialogue, created if there is none. `None` if the user does not exist.
    async fn default_dialogue(&self, user: UserId, now: Millis) -> Result<Option<DialogueId>, StoreError>;

    /// The user of a dialogue; `None` if the dialogue does not exist.
    async fn owner(&self, dialogue: DialogueId) -> Result<Option<UserId>, StoreError>;

    /// A user's dialogues, sorted by id.
    async fn of_user(&self, user: UserId) -> Result<Vec<DialogueRecord>, StoreError>;

    /// Creates a dialogue, unless the user has `limit` of them already; the default one does not count. `None` if the
    /// limit is reached, or if the user does not exist.
    async fn create_dialogue(
        &self,
        user: UserId,
        name: &str,
        limit: u32,
        now: Millis,
    ) -> Result<Option<DialogueId>, StoreError>;

    /// Renames a dialogue. Returns `false` if the user has no such dialogue besides the default one.
    async fn rename_dialogue(&self, user: UserId, dialogue: DialogueId, name: &str) -> Result<bool, StoreError>;

    /// Marks a dialogue as being deleted, so that it is no longer found. Returns `false` if the user has no such
    /// dialogue besides the default one. May be called again.
    async fn begin_removal(&self, user: UserId, dialogue: DialogueId, now: Millis) -> Result<bool, StoreError>;

    /// Removes a dialogue that is being deleted. Its turns must be gone.
    async fn finish_removal(&self, dialogue: DialogueId) -> Result<(), StoreError>;

    /// Dialogues that are being deleted, with their users.
    async fn unfinished_removals(&self) -> Result<Vec<(UserId, DialogueId)>, StoreError>;

    /// Creates a dialogue from a record. A second call with the same record returns the same dialogue.
    async fn import_dialogue(&self, user: UserId, record: &DialogueRecord) -> Result<DialogueId, StoreError>;
}

/// A dialogue as exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogueRecord {
    /// Its id in the exporting system.
    pub id: DialogueId,
    pub name: String,
    /// Whether messages without a dialogue id go here.
    pub is_default: bool,
    pub created_at: Millis,
}

/// A turn to store, in one write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewTurn {
    /// 24 hex digits.
    pub id: String,
    #[serde(rename = "dialog")]
    pub dialogue: DialogueId,
    pub user: UserId,
    /// Number of the turn in its dialogue; starts at 1, without gaps.
    pub seq: i64,
    pub created_at: Millis,
    /// What the user sent.
    pub text: String,
    /// The reply as one text.
    pub response: String,
    /// Type, intent, confidence, entities, catalogue version, latency.
    pub classification: Value,
    /// The outputs: texts, images, payloads.
    pub outputs: Value,
    /// The state after the turn.
    pub state: DialogueState,
    /// The client's idempotency key and the hash of its request. Not exported: an importing system has no use for it.
    #[serde(skip)]
    pub idempotency: Option<(String, [u8; 32])>,
    /// What the turn changes about who is to answer. Not exported: an import finds it by comparing states.
    #[serde(skip)]
    pub hand_off: HandOffChange,
    /// Values that handlers keep for the user in this turn.
    #[serde(skip)]
    pub kept: BTreeMap<String, Value>,
}

/// The result of a submitted turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The turn is stored durably.
    Stored,
    /// The turn's number is taken, or the turn before is missing. Reload the state and run the turn again.
    Conflict,
    /// A turn with this idempotency key exists already.
    Duplicate,
    /// The user does not exist. Only a store that also holds users reports this.
    Gone,
    /// The dialogue does not exist. Only a store that also holds dialogues reports this.
    DialogueGone,
}

/// Resolves when the turn is durable or has failed.
pub type Receipt = BoxFuture<'static, Result<Appended, StoreError>>;

/// The last turn of a dialogue, as the next turn needs it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastTurn {
    /// 0 for a dialogue without turns.
    pub seq: i64,
    /// The state after it.
    pub state: DialogueState,
}

/// The stored answer to a repeated request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The hash of the first request.
    pub request_hash: [u8; 32],
    /// The reply as one text.
    pub response: String,
    /// The outputs: texts, images, payloads.
    pub outputs: Value,
    /// The turn, if it handed the dialogue off.
    #[serde(default)]
    pub handed_off: Option<Place>,
}

/// A turn's place in its dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub dialogue: DialogueId,
    pub seq: i64,
}

/// One message and its reply, for the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its place in the order of the history that was asked for; see [`HistoryQuery::after`].
    pub place: u64,
    /// 24 hex digits.
    pub id: String,
    /// What the user sent; empty if the bot began.
    pub text: String,
    pub response: String,
}

/// Selects part of a history.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// Only this dialogue.
    pub dialogue: Option<DialogueId>,
    /// Only this many messages: the newest, or with `after` the first ones behind it.
    pub limit: Option<u64>,
    /// Only messages older than the one with this id.
    pub before: Option<String>,
    /// Only messages behind this place. The message there need not exist any more.
    pub after: Option<u64>,
}

/// Messages of a history that are read at once, so that a history of any length needs little memory.
pub const HISTORY_PAGE: u64 = 64;

impl HistoryQuery {
    /// The query for what follows a page; `None` if the page is the last one.
    pub fn behind(self, page: &[HistoryEntry]) -> Option<Self> {
        let read = page.len() as u64;
        let left = self.limit.map(|limit| limit.saturating_sub(read));
        let last = page.last().filter(|_| read == HISTORY_PAGE && left != Some(0))?;
        Some(Self { after: Some(last.place), limit: left, ..self })
    }
}

/// Turns, and values that handlers keep for users.
#[async_trait]
pub trait TurnStore: Send + Sync {
    async fn last(&self, dialogue: DialogueId) -> Result<LastTurn, StoreError>;

    /// Submits a turn. When this returns, the turn's position in the order of writes is fixed: a turn that builds on it
    /// can be submitted at once, and fails if this one fails. The receipt resolves when the turn is durable. Await or
    /// drop it: later submissions may wait until then.
    async fn submit(&self, turn: NewTurn) -> Result<Receipt, StoreError>;

    /// The answer stored for a user's idempotency key after `since`.
    async fn find_answer(&self, user: UserId, key: &str, since: Millis) -> Result<Option<StoredAnswer>, StoreError>;

    /// The first [`HISTORY_PAGE`] messages that a query selects, oldest first.
    async fn history(&self, user: UserId, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError>;

    /// The current value that handlers keep for a user under a key. On one server, the values of turns that were
    /// submitted before are seen, even if their receipts are still open.
    async fn kept(&self, user: UserId, key: &str) -> Result<Option<Value>, StoreError>;

    /// All values that handlers keep for a user.
    async fn all_kept(&self, user: UserId) -> Result<BTreeMap<String, Value>, StoreError>;

    /// At most `limit` turns of a user in storage order, after the turn with id `after`.
    ///
    /// # Errors
    /// Also when the turn `after` no longer exists: which turns are left is then unknown.
    async fn page(&self, user: UserId, after: Option<&str>, limit: u32) -> Result<Vec<NewTurn>, StoreError>;

    /// At most `limit` turns of a dialogue, in order, after turn number `seq`.
    async fn of_dialogue(&self, dialogue: DialogueId, seq: i64, limit: u32) -> Result<Vec<NewTurn>, StoreError>;

    /// At most `limit` distinct utterances of users after `since`, outside forms, newest first. Searches at most
    /// [`SEARCHED`] turns.
    async fn utterances(&self, since: Millis, limit: u32) -> Result<Utterances, StoreError>;

    /// Removes some turns of a dialogue; the values that handlers keep stay. Returns the idempotency keys of the
    /// removed turns, or `None` if no turn was left.
    async fn remove_some_of(&self, dialogue: DialogueId) -> Result<Option<Vec<String>>, StoreError>;

    /// Removes some turns of a user, and finally the values that handlers keep. Returns `false` if nothing was left to
    /// remove.
    async fn remove_some(&self, user: UserId) -> Result<bool, StoreError>;

    /// Checks that the store can read and write.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Why a page cannot be read: its first turn was deleted meanwhile.
pub const ANCHOR_GONE: &str = "turns were deleted while they were read; run the command again";

/// Turns that a search for utterances reads, newest first.
pub const SEARCHED: usize = 20_000;

/// Distinct utterances of users, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utterances {
    pub texts: Vec<String>,
    /// Whether there may be more.
    pub more: bool,
    searched: usize,
    seen: HashSet<String>,
    limit: usize,
}

impl Utterances {
    /// Empty; takes at most `limit` utterances.
    pub fn up_to(limit: u32) -> Self {
        Self { limit: limit as usize, ..Self::default() }
    }

    /// Adds the next older utterance, unless it is known. Returns `false` if the search should end.
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
        assert_eq!(
            take(&["a"; SEARCHED + 1]),
            (vec!["a".to_owned()], true),
            "there may be more beyond the searched turns"
        );
    }
}
