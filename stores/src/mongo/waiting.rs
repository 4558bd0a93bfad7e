//! Turns that wait for an answer from outside, in MongoDB. The turn that hands a dialogue off has a field `waits`; the
//! turn that ends the hand-off has `ends_hand_off`. Two writes cannot be one, so `waits` may be there for a moment, or
//! after a crash, although an ending follows. Whoever reads it then removes it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::{TryStreamExt, future::try_join_all};
use mongodb::bson::{Bson, Document, doc};

use super::{MongoStore, document::*};
use crate::{
    DialogueId, HistoryEntry, Millis, NewTurn, StoreError, UserId,
    waiting::{LATER_TEXTS, Listed, WAITING_AT_ONCE, WaitingDialogue, WaitingTurns},
};

/// Leases written at a time.
const LEASES_AT_ONCE: usize = 8;

#[async_trait]
impl WaitingTurns for MongoStore {
    async fn waiting(&self, now: Millis, listed: Listed) -> Result<Vec<WaitingDialogue>, StoreError> {
        let marked: Vec<Document> =
            self.ask(async { self.turns.aggregate(marked_turns(now, listed)).await?.try_collect().await }).await?;
        let mut waiting = Vec::with_capacity(marked.len());
        for turn in marked {
            match turn.get_array("ending").is_ok_and(Vec::is_empty) {
                true => waiting.push(turn),
                false => self.stop_waiting(&turn).await?,
            }
        }
        if let Some(until) = listed.lease() {
            // A few at a time: each is a write that a majority acknowledges.
            let mut taken = Vec::with_capacity(waiting.len());
            for some in waiting.chunks(LEASES_AT_ONCE) {
                taken.extend(try_join_all(some.iter().map(|turn| self.take(turn, now, until))).await?);
            }
            let mut taken = taken.into_iter();
            waiting.retain(|_| taken.next().unwrap_or(false));
        }
        waiting.iter().map(dialogue).collect()
    }

    async fn lease(&self, dialogue: DialogueId, now: Millis, until: Millis) -> Result<bool, StoreError> {
        let free = doc! {
            "dialog_id": dialogue.0, "waits.until": { "$gt": now }, "waits.leased_until": { "$lte": now },
        };
        let leased = doc! { "$set": { "waits.leased_until": until } };
        let updated = self.ask(async { self.turns.update_one(free, leased).await }).await?;
        Ok(updated.matched_count == 1)
    }

    async fn end_lease(&self, dialogue: DialogueId) -> Result<(), StoreError> {
        let waiting = doc! { "dialog_id": dialogue.0, WAITS: { "$exists": true } };
        let free = doc! { "$set": { "waits.leased_until": 0_i64 } };
        self.ask(async { self.turns.update_many(waiting, free).await }).await.map(drop)
    }

    async fn ending_after(&self, dialogue: DialogueId, seq: i64) -> Result<Option<HistoryEntry>, StoreError> {
        let filter = doc! { "dialog_id": dialogue.0, "seq": { "$gt": seq }, ENDS_HAND_OFF: true };
        let found = self.ask(async { self.turns.find_one(filter).sort(doc! { "seq": 1 }).await }).await?;
        let entry = |turn: Document| {
            let (said, answered) = (text(&turn, "text")?.to_owned(), text(&turn, "response")?.to_owned());
            let place = integer(&turn, "seq")?.cast_unsigned();
            Ok(HistoryEntry { place, id: id(&turn)?, text: said, response: answered })
        };
        found.map(entry).transpose()
    }
}

impl MongoStore {
    /// Removes the marks of earlier turns of a dialogue. If this fails, whoever lists them does.
    pub(super) async fn end_earlier(&self, turn: &NewTurn) {
        let earlier = doc! { "dialog_id": turn.dialogue.0, "seq": { "$lt": turn.seq }, WAITS: { "$exists": true } };
        let unset = doc! { "$unset": { WAITS: "" } };
        if let Err(error) = self.ask(async { self.turns.update_many(earlier, unset).await }).await {
            tracing::warn!(%error, "a turn that is answered is still marked; who lists it next removes the mark");
        }
    }

    /// Removes the mark of a turn that waits no longer.
    async fn stop_waiting(&self, turn: &Document) -> Result<(), StoreError> {
        let unset = doc! { "$unset": { WAITS: "" } };
        self.ask(async { self.turns.update_one(doc! { "_id": turn.get("_id") }, unset).await }).await.map(drop)
    }

    /// Leases a turn, unless somebody else has it.
    async fn take(&self, turn: &Document, now: Millis, until: Millis) -> Result<bool, StoreError> {
        let free =
            doc! { "_id": turn.get("_id"), "waits.until": { "$gt": now }, "waits.leased_until": { "$lte": now } };
        let leased = doc! { "$set": { "waits.leased_until": until } };
        let updated = self.ask(async { self.turns.update_one(free, leased).await }).await?;
        Ok(updated.matched_count == 1)
    }
}

fn dialogue(turn: &Document) -> Result<WaitingDialogue, StoreError> {
    let waits = turn.get_document(WAITS).map_err(|error| damaged(format!("{WAITS}: {error}")))?;
    let later = turn.get_array("later").map_err(|error| damaged(format!("later: {error}")))?;
    let later = later.iter().rev().filter_map(Bson::as_document);
    let texts = std::iter::once(turn).chain(later).map(|turn| text(turn, "text").map(str::to_owned));
    let waiting = WaitingDialogue {
        user: UserId(integer(turn, "user_id")?),
        dialogue: DialogueId(integer(turn, "dialog_id")?),
        until: integer(waits, "until")?,
        leased_until: integer(waits, "leased_until")?,
        texts: texts.collect::<Result<_, _>>()?,
        slots: BTreeMap::new(),
        history: Vec::new(),
    };
    Ok(waiting.with_state(parse(text(turn, "state")?)?))
}

/// The turns with a mark, the oldest first, each with the newest messages after it, and with the turn that ended the
/// hand-off, if there is one.
fn marked_turns(now: Millis, listed: Listed) -> [Document; 6] {
    let after = || {
        doc! { "$expr": { "$and": [{ "$eq": ["$dialog_id", "$$dialogue"] }, { "$gt": ["$seq", "$$seq"] }] } }
    };
    let lookup = |name: &str, only: Document, newest: i64| {
        let mut matching = after();
        matching.extend(only);
        doc! { "$lookup": {
            "from": TURNS,
            "let": { "dialogue": "$dialog_id", "seq": "$seq" },
            "pipeline": [
                { "$match": matching },
                { "$sort": { "dialog_id": -1, "seq": -1 } },
                { "$limit": newest },
                { "$project": { "text": 1 } },
            ],
            "as": name,
        } }
    };
    [
        doc! { "$match": {
            "waits.until": { "$gt": now }, "waits.leased_until": { "$lte": listed.latest_lease(now) },
        } },
        doc! { "$sort": { "at": 1 } },
        doc! { "$limit": WAITING_AT_ONCE as i64 },
        doc! { "$project": { "user_id": 1, "dialog_id": 1, "seq": 1, "text": 1, "state": 1, WAITS: 1 } },
        lookup("later", doc! { "text": { "$ne": "" } }, LATER_TEXTS as i64),
        lookup("ending", doc! { ENDS_HAND_OFF: true }, 1),
    ]
}
