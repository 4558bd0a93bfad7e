//! A user's dialogues: creating, renaming and deleting them.

use std::sync::Arc;

use banter_stores::{DialogueId, DialogueRecord, News, StoreError, Stores, UserId, clock::SharedClock};
use futures::future::join_all;
use thiserror::Error;

use crate::{conversations::in_flight, operations::Operation};

/// Dialogues of a user, besides the default one.
pub const MAX_DIALOGUES: u32 = 5;
/// Characters of a name.
pub const NAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=20;

/// Why a dialogue is not what was asked for.
#[derive(Debug, Error)]
pub enum DialogueError {
    #[error("the name is too short, too long, or has control characters")]
    Name,
    #[error("the user has {MAX_DIALOGUES} dialogues already")]
    Full,
    /// Somebody else's, deleted, or the default one.
    #[error("there is no such dialogue")]
    Unknown,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Users' dialogues.
pub struct Dialogues {
    stores: Stores,
    clock: SharedClock,
}

impl Dialogues {
    pub fn new(stores: Stores, clock: SharedClock) -> Self {
        Self { stores, clock }
    }

    /// Creates a dialogue.
    ///
    /// # Errors
    /// [`DialogueError::Name`], [`DialogueError::Full`], [`DialogueError::Store`].
    pub async fn create(&self, user: UserId, name: &str) -> Result<DialogueId, DialogueError> {
        let name = checked(name)?;
        let made = self.stores.dialogues.create_dialogue(user, name, MAX_DIALOGUES, self.clock.now()).await?;
        let dialogue = made.ok_or(DialogueError::Full)?;
        Operation::DialogueCreated(user, dialogue).log();
        Ok(dialogue)
    }

    /// A user's dialogues, the default one first.
    ///
    /// # Errors
    /// [`DialogueError::Unknown`] when the user is gone, [`DialogueError::Store`].
    pub async fn all(&self, user: UserId) -> Result<Vec<DialogueRecord>, DialogueError> {
        let dialogues = &self.stores.dialogues;
        dialogues.default_dialogue(user, self.clock.now()).await?.ok_or(DialogueError::Unknown)?;
        let mut all = dialogues.of_user(user).await?;
        all.sort_by_key(|dialogue| !dialogue.is_default);
        Ok(all)
    }

    /// Renames a dialogue.
    ///
    /// # Errors
    /// [`DialogueError::Name`], [`DialogueError::Unknown`], [`DialogueError::Store`].
    pub async fn rename(&self, user: UserId, dialogue: DialogueId, name: &str) -> Result<(), DialogueError> {
        let renamed = self.stores.dialogues.rename_dialogue(user, dialogue, checked(name)?).await?;
        if !renamed {
            return Err(DialogueError::Unknown);
        }
        Operation::DialogueRenamed(user, dialogue).log();
        Ok(())
    }

    /// Deletes a dialogue with its messages, from every store. When this returns, nobody finds them any more. After an
    /// outage, the same request goes on.
    ///
    /// # Errors
    /// [`DialogueError::Unknown`], [`DialogueError::Store`].
    pub async fn delete(self: &Arc<Self>, user: UserId, dialogue: DialogueId) -> Result<(), DialogueError> {
        if !self.stores.dialogues.begin_removal(user, dialogue, self.clock.now()).await? {
            return Err(DialogueError::Unknown);
        }
        self.hide(user, dialogue).await?;
        Operation::DialogueDeleted(user, dialogue).log();
        let this = Arc::clone(self);
        tokio::spawn(async move { this.finish(user, dialogue).await });
        Ok(())
    }

    /// Finishes deletions that another process has begun and left.
    pub async fn resume(self: Arc<Self>) {
        match self.stores.dialogues.unfinished_removals().await {
            Ok(unfinished) => {
                join_all(unfinished.into_iter().map(|(user, dialogue)| self.finish(user, dialogue))).await;
            }
            Err(error) => tracing::warn!(%error, "deleted dialogues are finished at the next start"),
        }
    }

    /// Removes what was on its way, and then the dialogue itself.
    async fn finish(&self, user: UserId, dialogue: DialogueId) {
        let finished = async {
            // The process that began may have told nobody.
            self.hide(user, dialogue).await?;
            tokio::time::sleep(in_flight(&self.stores)).await;
            self.remove_turns(user, dialogue).await?;
            self.stores.dialogues.finish_removal(dialogue).await
        };
        if let Err(error) = finished.await {
            tracing::warn!(%error, dialogue = dialogue.0, "a deleted dialogue is finished at the next start");
        }
    }

    /// Tells all servers that the dialogue is gone, and removes its turns.
    async fn hide(&self, user: UserId, dialogue: DialogueId) -> Result<(), StoreError> {
        self.stores.bus.publish(News::DialogueGone(dialogue)).await?;
        self.remove_turns(user, dialogue).await
    }

    async fn remove_turns(&self, user: UserId, dialogue: DialogueId) -> Result<(), StoreError> {
        while let Some(keys) = self.stores.turns.remove_some_of(dialogue).await? {
            self.stores.cache.forget_answers(user, &keys).await?;
        }
        Ok(())
    }
}

/// The name without spaces around it.
fn checked(name: &str) -> Result<&str, DialogueError> {
    let name = name.trim();
    let good = NAME_LENGTH.contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if good { Ok(name) } else { Err(DialogueError::Name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_three_to_twenty_characters() {
        for (name, good) in [
            ("abc", true),
            ("мои заказы", true),
            (" ab ", false),
            ("двадцать символов !!", true),
            ("двадцать один символ!", false),
            ("a\nb c", false),
            ("a\0bc", false),
            ("", false),
        ] {
            assert_eq!(checked(name).is_ok(), good, "{name:?}");
        }
    }
}
