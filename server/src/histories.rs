//! What a user and the bot have said, read page by page: a history of any length needs little memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use banter_stores::{HistoryEntry, HistoryQuery, StoreError, Stores, TurnStore, UserId};
use thiserror::Error;

use crate::{config::LimitsConfig, operations::Operation};

/// A client that has not read its history by then gets no more of it, because it takes others' places.
const LONGEST: Duration = Duration::from_secs(300);

/// Why a history is not read.
#[derive(Debug, Error)]
pub enum HistoryError {
    #[error("too many histories are being read")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub struct Histories {
    stores: Stores,
    readers: Arc<Readers>,
}

impl Histories {
    pub fn new(stores: Stores, limits: &LimitsConfig) -> Self {
        let LimitsConfig { histories, histories_per_user, .. } = *limits;
        let counts = Mutex::default();
        Self { stores, readers: Arc::new(Readers { limit: histories, per_user: histories_per_user, counts }) }
    }

    /// Begins to read a user's messages, oldest first; `None` if the dialogue that was asked for is not theirs.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub async fn open(&self, user: UserId, query: HistoryQuery) -> Result<Option<History>, HistoryError> {
        let permit = Readers::admit(&self.readers, user).ok_or(HistoryError::TooMany)?;
        if let Some(dialogue) = query.dialogue
            && self.stores.dialogues.owner(dialogue).await? != Some(user)
        {
            return Ok(None);
        }
        let turns = Arc::clone(&self.stores.turns);
        let first = turns.history(user, &query).await?;
        let next = query.behind(&first);
        Operation::HistoryRead(user).log();
        Ok(Some(History { first, rest: Rest { turns, user, next, begun: Instant::now(), _permit: permit } }))
    }
}

/// A history that is being read.
pub struct History {
    /// Its first page.
    pub first: Vec<HistoryEntry>,
    pub rest: Rest,
}

/// The pages of a history behind the first one. While this lives, it counts as one reader.
pub struct Rest {
    turns: Arc<dyn TurnStore>,
    user: UserId,
    next: Option<HistoryQuery>,
    begun: Instant,
    _permit: Permit,
}

impl Rest {
    /// Whether there is no further page.
    pub fn is_empty(&self) -> bool {
        self.next.is_none()
    }

    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// Those of the store; there is no further page then.
    pub async fn next(&mut self) -> Result<Option<Vec<HistoryEntry>>, StoreError> {
        let Some(query) = self.next.take() else { return Ok(None) };
        if self.begun.elapsed() > LONGEST {
            return Err(StoreError::busy("history", "the client reads it too slowly"));
        }
        let page = self.turns.history(self.user, &query).await?;
        self.next = query.behind(&page);
        Ok(Some(page))
    }
}

/// Bounds how many histories are read at once. They guard this server's memory and connections, so each server counts
/// its own.
struct Readers {
    limit: usize,
    per_user: usize,
    counts: Mutex<HashMap<UserId, usize>>,
}

impl Readers {
    fn counts(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(readers: &Arc<Self>, user: UserId) -> Option<Permit> {
        let mut counts = readers.counts();
        let (all, own) = (counts.values().sum::<usize>(), counts.get(&user).copied().unwrap_or(0));
        if all >= readers.limit || own >= readers.per_user {
            return None;
        }
        counts.insert(user, own + 1);
        Some(Permit { readers: Arc::clone(readers), user })
    }
}

/// The right to read one history.
struct Permit {
    readers: Arc<Readers>,
    user: UserId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.readers.counts();
        let left = counts.get(&self.user).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            counts.remove(&self.user);
        } else {
            counts.insert(self.user, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_few_per_user_and_overall() {
        let readers = Arc::new(Readers { limit: 3, per_user: 2, counts: Mutex::default() });
        let admit = |user| Readers::admit(&readers, UserId(user));
        let first = admit(1).unwrap();
        let second = admit(1).unwrap();
        assert!(admit(1).is_none(), "a third of one user");
        let other = admit(2).unwrap();
        assert!(admit(3).is_none(), "a fourth of all");
        drop((first, other));
        assert!(admit(1).is_some() && admit(3).is_some());
        drop(second);
        assert!(readers.counts().is_empty(), "nothing stays of a reader that has ended");
    }
}
