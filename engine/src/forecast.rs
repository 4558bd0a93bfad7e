//! Compares the answers of a new version of a bot with those of the old one, before users see them.
//!
//! An utterance is answered as the first message of a dialogue, without the outside world: there are no stored values,
//! and requests of handlers fail in both versions. A fixture is played with its own stubs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    engine::{Engine, EngineError, Request},
    handlers::plugin::replayed,
    replay::{self, fixture::Fixture},
    snapshot::Snapshot,
    state::DialogueState,
    turn::{AnsweredBy, Message, Turn, TurnKind},
};

/// An utterance whose answer differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// The text of the message.
    pub text: String,
    /// `file:line` of a fixture; `None` for an utterance of a user.
    #[serde(rename = "place")]
    #[schema(required)]
    pub location: Option<String>,
    /// The old answer.
    pub from: Answered,
    /// The new answer.
    pub to: Answered,
}

/// The parts of an answer that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answered {
    /// How the message is classified.
    pub kind: TurnKind,
    /// The matched intent.
    #[schema(required)]
    pub intent: Option<String>,
    /// The handler that answers.
    #[schema(value_type = String)]
    pub handler: AnsweredBy,
    /// The reply as one text.
    pub text: String,
    /// The probability, rounded to two decimals; it is not compared.
    #[schema(required)]
    pub probability: Option<f32>,
}

impl Answered {
    fn of(turn: &Turn) -> Self {
        Self {
            kind: turn.kind,
            intent: turn.intent.as_ref().map(ToString::to_string),
            handler: turn.handler.clone(),
            text: turn.text(),
            probability: turn.probability.map(|probability| (probability * 100.0).round() / 100.0),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        let said = |answer: &Self| (answer.kind, answer.intent.clone(), answer.handler.clone(), answer.text.clone());
        said(self) == said(other)
    }
}

/// Compares the answers of two snapshots to an utterance at `now`; `None` if they are equal. `engine` should have a
/// host without an outside world.
///
/// # Errors
/// Those of [`Engine::reply`].
pub fn of_utterance(
    engine: &Engine,
    snapshots: [&Snapshot; 2],
    text: &str,
    now: jiff::Timestamp,
) -> Result<Option<Changed>, EngineError> {
    let state = DialogueState::default();
    let message = Message { text, user: 2, dialogue: 1, seed: 0 };
    let [from, to] = snapshots;
    let reply = |snapshot: &Snapshot| {
        let plugins = replayed(&snapshot.catalogue.library.plugins);
        let request = Request { plugins, ..Request::new(snapshot, message, &state, now) };
        engine.reply(snapshot, request).map(|turn| Answered::of(&turn))
    };
    let (from, to) = (reply(from)?, reply(to)?);
    Ok((!from.is_like(&to)).then(|| Changed { text: text.to_owned(), location: None, from, to }))
}

/// The messages of a fixture that the second snapshot answers differently from the first, whatever the fixture expects.
///
/// # Errors
/// Those of [`replay::replay`].
pub fn of_fixture(engine: &Engine, snapshots: [&Snapshot; 2], fixture: &Fixture) -> Result<Vec<Changed>, EngineError> {
    let [from, to] = snapshots;
    let (from, to) = (replay::replay(engine, from, fixture)?, replay::replay(engine, to, fixture)?);
    let changed = from.turns.iter().zip(&to.turns).map(|(old, new)| {
        let (from, to) = (Answered::of(&old.turn), Answered::of(&new.turn));
        let location = Some(format!("{}:{}", new.location.file, new.location.line));
        (!from.is_like(&to)).then(|| Changed { text: new.user.clone(), location, from, to })
    });
    Ok(changed.flatten().collect())
}
