//! The bus over Redis.

use std::{sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use redis::{
    AsyncCommands, Client,
    aio::{PubSubSink, PubSubStream},
};
use tokio::{
    sync::broadcast,
    time::{error::Elapsed, timeout},
};

use super::{RedisStore, STORE, failed};
use crate::{
    StoreError,
    breaker::Pauses,
    bus::{Bus, BusEvent, News, Receivers, Topic},
};

/// On the bus: a server could not publish something.
const MISSED_NEWS: &str = "missed";
/// The first and the longest pause between attempts to reconnect to the bus.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A silent bus connection is checked after this time.
const HEARTBEAT: Duration = Duration::from_secs(5);

impl RedisStore {
    /// Tells all servers, as soon as Redis responds, that they may have missed something.
    pub(super) fn tell_of_missed_news(&self) {
        if self.missed.swap(true, Ordering::SeqCst) {
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            let mut pauses = Pauses::new(PAUSES.0, PAUSES.1);
            loop {
                // Everybody looks then, so not more often than this.
                tokio::time::sleep(PAUSES.1 + pauses.next().unwrap_or(PAUSES.1)).await;
                // What is lost from here on is told of by the next task.
                store.missed.store(false, Ordering::SeqCst);
                let mut connection = store.connection.clone();
                let told: Result<(), _> =
                    store.ask(async { connection.publish(store.channel(), MISSED_NEWS).await }).await;
                if told.is_ok() || store.missed.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        });
    }
}

#[async_trait]
impl Bus for RedisStore {
    async fn publish(&self, news: News) -> Result<(), StoreError> {
        let mut connection = self.connection.clone();
        let told = self.ask(async { connection.publish(self.channel(), news.encode()).await }).await;
        if told.is_err() {
            self.tell_of_missed_news();
        }
        told
    }

    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<BusEvent> {
        self.receivers.subscribe(topic)
    }
}

/// Listens to the bus. Reconnects after pauses with jitter; never returns.
pub(super) async fn listen(client: Client, channel: String, receivers: Receivers, limit: Duration) {
    let fresh = || Pauses::new(PAUSES.0, PAUSES.1);
    let mut pauses = fresh();
    // Whether messages may have been missed.
    let mut missed = false;
    loop {
        match connect_to_bus(&client, &channel, limit).await {
            Ok((sink, stream)) => {
                pauses = fresh();
                if std::mem::take(&mut missed) {
                    receivers.tell_reconnected();
                }
                let error = pass_on(sink, stream, &receivers, limit).await;
                tracing::warn!(%error, "lost the connection to the bus");
            }
            Err(error) => tracing::warn!(%error, "cannot connect to the bus"),
        }
        missed = true;
        tokio::time::sleep(pauses.next().unwrap_or(PAUSES.1)).await;
    }
}

fn late(_: Elapsed) -> StoreError {
    StoreError::outage(STORE, "no answer in time")
}

async fn connect_to_bus(
    client: &Client,
    channel: &str,
    limit: Duration,
) -> Result<(PubSubSink, PubSubStream), StoreError> {
    let pubsub = timeout(limit, client.get_async_pubsub()).await.map_err(late)?.map_err(failed)?;
    let (mut sink, stream) = pubsub.split();
    timeout(limit, sink.subscribe(channel)).await.map_err(late)?.map_err(failed)?;
    Ok((sink, stream))
}

/// Forwards messages until the connection is lost; returns the error.
async fn pass_on(mut sink: PubSubSink, mut stream: PubSubStream, receivers: &Receivers, limit: Duration) -> StoreError {
    loop {
        match timeout(HEARTBEAT, stream.next()).await {
            Ok(Some(message)) => {
                // A newer version may have news that this one does not know.
                let text = String::from_utf8_lossy(message.get_payload_bytes());
                match News::decode(&text) {
                    Some(news) => receivers.tell(news),
                    None if text == MISSED_NEWS => receivers.tell_reconnected(),
                    None => {}
                }
            }
            Ok(None) => return StoreError::outage(STORE, "the connection is lost"),
            Err(_) => match timeout(limit, sink.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return failed(error),
                Err(elapsed) => return late(elapsed),
            },
        }
    }
}
