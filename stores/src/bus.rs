//! Messages between servers. They may be lost while the connection is down, so they are hints and never the truth.

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{DialogueId, StoreError, UserId};

/// Messages that a slow receiver may lag behind.
const BACKLOG: usize = 1_024;

/// What a server tells all servers, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A version of the bot was activated.
    Activated {
        generation: i64,
    },
    UserGone(UserId),
    DialogueGone(DialogueId),
    /// A turn of a dialogue is stored.
    TurnStored {
        dialogue: DialogueId,
        seq: i64,
    },
}

/// What a receiver wants to hear of. Each topic has its own backlog, so that many turns do not hide a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Activations,
    /// Of users and dialogues.
    Deletions,
    Turns,
}

impl News {
    pub fn topic(self) -> Topic {
        match self {
            Self::Activated { .. } => Topic::Activations,
            Self::UserGone(_) | Self::DialogueGone(_) => Topic::Deletions,
            Self::TurnStored { .. } => Topic::Turns,
        }
    }

    /// As it travels between processes.
    pub fn encode(self) -> String {
        match self {
            Self::Activated { generation } => format!("catalogue {generation}"),
            Self::UserGone(user) => format!("user-gone {}", user.0),
            Self::DialogueGone(dialogue) => format!("dialogue-gone {}", dialogue.0),
            Self::TurnStored { dialogue, seq } => format!("turn {} {seq}", dialogue.0),
        }
    }

    /// The reverse of [`Self::encode`]. `None` for news that this version does not know.
    pub fn decode(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let kind = words.next()?;
        let mut number = || words.next()?.parse::<i64>().ok();
        match kind {
            "catalogue" => Some(Self::Activated { generation: number()? }),
            "user-gone" => Some(Self::UserGone(UserId(number()?))),
            "dialogue-gone" => Some(Self::DialogueGone(DialogueId(number()?))),
            "turn" => Some(Self::TurnStored { dialogue: DialogueId(number()?), seq: number()? }),
            _ => None,
        }
    }
}

/// What a receiver gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// Published by any server, including this one.
    News(News),
    /// The connection was lost and is restored: news may have been missed.
    Reconnected,
}

#[async_trait]
pub trait Bus: Send + Sync {
    async fn publish(&self, news: News) -> Result<(), StoreError>;

    /// Receives the events of a topic from now on. A slow receiver misses the oldest events and gets an error that
    /// says so.
    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<BusEvent>;
}

/// The receivers of this process, by topic.
#[derive(Clone)]
pub struct Receivers {
    activations: broadcast::Sender<BusEvent>,
    deletions: broadcast::Sender<BusEvent>,
    turns: broadcast::Sender<BusEvent>,
}

impl Default for Receivers {
    fn default() -> Self {
        let sender = || broadcast::Sender::new(BACKLOG);
        Self { activations: sender(), deletions: sender(), turns: sender() }
    }
}

impl Receivers {
    fn of(&self, topic: Topic) -> &broadcast::Sender<BusEvent> {
        match topic {
            Topic::Activations => &self.activations,
            Topic::Deletions => &self.deletions,
            Topic::Turns => &self.turns,
        }
    }

    pub fn subscribe(&self, topic: Topic) -> broadcast::Receiver<BusEvent> {
        self.of(topic).subscribe()
    }

    pub fn tell(&self, news: News) {
        // Sending fails only if there are no receivers.
        let _ = self.of(news.topic()).send(BusEvent::News(news));
    }

    /// Tells the receivers of all topics that news may have been missed.
    pub fn tell_reconnected(&self) {
        for sender in [&self.activations, &self.deletions, &self.turns] {
            let _ = sender.send(BusEvent::Reconnected);
        }
    }
}

/// A bus with one server on it.
#[derive(Default)]
pub struct LocalBus(Receivers);

impl LocalBus {
    pub fn tell(&self, news: News) {
        self.0.tell(news);
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, news: News) -> Result<(), StoreError> {
        self.tell(news);
        Ok(())
    }

    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<BusEvent> {
        self.0.subscribe(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_as_they_are_written() {
        for news in [
            News::Activated { generation: 7 },
            News::UserGone(UserId(2)),
            News::DialogueGone(DialogueId(3)),
            News::TurnStored { dialogue: DialogueId(4), seq: 5 },
        ] {
            assert_eq!(News::decode(&news.encode()), Some(news));
        }
        for unknown in ["", "weather 5", "user-gone", "user-gone x", "turn 4"] {
            assert_eq!(News::decode(unknown), None, "{unknown}");
        }
    }
}
