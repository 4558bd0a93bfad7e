//! Turns that wait for an answer from outside, in MongoDB. The turn that hands a dialogue off has a field `waits`; the
//! turn that ends the hand-off has `ends_hand_off`. Two writes cannot be one, so `waits` may be there for a moment, or
//! after a crash, although an ending follows. Whoever reads it then removes it.

use async_trait::async_trait;
use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};

use super::{MongoStore, document::*};
use crate::{
    DialogueId, HistoryEntry, Millis, StoreError, UserId,
    waiting::{Lease, TEXTS_SHOWN, WAITING_AT_ONCE, WaitingDialogue, WaitingTurns},
};

#[async_trait]
impl WaitingTurns for MongoStore {
    async fn waiting(&self, now: Millis, lease: Option<Lease>) -> Result<Vec<WaitingDialogue>, StoreError> {
        let found: Vec<Document> =
            self.ask(async { self.turns.aggregate(waiting_with_later_turns(now)).await?.try_collect().await }).await?;
        let mut all = Vec::with_capacity(found.len());
        for turn in &found {
            let id = turn.get("_id").cloned().ok_or_else(|| damaged("a turn has no id"))?;
            let later = turn.get_array("later").map_err(|error| damaged(format!("later: {error}")))?;
            let later: Vec<&Document> = later.iter().filter_map(Bson::as_document).collect();
            if later.iter().any(|turn| turn.contains_key(ENDS_HAND_OFF)) {
                self.stop_waiting(&id).await?;
                continue;
            }
            if let Some(lease) = lease
                && !self.take(&id, now, lease).await?
            {
                continue;
            }
            let said = std::iter::once(turn).chain(later).take(TEXTS_SHOWN);
            all.push(WaitingDialogue {
                user: UserId(integer(turn, "user_id")?),
                dialogue: DialogueId(integer(turn, "dialog_id")?),
                texts: said.map(|turn| text(turn, "text").map(str::to_owned)).collect::<Result<_, _>>()?,
            });
        }
        Ok(all)
    }

    async fn ending_after(&self, dialogue: DialogueId, seq: i64) -> Result<Option<HistoryEntry>, StoreError> {
        let filter = doc! { "dialog_id": dialogue.0, "seq": { "$gt": seq }, ENDS_HAND_OFF: true };
        let found = self.ask(async { self.turns.find_one(filter).sort(doc! { "seq": 1 }).await }).await?;
        let entry = |turn: Document| {
            let (said, answered) = (text(&turn, "text")?.to_owned(), text(&turn, "response")?.to_owned());
            Ok(HistoryEntry { id: id(&turn)?, text: said, response: answered })
        };
        found.map(entry).transpose()
    }
}

impl MongoStore {
    async fn stop_waiting(&self, id: &Bson) -> Result<(), StoreError> {
        let unset = doc! { "$unset": { WAITS: "" } };
        self.ask(async { self.turns.update_one(doc! { "_id": id }, unset).await }).await.map(drop)
    }

    /// Leases a turn, unless somebody else has it.
    async fn take(&self, id: &Bson, now: Millis, lease: Lease) -> Result<bool, StoreError> {
        let free = doc! { "_id": id, "waits.until": { "$gt": now }, "waits.leased_until": { "$lte": now } };
        let leased = doc! { "$set": { "waits.leased_until": lease.until } };
        let updated = self.ask(async { self.turns.update_one(free, leased).await }).await?;
        Ok(updated.matched_count == 1)
    }
}

/// The turns that wait, the oldest first, each with the turns after it.
fn waiting_with_later_turns(now: Millis) -> [Document; 4] {
    let later = doc! {
        "from": TURNS,
        "let": { "dialogue": "$dialog_id", "seq": "$seq" },
        "pipeline": [
            { "$match": { "$expr": { "$and": [
                { "$eq": ["$dialog_id", "$$dialogue"] },
                { "$gt": ["$seq", "$$seq"] },
            ] } } },
            { "$sort": { "dialog_id": 1, "seq": 1 } },
            { "$limit": LATER_TURNS },
            { "$project": { "text": 1, ENDS_HAND_OFF: 1 } },
        ],
        "as": "later",
    };
    [
        doc! { "$match": { "waits.until": { "$gt": now }, "waits.leased_until": { "$lte": now } } },
        doc! { "$sort": { "at": 1 } },
        doc! { "$limit": WAITING_AT_ONCE as i64 },
        doc! { "$lookup": later },
    ]
}

/// Turns after a waiting one that are read, at most. An ending is among them: a dialogue that has more turns while it
/// waits is shown without the rest.
const LATER_TURNS: i64 = 1_000;
