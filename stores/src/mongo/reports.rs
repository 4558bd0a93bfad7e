//! What consoles read of all turns, in MongoDB.

use async_trait::async_trait;
use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use super::{MongoStore, damaged, document::*};
use crate::{
    FoundTurns, LATENCY_BOUNDS, Period, SCANNED, StoreError, Tallies, Tally, TurnFilter, TurnReports,
    reports::{Indexed, id_range},
};

#[async_trait]
impl TurnReports for MongoStore {
    async fn search(&self, filter: &TurnFilter, before: Option<&str>, limit: u32) -> Result<FoundTurns, StoreError> {
        let chosen = chosen(filter, before)?;
        let found: Vec<Document> = self
            .report(async {
                let steps = [
                    doc! { "$match": chosen.clone() },
                    doc! { "$sort": { "_id": -1 } },
                    doc! { "$limit": i64::from(SCANNED) },
                    doc! { "$match": conditions(filter) },
                    doc! { "$limit": i64::from(limit) },
                ];
                self.turns.aggregate(steps).await?.try_collect().await
            })
            .await?;
        let turns = found.iter().map(from_document).collect::<Result<Vec<_>, _>>()?;
        let next = match turns.last() {
            Some(last) if turns.len() == limit as usize => Some(last.id.clone()),
            _ => self.last_scanned(chosen).await?,
        };
        Ok(FoundTurns { turns, next })
    }

    async fn tally(&self, period: Period) -> Result<Tallies, StoreError> {
        let Period { since, until, step } = period;
        let within = doc! { "$match": { "created_at": { "$gte": since, "$lt": until } } };
        let class: Vec<Document> = LATENCY_BOUNDS
            .iter()
            .map(|bound| doc! { "$cond": [{ "$gte": ["$classification.latency_ms", *bound] }, 1_i64, 0_i64] })
            .collect();
        let of_step = doc! { "$group": {
            "_id": {
                "step": { "$toLong": { "$floor": { "$divide": [{ "$subtract": ["$created_at", since] }, step] } } },
                "outcome": { "$ifNull": ["$classification.type", ""] },
                "hand_off": { "$ifNull": ["$classification.hand_off", false] },
                "latency": { "$add": class },
            },
            "turns": { "$sum": 1_i64 },
        } };
        let of_intent = doc! { "$group": { "_id": "$classification.intent", "turns": { "$sum": 1_i64 } } };
        let failed = doc! { "$match": {
            "created_at": { "$gte": since, "$lt": until }, "classification.events.0": { "$exists": true },
        } };
        let of_failure = doc! { "$group": {
            "_id": { "kind": "$classification.events.type", "plugin": "$classification.events.plugin" },
            "turns": { "$sum": 1_i64 },
        } };
        let read = async {
            let turns: Vec<Document> = self.turns.aggregate([within.clone(), of_step]).await?.try_collect().await?;
            let intents: Vec<Document> = self.turns.aggregate([within, of_intent]).await?.try_collect().await?;
            let unwind = doc! { "$unwind": "$classification.events" };
            let failures: Vec<Document> =
                self.turns.aggregate([failed, unwind, of_failure]).await?.try_collect().await?;
            Ok((turns, intents, failures))
        };
        let (turns, intents, failures) = self.report(read).await?;
        let turns = turns.iter().map(|group| {
            let key = key(group)?;
            Ok(Tally {
                step: integer(key, "step")?,
                outcome: text(key, "outcome")?.to_owned(),
                hand_off: key.get_bool("hand_off").unwrap_or(false),
                latency: integer(key, "latency")?,
                turns: integer(group, "turns")?,
            })
        });
        let of_intents = intents.iter().filter_map(|group| Some((group.get_str("_id").ok()?.to_owned(), group)));
        let failures = failures.iter().map(|group| {
            let key = key(group)?;
            let plugin = key.get_str("plugin").ok().map(str::to_owned);
            Ok(((text(key, "kind")?.to_owned(), plugin), integer(group, "turns")?))
        });
        Ok(Tallies {
            turns: turns.collect::<Result<_, StoreError>>()?,
            intents: of_intents
                .map(|(intent, group)| Ok((intent, integer(group, "turns")?)))
                .collect::<Result<_, StoreError>>()?,
            failures: failures.collect::<Result<_, StoreError>>()?,
        })
    }
}

impl MongoStore {
    /// The oldest turn that a search has read, if it had to stop there.
    async fn last_scanned(&self, chosen: Document) -> Result<Option<String>, StoreError> {
        let find = self.turns.find_one(chosen).sort(doc! { "_id": -1 }).skip(u64::from(SCANNED) - 1);
        let last = self.report(async { find.projection(doc! { "_id": 1 }).await }).await?;
        last.map(|last| id(&last)).transpose()
    }
}

fn key(group: &Document) -> Result<&Document, StoreError> {
    group.get_document("_id").map_err(|error| damaged(error.to_string()))
}

/// The turns that an index chooses.
fn chosen(filter: &TurnFilter, before: Option<&str>) -> Result<Document, StoreError> {
    let (first, end) = id_range(filter, before);
    let parsed = |id: &str| ObjectId::parse_str(id).map_err(|error| damaged(error.to_string()));
    let mut range = doc! { "$gte": parsed(&first)? };
    // An end after all ids is none.
    if let Ok(end) = ObjectId::parse_str(&end) {
        range.insert("$lt", end);
    }
    let mut chosen = doc! { "_id": range, "removed": { "$exists": false } };
    if let Some((condition, value)) = filter.indexed() {
        let field = match condition {
            Indexed::Intent => "classification.intent",
            Indexed::Outcome => "classification.type",
            Indexed::Version => "classification.catalogue_version",
        };
        chosen.insert(field, value);
    }
    Ok(chosen)
}

/// The other conditions.
fn conditions(filter: &TurnFilter) -> Document {
    let mut all = Document::new();
    for (field, value) in [
        ("classification.intent", &filter.intent),
        ("classification.type", &filter.outcome),
        ("classification.language", &filter.language),
        ("classification.catalogue_version", &filter.version),
    ] {
        if let Some(value) = value {
            all.insert(field, value);
        }
    }
    if let Some(wanted) = &filter.text {
        let pattern = Bson::from(doc! { "$regex": escaped(wanted), "$options": "i" });
        all.insert("$or", [doc! { "text": pattern.clone() }, doc! { "response": pattern }]);
    }
    all
}

/// A text as a regular expression that finds itself.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| ["\\", ""][usize::from(c.is_alphanumeric() || c == ' ' || !c.is_ascii())].chars().chain([c]))
        .collect()
}
