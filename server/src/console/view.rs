//! Turns as the console shows them.

use banter_engine::{
    replay::{record::text_slots, redactor::Redactor},
    turn::{Explain, Timings},
};
use banter_stores::{Millis, NewTurn};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// How much of what people wrote is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    Whole,
    /// Without e-mail addresses, phone and card numbers, and names in slots.
    Masked,
}

/// A turn with its explanation.
#[derive(Serialize, ToSchema)]
pub struct ConsoleTurn {
    /// 24 hex digits.
    pub id: String,
    pub dialog_id: i64,
    pub user_id: i64,
    /// The turn's number in its dialogue, from 1.
    pub seq: i64,
    /// When it was made, in milliseconds since 1970.
    #[schema(value_type = i64)]
    pub at: Millis,
    /// What the user said; empty if the bot began.
    pub text: String,
    /// What was answered, as one text.
    pub response: String,
    /// `matched`, `ambiguous`, `unknown`, `form`, `waiting`, `answer`, `given_back`, `silence`.
    pub outcome: String,
    #[schema(required)]
    pub intent: Option<String>,
    #[schema(required)]
    pub language: Option<String>,
    /// The version of the catalogue that answered.
    #[schema(required)]
    pub version: Option<String>,
    /// Who answered: `reply`, `form`, a script, `plugin:` and a name.
    #[schema(required)]
    pub handler: Option<String>,
    /// The probability of the best intent.
    #[schema(required)]
    pub probability: Option<f64>,
    /// Whether the turn handed the dialogue off.
    pub hand_off: bool,
    /// The time of the answer without the store, in milliseconds.
    pub latency_ms: f64,
    /// What failed.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<Value>,
    /// What was found in the message.
    #[schema(value_type = Vec<Object>)]
    pub entities: Vec<Value>,
    /// The slots after the turn.
    #[schema(value_type = Object)]
    pub slots: Value,
    /// Missing in turns of older servers.
    #[schema(required)]
    pub explain: Option<Explain>,
    /// Missing in turns of older servers.
    #[schema(required)]
    pub timings: Option<Timings>,
}

impl Texts {
    /// The turns as they are shown.
    pub fn view(self, turns: Vec<NewTurn>) -> Vec<ConsoleTurn> {
        let mut mask = self.mask(&turns);
        turns.into_iter().map(|turn| view(turn, mask.as_mut())).collect()
    }

    /// What masks the texts of these turns, if they must be masked.
    pub(super) fn mask<'a>(self, turns: impl IntoIterator<Item = &'a NewTurn>) -> Option<Redactor> {
        if self == Self::Whole {
            return None;
        }
        let mut redactor = Redactor::default();
        for (slot, value) in turns.into_iter().flat_map(|turn| text_slots(&turn.state.slots)) {
            redactor.learn_names([(slot.as_str(), value.as_str())]);
        }
        Some(redactor)
    }
}

fn view(turn: NewTurn, mask: Option<&mut Redactor>) -> ConsoleTurn {
    let NewTurn { id, dialogue, user, seq, created_at, text, response, classification, state, .. } = turn;
    let word = |name: &str| classification[name].as_str().map(str::to_owned);
    let list = |name: &str| classification[name].as_array().cloned().unwrap_or_default();
    let mut shown = ConsoleTurn {
        id,
        dialog_id: dialogue.0,
        user_id: user.0,
        seq,
        at: created_at,
        text,
        response,
        outcome: word("type").unwrap_or_default(),
        intent: word("intent"),
        language: word("language"),
        version: word("catalogue_version"),
        handler: word("handler"),
        probability: classification["confidence"].as_f64(),
        hand_off: classification["hand_off"].as_bool().unwrap_or(false),
        latency_ms: classification["latency_ms"].as_f64().unwrap_or(0.0),
        events: list("events"),
        entities: list("entities"),
        slots: serde_json::to_value(&state.slots).unwrap_or_default(),
        explain: serde_json::from_value(classification["explain"].clone()).ok(),
        timings: serde_json::from_value(classification["timings"].clone()).ok(),
    };
    if let Some(redactor) = mask {
        shown.text = redactor.redact(&shown.text);
        shown.response = redactor.redact(&shown.response);
        shown.events.iter_mut().chain(&mut shown.entities).for_each(|value| redactor.redact_json(value));
        redactor.redact_json(&mut shown.slots);
        for step in shown.explain.iter_mut().flat_map(|explain| &mut explain.trace) {
            *step = redactor.redact(step);
        }
    }
    shown
}
