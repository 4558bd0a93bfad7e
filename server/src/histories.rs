//! What a user and the bot have said, read page by page: a history of any length needs little memory.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use banter_stores::{HistoryEntry, HistoryQuery, StoreError, Stores, TurnStore, UserId};
use thiserror::Error;

use crate::{config::LimitsConfig, operations::Operation};

/// How long a history may be read. After that, its place is free for others, and no further page is read.
const LONGEST: Duration = Duration::from_secs(300);

/// Why a history is not read.
#[derive(Debug, Error)]
pub enum HistoryError {
    #[error("too many histories are being read")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a history breaks off.
#[derive(Debug, Error)]
pub enum PageError {
    #[error("the client reads it too slowly")]
    TooSlow,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub struct Histories {
    stores: Stores,
    readers: Readers,
}

impl Histories {
    pub fn new(stores: Stores, limits: &LimitsConfig) -> Self {
        let LimitsConfig { histories, histories_per_user, .. } = *limits;
        Self { stores, readers: Readers { limit: histories, per_user: histories_per_user, places: Mutex::default() } }
    }

    /// Begins to read a user's messages, oldest first; `None` if the dialogue that was asked for is not theirs.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub async fn open(&self, user: UserId, query: HistoryQuery) -> Result<Option<History>, HistoryError> {
        let place = self.readers.admit(user, Instant::now()).ok_or(HistoryError::TooMany)?;
        if let Some(dialogue) = query.dialogue
            && self.stores.dialogues.owner(dialogue).await? != Some(user)
        {
            return Ok(None);
        }
        let turns = Arc::clone(&self.stores.turns);
        let first = turns.history(user, &query).await?;
        let next = query.behind(&first);
        Operation::HistoryRead(user).log();
        Ok(Some(History { first, rest: Rest { turns, next, place } }))
    }
}

/// A history that is being read.
pub struct History {
    /// Its first page.
    pub first: Vec<HistoryEntry>,
    pub rest: Rest,
}

/// The pages of a history behind the first one.
pub struct Rest {
    turns: Arc<dyn TurnStore>,
    next: Option<HistoryQuery>,
    place: Arc<Place>,
}

impl Rest {
    /// Whether there is no further page.
    pub fn is_empty(&self) -> bool {
        self.next.is_none()
    }

    /// The next page; `None` at the end.
    ///
    /// # Errors
    /// [`PageError`]; there is no further page then.
    pub async fn next(&mut self) -> Result<Option<Vec<HistoryEntry>>, PageError> {
        let Some(query) = self.next.take() else { return Ok(None) };
        if !self.place.is_taken(Instant::now()) {
            return Err(PageError::TooSlow);
        }
        let page = self.turns.history(self.place.user, &query).await?;
        self.next = query.behind(&page);
        Ok(Some(page))
    }
}

/// Bounds how many histories are read at once. They guard this server's memory and connections, so each server counts
/// its own.
struct Readers {
    limit: usize,
    per_user: usize,
    places: Mutex<Vec<Weak<Place>>>,
}

/// One history that is being read; it counts while it lives, for at most [`LONGEST`].
struct Place {
    user: UserId,
    begun: Instant,
}

impl Place {
    fn is_taken(&self, now: Instant) -> bool {
        now.duration_since(self.begun) <= LONGEST
    }
}

impl Readers {
    /// A place, if there is one. A client that stalls is never asked for its next page, so its place ends by time.
    fn admit(&self, user: UserId, now: Instant) -> Option<Arc<Place>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<_> = places.iter().filter_map(Weak::upgrade).filter(|place| place.is_taken(now)).collect();
        *places = taken.iter().map(Arc::downgrade).collect();
        if taken.len() >= self.limit || taken.iter().filter(|place| place.user == user).count() >= self.per_user {
            return None;
        }
        let place = Arc::new(Place { user, begun: now });
        places.push(Arc::downgrade(&place));
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_few_per_user_and_overall() {
        let readers = Readers { limit: 3, per_user: 2, places: Mutex::default() };
        let start = Instant::now();
        let admit = |user, after| readers.admit(UserId(user), start + after);
        let first = admit(1, Duration::ZERO).unwrap();
        let second = admit(1, Duration::ZERO).unwrap();
        assert!(admit(1, Duration::ZERO).is_none(), "a third of one user");
        let other = admit(2, Duration::ZERO).unwrap();
        assert!(admit(3, LONGEST).is_none(), "a fourth of all");
        drop((first, other));
        assert!(admit(1, LONGEST).is_some() && admit(3, LONGEST).is_some(), "those that have ended left their places");
        let later = LONGEST + Duration::from_secs(1);
        let places: Vec<_> = (0..2).map(|_| admit(1, later)).collect();
        assert!(places.iter().all(Option::is_some), "a reader that stalls keeps its place for a time only");
        assert!(!second.is_taken(start + later), "and it gets no further page");
    }
}
