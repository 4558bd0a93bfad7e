//! Who answers: the step between loading a dialogue and committing the turn. The engine answers messages. The external
//! AI or a person answers what was handed off.

use banter_engine::{
    Engine, EngineError, Request,
    dialogue::outside_turn,
    embedding::EmbeddingError,
    turn::{Message, Turn},
};
use banter_stores::{DialogueId, LastTurn, Millis, StoreError, UserId};

use super::{ConversationError, admission::Admission};
use crate::catalogs::{serving::Serving, timestamp};

/// What a turn is made from.
pub struct Asked<'a> {
    pub user: UserId,
    pub dialogue: DialogueId,
    pub last: &'a LastTurn,
    pub serving: &'a Serving,
    pub now: Millis,
}

/// Makes the next turn of a dialogue.
///
/// After a collision with another server it is asked again. So the result of an external AI is fetched before, and the
/// answerer holds it. The bot's handlers run again; they can only read from outside.
pub trait Answerer: Sync {
    fn answer(&self, asked: Asked<'_>) -> impl Future<Output = Result<Turn, ConversationError>> + Send;
}

/// The bot.
pub struct EngineAnswerer<'a> {
    pub engine: &'a Engine,
    pub admission: &'a Admission,
    pub text: &'a str,
    /// Whether a message is refused while somebody else is to answer. Otherwise it is stored for whoever answers.
    pub refuses_while_waiting: bool,
}

impl Answerer for EngineAnswerer<'_> {
    async fn answer(&self, asked: Asked<'_>) -> Result<Turn, ConversationError> {
        let Asked { user, dialogue, last, serving, now } = asked;
        if self.refuses_while_waiting && last.state.waits(now) {
            return Err(ConversationError::HandedOff);
        }
        let message = Message { text: self.text, user: user.0, dialogue: dialogue.0, seed: seed(dialogue, last.seq) };
        let request = Request::new(&serving.snapshot, message, &last.state, timestamp(now));
        let permit = self.admission.compute().await?;
        // The embedder and the host call `block_in_place` themselves when they wait.
        let replied = self.engine.reply(&serving.snapshot, request);
        drop(permit);
        replied.map_err(|error| failure(self.engine, error))
    }
}

/// The bot after a silence.
pub struct SilenceBreaker<'a> {
    pub engine: &'a Engine,
    pub admission: &'a Admission,
    /// The last turn before the silence.
    pub seq: i64,
}

impl Answerer for SilenceBreaker<'_> {
    async fn answer(&self, asked: Asked<'_>) -> Result<Turn, ConversationError> {
        let Asked { user, dialogue, last, serving, now } = asked;
        if last.seq != self.seq {
            return Err(ConversationError::NothingWaits);
        }
        let message = Message { text: "", user: user.0, dialogue: dialogue.0, seed: seed(dialogue, last.seq) };
        let request = Request::new(&serving.snapshot, message, &last.state, timestamp(now));
        let permit = self.admission.compute().await?;
        let said = self.engine.break_silence(&serving.snapshot, request);
        drop(permit);
        said.map_err(|error| failure(self.engine, error))?.ok_or(ConversationError::NothingWaits)
    }
}

fn failure(engine: &Engine, error: EngineError) -> ConversationError {
    match error {
        EngineError::Embedding(EmbeddingError::Busy) => ConversationError::Busy,
        EngineError::Embedding(error) if !engine.can_embed() => {
            tracing::error!(%error, "the model does not answer");
            StoreError::outage("embedding", error.to_string()).into()
        }
        EngineError::Outside { part, reason } => StoreError::outage(part, reason).into(),
        error => ConversationError::Internal(error.to_string()),
    }
}

/// The randomness of a turn is fixed by its place, so that a turn that is run again after a collision elsewhere is the
/// same.
fn seed(dialogue: DialogueId, seq: i64) -> u64 {
    (dialogue.0 as u64).rotate_left(32) ^ seq as u64
}

/// What the external AI or a person has answered.
#[derive(Clone, Copy, Debug)]
pub struct OutsideAnswer<'a> {
    /// An empty one gives the dialogue back to the bot.
    pub text: &'a str,
    /// The hand-off that is meant, by its end; without it, the current one.
    pub until: Option<Millis>,
}

impl Answerer for OutsideAnswer<'_> {
    async fn answer(&self, asked: Asked<'_>) -> Result<Turn, ConversationError> {
        // An answer after the author's time is welcome, too, as long as the bot has not spoken again.
        let waits = asked.last.state.hand_off.as_ref();
        if waits.is_none_or(|waits| self.until.is_some_and(|until| until != waits.until)) {
            return Err(ConversationError::NothingWaits);
        }
        Ok(outside_turn(&asked.serving.snapshot.catalogue, &asked.last.state, self.text))
    }
}
