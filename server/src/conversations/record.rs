//! What is written down of a turn: in the store, and in the log.

use std::{sync::Arc, time::Duration};

use banter_engine::turn::{Event, Turn, TurnKind};
use serde_json::{Value, json};

use super::{ConversationError, Incoming};
use crate::{catalogs::serving::Serving, operations::Operation};
use banter_stores::{DialogueId, HandOffChange, Millis, NewTurn, UserId};

/// A turn that is made, and what it was made from.
pub struct AnsweredTurn {
    pub turn: Turn,
    pub serving: Arc<Serving>,
    pub seq: i64,
    pub made: Millis,
    /// The time that the answer took.
    pub latency: Duration,
    pub hand_off: HandOffChange,
}

/// What is stored of a turn.
///
/// # Errors
/// When a value cannot be written as JSON.
pub fn new_turn(
    incoming: &Incoming,
    dialogue: DialogueId,
    answered: &AnsweredTurn,
) -> Result<NewTurn, ConversationError> {
    let AnsweredTurn { turn, seq, made, latency, .. } = answered;
    let internal = |error: serde_json::Error| ConversationError::Internal(error.to_string());
    Ok(NewTurn {
        id: crate::message_id::new(*made),
        dialogue,
        user: incoming.user,
        seq: *seq,
        created_at: *made,
        text: incoming.text.clone(),
        response: turn.text(),
        classification: classification(turn, *latency).map_err(internal)?,
        outputs: serde_json::to_value(&turn.outputs).map_err(internal)?,
        state: turn.state.clone(),
        idempotency: incoming.idempotency.clone(),
        hand_off: answered.hand_off,
        kept: turn.kept.clone(),
    })
}

/// What is stored of how a message was answered.
///
/// # Errors
/// When a value cannot be written as JSON.
pub fn classification(turn: &Turn, latency: Duration) -> Result<Value, serde_json::Error> {
    Ok(json!({
        "type": serde_json::to_value(turn.kind)?,
        "intent": turn.intent.as_ref().map(|intent| intent.as_str()),
        "confidence": turn.probability,
        "language": turn.language.code(),
        "entities": serde_json::to_value(&turn.entities)?,
        "handler": turn.handler,
        "hand_off": turn.hand_off,
        "events": serde_json::to_value(&turn.events)?,
        "catalogue_version": turn.catalogue_version,
        "latency_ms": latency.as_secs_f64() * 1e3,
        // Why it was answered so, for the console.
        "explain": serde_json::to_value(&turn.explain)?,
        "timings": serde_json::to_value(turn.timings)?,
    }))
}

/// One line a turn, without texts; `latency` is the engine's part, `stored` what the store took.
pub fn report(user: UserId, dialogue: DialogueId, turn: &Turn, latency: Duration, stored: Duration) {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    for event in &turn.events {
        if let Event::StateDropped { name } = event {
            tracing::info!(user = user.0, dialogue = dialogue.0, name, "a state went with what it belonged to");
            continue;
        }
        // What a script throws may quote the user; it is stored with the turn and logged only on request.
        tracing::warn!(
            user = user.0,
            dialogue = dialogue.0,
            event = event.kind(),
            location = event.location(),
            "a handler failed"
        );
        tracing::debug!(?event, "a handler failed");
    }
    tracing::info!(
        user = user.0,
        dialogue = dialogue.0,
        kind = ?turn.kind,
        intent = turn.intent.as_ref().map(|intent| intent.as_str()),
        handler = turn.handler.to_string(),
        embed_us = turn.timings.embed_us,
        decide_us = turn.timings.decide_us,
        handle_us = turn.timings.handle_us,
        total_us = micros(latency),
        store_us = micros(stored),
        "turn"
    );
    match turn.kind {
        TurnKind::Answer => Operation::AnswerStored(user, dialogue).log(),
        TurnKind::GivenBack | TurnKind::Silence => {}
        _ => Operation::MessageStored(user, dialogue).log(),
    }
    if turn.hand_off {
        Operation::HandedOff(user, dialogue).log();
    }
}
