//! What a new version of a bot would answer otherwise than the old one, told before anybody meets it.
//!
//! An utterance is answered at the beginning of a dialogue, with the outside of nobody: nothing is kept, and what a handler would fetch
//! fails alike for both. A fixture is played with what it says of the outside.

use serde::{Deserialize, Serialize};

use crate::{
    engine::{Engine, EngineError},
    replay::{self, fixture::Fixture},
    snapshot::Snapshot,
    state::DialogueState,
    turn::{Message, Turn, TurnKind},
};

/// An utterance whose answer changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// What the user says.
    pub text: String,
    /// `file:line` of a fixture; `None` for what a user has said.
    pub place: Option<String>,
    /// As it was.
    pub from: Answered,
    /// As it would be.
    pub to: Answered,
}

/// An answer, as far as versions are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// How the message is taken.
    pub kind: TurnKind,
    /// The matched intent.
    pub intent: Option<String>,
    /// Who answers.
    pub handler: String,
    /// The reply as one text.
    pub text: String,
    /// Rounded to a hundredth; not compared.
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

/// Which of these utterances the second snapshot answers otherwise than the first, at `now`. `engine` should have no outside.
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
    let message = Message { text, user: 2, dialog: 1, seed: 0 };
    let [from, to] = snapshots;
    let reply = |snapshot: &Snapshot| {
        engine.reply(snapshot, &state, &message, snapshot.local(now)).map(|turn| Answered::of(&turn))
    };
    let (from, to) = (reply(from)?, reply(to)?);
    Ok((!from.is_like(&to)).then(|| Changed { text: text.to_owned(), place: None, from, to }))
}

/// Which messages of a fixture the second snapshot answers otherwise than the first, whatever the fixture expects.
///
/// # Errors
/// Those of [`replay::replay`].
pub fn of_fixture(engine: &Engine, snapshots: [&Snapshot; 2], fixture: &Fixture) -> Result<Vec<Changed>, EngineError> {
    let [from, to] = snapshots;
    let (from, to) = (replay::replay(engine, from, fixture)?, replay::replay(engine, to, fixture)?);
    let changed = from.turns.iter().zip(&to.turns).map(|(old, new)| {
        let (from, to) = (Answered::of(&old.turn), Answered::of(&new.turn));
        let place = Some(format!("{}:{}", new.place.file, new.place.line));
        (!from.is_like(&to)).then(|| Changed { text: new.user.clone(), place, from, to })
    });
    Ok(changed.flatten().collect())
}
