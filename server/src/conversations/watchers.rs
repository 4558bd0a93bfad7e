//! Requests that wait until something happens in a dialogue. Each is a notification without a thread, and reads the
//! store only when it is woken.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use banter_stores::{DialogueId, UserId};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::ConversationError;

/// Requests of one user that wait at a time, in this server.
pub const WATCHES_PER_USER: usize = 20;
/// Requests that wait at a time, in this server.
const WATCHES: usize = 20_000;
/// Woken requests that read the stores at a time, so that many at once do not keep others from them.
const LOOKS: usize = 8;

pub struct Watchers {
    lists: Mutex<Lists>,
    looks: Semaphore,
}

impl Default for Watchers {
    fn default() -> Self {
        Self { lists: Mutex::default(), looks: Semaphore::new(LOOKS) }
    }
}

#[derive(Default)]
struct Lists {
    dialogues: HashMap<DialogueId, Vec<(UserId, Arc<Notify>)>>,
    /// Watches of each user.
    users: HashMap<UserId, usize>,
    all: usize,
}

/// Notices what happens in a dialogue from its creation on. Dropping it ends that.
pub struct Watch {
    watchers: Arc<Watchers>,
    user: UserId,
    dialogue: DialogueId,
    notify: Arc<Notify>,
}

impl Watch {
    /// Waits for something that has happened since the last call, or since the watch began.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }

    /// Waits until this request may read the stores.
    pub async fn look(&self) -> Result<SemaphorePermit<'_>, ConversationError> {
        self.watchers.looks.acquire().await.map_err(|error| ConversationError::Internal(error.to_string()))
    }
}

impl Watchers {
    /// Begins to watch.
    ///
    /// # Errors
    /// [`ConversationError::TooManyWaiting`], [`ConversationError::Busy`].
    pub fn watch(self: &Arc<Self>, user: UserId, dialogue: DialogueId) -> Result<Watch, ConversationError> {
        let mut lists = self.lists();
        if lists.all >= WATCHES {
            return Err(ConversationError::Busy);
        }
        let of_user = lists.users.entry(user).or_default();
        if *of_user >= WATCHES_PER_USER {
            return Err(ConversationError::TooManyWaiting);
        }
        *of_user += 1;
        lists.all += 1;
        let notify = Arc::new(Notify::new());
        lists.dialogues.entry(dialogue).or_default().push((user, Arc::clone(&notify)));
        Ok(Watch { watchers: Arc::clone(self), user, dialogue, notify })
    }

    pub fn wake(&self, dialogue: DialogueId) {
        for (_, notify) in self.lists().dialogues.get(&dialogue).into_iter().flatten() {
            notify.notify_one();
        }
    }

    pub fn wake_user(&self, user: UserId) {
        for (_, notify) in self.lists().dialogues.values().flatten().filter(|(owner, _)| *owner == user) {
            notify.notify_one();
        }
    }

    pub fn wake_all(&self) {
        for (_, notify) in self.lists().dialogues.values().flatten() {
            notify.notify_one();
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut lists = self.watchers.lists();
        lists.all -= 1;
        if let Some(of_user) = lists.users.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                lists.users.remove(&self.user);
            }
        }
        if let Some(of_dialogue) = lists.dialogues.get_mut(&self.dialogue) {
            of_dialogue.retain(|(_, notify)| !Arc::ptr_eq(notify, &self.notify));
            if of_dialogue.is_empty() {
                lists.dialogues.remove(&self.dialogue);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_watch_notices_what_happens_before_it_waits() {
        let watchers = Arc::new(Watchers::default());
        let watch = watchers.watch(UserId(2), DialogueId(1)).unwrap();
        assert!(watch.changed().now_or_never().is_none());
        watchers.wake(DialogueId(1));
        watchers.wake(DialogueId(1));
        assert!(watch.changed().now_or_never().is_some());
        assert!(watch.changed().now_or_never().is_none(), "one look finds both changes");
        watchers.wake(DialogueId(2));
        assert!(watch.changed().now_or_never().is_none(), "another dialogue");
        watchers.wake_all();
        assert!(watch.changed().now_or_never().is_some());
        watchers.wake_user(UserId(3));
        assert!(watch.changed().now_or_never().is_none(), "another user");
        watchers.wake_user(UserId(2));
        assert!(watch.changed().now_or_never().is_some());
        drop(watch);
        let lists = watchers.lists();
        assert!(lists.dialogues.is_empty() && lists.users.is_empty() && lists.all == 0);
    }

    #[test]
    fn a_user_has_a_bounded_number() {
        let watchers = Arc::new(Watchers::default());
        let watch = |user| watchers.watch(UserId(user), DialogueId(1));
        let held: Vec<Watch> = (0..WATCHES_PER_USER).map(|_| watch(2).unwrap()).collect();
        assert!(matches!(watch(2), Err(ConversationError::TooManyWaiting)));
        assert!(watch(3).is_ok());
        drop(held);
        assert!(watch(2).is_ok());
    }
}
