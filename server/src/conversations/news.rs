//! What the bus tells of other servers and commands.

use banter_stores::{BusEvent, News, Topic};
use tokio::sync::broadcast::error::RecvError;

use super::Conversations;

impl Conversations {
    /// Forgets what is out of date, and wakes requests that wait. Runs as long as the bus does.
    pub async fn follow_bus(&self) {
        let bus = &self.stores.bus;
        let (mut deletions, mut turns) = (bus.subscribe(Topic::Deletions), bus.subscribe(Topic::Turns));
        loop {
            let event = tokio::select! {
                event = deletions.recv() => event,
                event = turns.recv() => event,
            };
            match event {
                Ok(BusEvent::News(news)) => self.hear(news),
                Ok(BusEvent::Reconnected) | Err(RecvError::Lagged(_)) => {
                    self.known.forget_all();
                    self.watchers.wake_all();
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn hear(&self, news: News) {
        match news {
            News::UserGone(user) => {
                self.known.forget_user(user);
                self.watchers.wake_user(user);
            }
            News::DialogueGone(dialogue) => {
                self.known.forget_dialogue(dialogue);
                self.watchers.wake(dialogue);
            }
            News::TurnStored { dialogue, seq } => {
                self.known.forget_older_end(dialogue, seq);
                self.watchers.wake(dialogue);
            }
            News::Activated { .. } => {}
        }
    }
}
