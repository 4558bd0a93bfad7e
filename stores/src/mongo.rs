//! Turns in MongoDB. A turn is one document, inserted with `w: majority, j: true`. If two servers write the same turn
//! number of a dialogue, one fails on a unique index.
//!
//! A user's history is ordered by MongoDB's cluster time (`at`), because the servers' clocks may differ. Values that
//! handlers keep are stored in the turn that kept them; the newest value is current.

mod document;
mod errors;
mod history;
mod reports;
mod waiting;
mod writer;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt;
use mongodb::{
    Client, Collection, Database,
    bson::{Bson, Document, Timestamp, doc, oid::ObjectId},
    error::Error,
    options::{Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern},
};
use serde_json::Value;

use document::*;
use errors::{failed, is_command_error};
use writer::Writer;

use super::{
    ANCHOR_GONE, Appended, DialogueId, HistoryEntry, HistoryQuery, LastTurn, Millis, NewTurn, Place, Receipt, SEARCHED,
    StoreError, StoredAnswer, TurnStore, UserId, Utterances, breaker::Breaker,
};
use crate::secret::Secret;

const STORE: &str = "mongodb";
/// Schema version of a turn document.
const SCHEMA: i32 = 1;
const DEFAULT_DATABASE: &str = "banter";
/// Turns removed per command.
const REMOVED_AT_ONCE: i64 = 1_000;
/// Turns read per command.
const PAGE: i64 = 1_000;
/// Types of turns whose message was not classified.
const UNCLASSIFIED: [&str; 5] = ["form", "waiting", "answer", "given_back", "silence"];
/// A report that takes longer is given up.
const REPORT_TIME: Duration = Duration::from_secs(30);

/// `TurnStore` of the external backend.
#[derive(Clone)]
pub struct MongoStore {
    client: Client,
    turns: Collection<Document>,
    writer: Writer,
    breaker: Breaker,
    /// Of reports, which may read a million turns: their time does not say that the store is gone.
    patient: Breaker,
}

impl MongoStore {
    /// A connection pool to a replica set. Connects on first use.
    ///
    /// # Errors
    /// When the URL is not valid.
    pub async fn connect(url: &Secret, connections: u32, limit: Duration) -> Result<Self, StoreError> {
        // The driver's message quotes parts of the URL, which holds a password.
        let bad_url = |_| StoreError::damaged(STORE, "stores.mongo is not a mongodb:// URL");
        let mut options = ClientOptions::parse(url.text()).await.map_err(bad_url)?;
        options.app_name = Some("banter".to_owned());
        let (places, of_reports) = (connections.max(1), connections.div_ceil(4));
        options.max_pool_size = Some(places + of_reports);
        options.connect_timeout = Some(limit);
        options.server_selection_timeout = Some(limit);
        options.retry_writes = Some(true);
        options.retry_reads = Some(true);
        options.heartbeat_freq = Some(Duration::from_secs(2));
        options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build());
        // A repeated answer must come from a write that can no longer be rolled back.
        options.read_concern = Some(ReadConcern::majority());
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let name = options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        let client = Client::with_options(options).map_err(failed)?;
        let turns = client.database(&name).collection(TURNS);
        let breaker = Breaker::with_places(STORE, limit, places);
        let patient = Breaker::with_places(STORE, REPORT_TIME, of_reports);
        let writer = Writer::start(turns.clone(), breaker.clone());
        Ok(Self { client, turns, writer, breaker, patient })
    }

    /// Creates the collection, its validator, and its indexes if they are missing. Many servers may run this at once.
    ///
    /// # Errors
    /// When the store does not respond, or holds data that contradicts an index.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        let database = self.database();
        if let Err(error) = database.create_collection(self.turns.name()).await
            && !is_command_error(&error, "NamespaceExists")
        {
            return Err(failed(error));
        }
        let validation = doc! { "collMod": self.turns.name(), "validator": validator(), "validationLevel": "strict" };
        database.run_command(validation).await.map_err(failed)?;
        self.turns.create_indexes(indexes()).await.map_err(failed)?;
        Ok(())
    }

    pub async fn close(&self) {
        self.client.clone().shutdown().await;
    }

    pub fn database(&self) -> Database {
        self.client.database(&self.turns.namespace().db)
    }

    async fn ask<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        self.breaker.call(async { work.await.map_err(failed) }).await
    }

    async fn report<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        self.patient.call(async { work.await.map_err(failed) }).await
    }

    /// The position of a user's turn in all orders; `None` when the user has no turn with this id.
    async fn position_of(&self, user: UserId, id: &str) -> Result<Option<Position>, StoreError> {
        let Ok(id) = ObjectId::parse_str(id) else { return Ok(None) };
        let find = self.turns.find_one(doc! { "_id": id, "user_id": user.0 });
        let found = self.ask(async { find.projection(doc! { "at": 1, "dialog_id": 1, "seq": 1 }).await }).await?;
        let position = |turn: Document| {
            let at = turn.get_timestamp("at").map_err(|error| damaged(format!("at: {error}")))?;
            Ok(Position { at, dialogue: DialogueId(integer(&turn, "dialog_id")?), seq: integer(&turn, "seq")? })
        };
        found.map(position).transpose()
    }
}

#[async_trait]
impl TurnStore for MongoStore {
    async fn last(&self, dialogue: DialogueId) -> Result<LastTurn, StoreError> {
        let found = self
            .ask(async {
                self.turns
                    .find_one(doc! { "dialog_id": dialogue.0 })
                    .sort(doc! { "seq": -1 })
                    .projection(doc! { "schema": 1, "seq": 1, "state": 1 })
                    .await
            })
            .await?;
        let Some(turn) = found else { return Ok(LastTurn::default()) };
        known_schema(&turn)?;
        Ok(LastTurn { seq: integer(&turn, "seq")?, state: parse(text(&turn, "state")?)? })
    }

    async fn submit(&self, turn: NewTurn) -> Result<Receipt, StoreError> {
        let appended = self.writer.write(&turn).await?;
        if turn.hand_off.ends_earlier && appended == Appended::Stored {
            self.end_earlier(&turn).await;
        }
        Ok(Box::pin(async move { Ok(appended) }))
    }

    async fn find_answer(&self, user: UserId, key: &str, since: Millis) -> Result<Option<StoredAnswer>, StoreError> {
        let filter = doc! { "user_id": user.0, "idempotency_key": key, "created_at": { "$gt": since } };
        let projection = doc! {
            "request_hash": 1, "response": 1, "outputs": 1, "dialog_id": 1, "seq": 1, "classification.hand_off": 1,
        };
        let found = self.ask(async { self.turns.find_one(filter).projection(projection).await }).await?;
        let Some(turn) = found else { return Ok(None) };
        let hash = turn.get_binary_generic("request_hash").map_err(|error| damaged(error.to_string()))?;
        let request_hash = hash.as_slice().try_into().map_err(|_| damaged("a request hash has the wrong length"))?;
        let classification = turn.get_document("classification").map_err(|error| damaged(error.to_string()))?;
        let place = Place { dialogue: DialogueId(integer(&turn, "dialog_id")?), seq: integer(&turn, "seq")? };
        Ok(Some(StoredAnswer {
            request_hash,
            response: text(&turn, "response")?.to_owned(),
            outputs: parse(text(&turn, "outputs")?)?,
            handed_off: classification.get_bool("hand_off").unwrap_or(false).then_some(place),
        }))
    }

    async fn history(&self, user: UserId, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError> {
        self.read_history(user, query).await
    }

    async fn kept(&self, user: UserId, key: &str) -> Result<Option<Value>, StoreError> {
        let found = self
            .ask(async {
                self.turns
                    .find_one(doc! { "user_id": user.0, "kept.key": key })
                    .sort(doc! { "at": -1 })
                    .projection(doc! { "kept": 1 })
                    .await
            })
            .await?;
        let Some(turn) = found else { return Ok(None) };
        Ok(kept_values(&turn)?.remove(key))
    }

    async fn all_kept(&self, user: UserId) -> Result<BTreeMap<String, Value>, StoreError> {
        let filter = doc! { "user_id": user.0, "kept.key": { "$exists": true } };
        let keys = self.ask(async { self.turns.distinct("kept.key", filter).await }).await?;
        let mut all = BTreeMap::new();
        for key in &keys {
            let key = key.as_str().ok_or_else(|| damaged("the key of a kept value is no text"))?;
            if let Some(value) = self.kept(user, key).await? {
                all.insert(key.to_owned(), value);
            }
        }
        Ok(all)
    }

    async fn page(&self, user: UserId, after: Option<&str>, limit: u32) -> Result<Vec<NewTurn>, StoreError> {
        let mut filter = doc! { "user_id": user.0, "removed": { "$exists": false } };
        if let Some(after) = after {
            let position = self.position_of(user, after).await?;
            let position = position.ok_or_else(|| StoreError::damaged(STORE, ANCHOR_GONE))?;
            filter.insert("at", doc! { "$gt": position.at });
        }
        let turns: Vec<Document> = self
            .ask(async {
                let find = self.turns.find(filter).sort(doc! { "user_id": 1, "at": 1 });
                find.limit(i64::from(limit)).await?.try_collect().await
            })
            .await?;
        turns.iter().map(from_document).collect()
    }

    async fn of_dialogue(&self, dialogue: DialogueId, seq: i64, limit: u32) -> Result<Vec<NewTurn>, StoreError> {
        let filter = doc! { "dialog_id": dialogue.0, "seq": { "$gt": seq }, "removed": { "$exists": false } };
        let turns: Vec<Document> = self
            .ask(async {
                let find = self.turns.find(filter).sort(doc! { "dialog_id": 1, "seq": 1 });
                find.limit(i64::from(limit)).await?.try_collect().await
            })
            .await?;
        turns.iter().map(from_document).collect()
    }

    async fn utterances(&self, since: Millis, limit: u32) -> Result<Utterances, StoreError> {
        // Ids begin with their creation time in seconds, so the `_id` index finds the newest.
        let seconds = u32::try_from(since / 1000).unwrap_or(0);
        let first = ObjectId::from_parts(seconds, [0; 5], [0; 3]);
        let read = self.ask(async {
            let filter = doc! { "_id": { "$gte": first }, "classification.type": { "$nin": UNCLASSIFIED.to_vec() }, "removed": { "$exists": false } };
            let find = self.turns.find(filter).sort(doc! { "_id": -1 }).projection(doc! { "_id": 0, "text": 1 });
            let mut turns = find.limit(SEARCHED as i64).await?;
            let mut found = Utterances::up_to(limit);
            while let Some(turn) = turns.try_next().await? {
                match text(&turn, "text") {
                    Ok(text) if found.take(text.to_owned()) => {}
                    Ok(_) => break,
                    Err(damaged) => return Ok(Err(damaged)),
                }
            }
            Ok(Ok(found))
        });
        read.await?
    }

    async fn remove_some_of(&self, dialogue: DialogueId) -> Result<Option<Vec<String>>, StoreError> {
        let found: Vec<Document> = self
            .ask(async {
                let left = doc! { "dialog_id": dialogue.0, "removed": { "$exists": false } };
                let find = self.turns.find(left).projection(doc! { "idempotency_key": 1 });
                find.limit(REMOVED_AT_ONCE).await?.try_collect().await
            })
            .await?;
        let ids: Vec<Bson> = found.iter().filter_map(|turn| turn.get("_id").cloned()).collect();
        if ids.is_empty() {
            return Ok(None);
        }
        self.ask(async {
            // A turn that kept values stays without anything that was said.
            let keeping = doc! { "_id": { "$in": &ids }, "kept.key": { "$exists": true } };
            let emptied = doc! {
                "$set": { "removed": true, "text": "", "response": "", "classification": {}, "outputs": "[]", "state": "{}" },
                "$unset": { "idempotency_key": "", "request_hash": "", WAITS: "" },
            };
            self.turns.update_many(keeping, emptied).await?;
            self.turns.delete_many(doc! { "_id": { "$in": &ids }, "kept.key": { "$exists": false } }).await
        })
        .await?;
        let keyed = found.iter().filter(|turn| turn.contains_key("idempotency_key"));
        keyed.map(|turn| Ok(text(turn, "idempotency_key")?.to_owned())).collect::<Result<_, _>>().map(Some)
    }

    async fn remove_some(&self, user: UserId) -> Result<bool, StoreError> {
        self.ask(async {
            let find = self.turns.find(doc! { "user_id": user.0 }).projection(doc! { "_id": 1 });
            let some: Vec<Document> = find.limit(REMOVED_AT_ONCE).await?.try_collect().await?;
            let ids: Vec<Bson> = some.iter().filter_map(|turn| turn.get("_id").cloned()).collect();
            if ids.is_empty() {
                return Ok(false);
            }
            self.turns.delete_many(doc! { "_id": { "$in": ids } }).await.map(|_| true)
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if !self.writer.is_alive() {
            return Err(writer::stopped());
        }
        self.ask(async {
            let answer = self.database().run_command(doc! { "hello": 1 }).await?;
            // Without a primary, nothing can be stored.
            if answer.get_bool("isWritablePrimary").unwrap_or(false) {
                Ok(())
            } else {
                Err(Error::custom("there is no primary"))
            }
        })
        .await
    }
}

/// A turn's position in the order of all turns, and in its dialogue.
struct Position {
    at: Timestamp,
    dialogue: DialogueId,
    seq: i64,
}
