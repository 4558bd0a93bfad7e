//! Converts turns to and from MongoDB documents.

use std::collections::BTreeMap;

use mongodb::{
    IndexModel,
    bson::{Binary, Bson, Document, Timestamp, doc, oid::ObjectId, spec::BinarySubtype},
    options::IndexOptions,
};
use serde_json::Value;

use super::{SCHEMA, STORE};
use crate::{DialogueId, HandOffChange, NewTurn, StoreError, UserId};

/// The required fields of a turn. Rejects malformed documents written by hand or by another program.
pub(super) fn validator() -> Document {
    let types = [
        ("schema", "int"),
        ("dialog_id", "long"),
        ("user_id", "long"),
        ("seq", "long"),
        ("created_at", "long"),
        ("at", "timestamp"),
        ("text", "string"),
        ("response", "string"),
        ("classification", "object"),
        ("outputs", "string"),
        ("state", "string"),
    ];
    let properties: Document =
        types.iter().map(|(name, kind)| ((*name).to_owned(), doc! { "bsonType": *kind }.into())).collect();
    let required: Vec<Bson> = types.iter().map(|(name, _)| Bson::from(*name)).collect();
    doc! { "$jsonSchema": { "bsonType": "object", "required": required, "properties": properties } }
}

pub(super) const TURNS: &str = "turns";
/// The field of a turn that waits for an answer from outside: until when, and until when it is leased.
pub(super) const WAITS: &str = "waits";
pub(super) const ENDS_HAND_OFF: &str = "ends_hand_off";
pub(super) const DIALOGUE_INDEX: &str = "dialog_seq";
pub(super) const KEY_INDEX: &str = "user_idempotency_key";

pub(super) fn indexes() -> Vec<IndexModel> {
    let index = |keys: Document, options: IndexOptions| IndexModel::builder().keys(keys).options(options).build();
    let named = |name: &str| IndexOptions::builder().name(name.to_owned()).build();
    let unique = |name: &str| IndexOptions::builder().name(name.to_owned()).unique(true).build();
    let partial = |options: IndexOptions, field: &str| {
        let mut options = options;
        options.partial_filter_expression = Some(doc! { field: { "$exists": true } });
        options
    };
    vec![
        index(doc! { "dialog_id": 1, "seq": 1 }, unique(DIALOGUE_INDEX)),
        index(doc! { "user_id": 1, "at": 1 }, named("user_at")),
        index(doc! { "user_id": 1, "idempotency_key": 1 }, partial(unique(KEY_INDEX), "idempotency_key")),
        index(doc! { "user_id": 1, "kept.key": 1, "at": 1 }, partial(named("user_kept"), "kept.key")),
        index(doc! { "waits.until": 1 }, partial(named("waits"), "waits.until")),
        index(doc! { "classification.intent": 1, "_id": 1 }, named("intents")),
        index(doc! { "classification.type": 1, "_id": 1 }, named("outcomes")),
        index(doc! { "classification.catalogue_version": 1, "_id": 1 }, named("versions")),
        index(doc! { "created_at": 1 }, partial(named("failures"), "classification.events.0")),
        // A period is counted from this index alone.
        index(
            doc! {
                "created_at": 1, "classification.type": 1, "classification.hand_off": 1,
                "classification.latency_ms": 1, "classification.intent": 1,
            },
            named("numbers"),
        ),
        index(doc! { "dialog_id": 1, ENDS_HAND_OFF: 1, "seq": 1 }, partial(named("hand_off_endings"), ENDS_HAND_OFF)),
    ]
}

pub(super) fn to_document(turn: &NewTurn) -> Result<Document, StoreError> {
    let id = ObjectId::parse_str(&turn.id).map_err(|error| damaged(error.to_string()))?;
    let classification =
        mongodb::bson::serialize_to_bson(&turn.classification).map_err(|error| damaged(error.to_string()))?;
    let state = serde_json::to_string(&turn.state).map_err(|error| damaged(error.to_string()))?;
    let mut document = doc! {
        "_id": id,
        "schema": SCHEMA,
        "dialog_id": turn.dialogue.0,
        "user_id": turn.user.0,
        "seq": turn.seq,
        "created_at": turn.created_at,
        // MongoDB replaces this with its cluster time, which grows with every write, independent of our clocks.
        "at": Timestamp { time: 0, increment: 0 },
        "text": &turn.text,
        "response": &turn.response,
        "classification": classification,
        // Stored as text, because BSON would change some keys and numbers of a handler's payload.
        "outputs": turn.outputs.to_string(),
        "state": state,
    };
    if let Some((key, hash)) = &turn.idempotency {
        document.insert("idempotency_key", key);
        document.insert("request_hash", Binary { subtype: BinarySubtype::Generic, bytes: hash.to_vec() });
    }
    if let Some(until) = turn.hand_off.waits_until {
        document.insert(WAITS, doc! { "until": until, "leased_until": 0_i64 });
    }
    if turn.hand_off.ends_earlier {
        document.insert(ENDS_HAND_OFF, true);
    }
    if !turn.kept.is_empty() {
        let kept: Vec<Document> =
            turn.kept.iter().map(|(key, value)| doc! { "key": key, "value": value.to_string() }).collect();
        document.insert("kept", kept);
    }
    Ok(document)
}

pub(super) fn from_document(turn: &Document) -> Result<NewTurn, StoreError> {
    known_schema(turn)?;
    let classification = turn.get("classification").cloned().ok_or_else(|| damaged("there is no classification"))?;
    Ok(NewTurn {
        id: id(turn)?,
        dialogue: DialogueId(integer(turn, "dialog_id")?),
        user: UserId(integer(turn, "user_id")?),
        seq: integer(turn, "seq")?,
        created_at: integer(turn, "created_at")?,
        text: text(turn, "text")?.to_owned(),
        response: text(turn, "response")?.to_owned(),
        classification: mongodb::bson::deserialize_from_bson(classification)
            .map_err(|error| damaged(error.to_string()))?,
        outputs: parse(text(turn, "outputs")?)?,
        state: parse(text(turn, "state")?)?,
        idempotency: None,
        hand_off: HandOffChange::default(),
        kept: kept_values(turn)?,
    })
}

/// Rejects documents of a newer schema: their fields may have other meanings.
pub(super) fn known_schema(turn: &Document) -> Result<(), StoreError> {
    match turn.get_i32("schema") {
        Ok(1..=SCHEMA) => Ok(()),
        Ok(other) => Err(damaged(format!("schema {other} is not supported; this server knows schemas 1 to {SCHEMA}"))),
        Err(error) => Err(damaged(format!("schema: {error}"))),
    }
}

pub(super) fn kept_values(turn: &Document) -> Result<BTreeMap<String, Value>, StoreError> {
    let kept = match turn.get("kept") {
        None => return Ok(BTreeMap::new()),
        Some(Bson::Array(kept)) => kept,
        Some(_) => return Err(damaged("the kept values are no list")),
    };
    let pair = |one: &Bson| {
        let one = one.as_document().ok_or_else(|| damaged("a kept value is not a document"))?;
        Ok((text(one, "key")?.to_owned(), parse(text(one, "value")?)?))
    };
    kept.iter().map(pair).collect()
}

pub(super) fn id(turn: &Document) -> Result<String, StoreError> {
    turn.get_object_id("_id").map(|id| id.to_hex()).map_err(|error| damaged(error.to_string()))
}

pub(super) fn text<'d>(document: &'d Document, field: &str) -> Result<&'d str, StoreError> {
    document.get_str(field).map_err(|error| damaged(format!("{field}: {error}")))
}

pub(super) fn integer(document: &Document, field: &str) -> Result<i64, StoreError> {
    document.get_i64(field).map_err(|error| damaged(format!("{field}: {error}")))
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| damaged(error.to_string()))
}

pub(super) fn damaged(message: impl std::fmt::Display) -> StoreError {
    StoreError::damaged(STORE, format!("a stored value cannot be read: {message}"))
}
