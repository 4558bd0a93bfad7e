//! A chat with a version that may not be in use. Nothing of it is stored: the caller keeps the dialogue state.

use std::{sync::Arc, time::Instant};

use banter_engine::{
    Request,
    state::DialogueState,
    turn::{Message, Output},
};
use banter_stores::{DialogueId, HandOffChange, NewTurn, UserId};
use tokio::task::block_in_place;

use super::{Console, ConsoleError, ConsoleTurn, Texts};
use crate::{
    catalogs::{serving::Serving, terms::ReleaseError, timestamp},
    conversations::{check_text, record::classification},
};

/// The user and the dialogue that handlers see. Nobody has them, so handlers find nothing that was kept.
const NOBODY: i64 = 0;

/// What a version answers.
pub struct Tried {
    pub version: String,
    pub turn: ConsoleTurn,
    pub outputs: Vec<Output>,
    /// For the next message.
    pub state: DialogueState,
}

impl Console {
    /// Answers a message with a version, by its first digits. `turn` is the message's number in the chat.
    ///
    /// # Errors
    /// [`ConsoleError::Text`], [`ConsoleError::Release`], [`ConsoleError::Internal`].
    pub async fn try_out(
        &self,
        version: &str,
        text: &str,
        state: &DialogueState,
        turn: i64,
    ) -> Result<Tried, ConsoleError> {
        check_text(text).map_err(|_| ConsoleError::Text)?;
        let serving = self.candidate(version).await?;
        let now = self.clock.now();
        let message = Message { text, user: NOBODY, dialogue: NOBODY, seed: turn.unsigned_abs() };
        let request = Request::new(&serving.snapshot, message, state, timestamp(now));
        let begun = Instant::now();
        let answered = block_in_place(|| self.engine.reply(&serving.snapshot, request));
        let answered = answered.map_err(|error| ConsoleError::Internal(error.to_string()))?;
        let internal = |error: serde_json::Error| ConsoleError::Internal(error.to_string());
        let shown = NewTurn {
            id: crate::message_id::new(now),
            dialogue: DialogueId(NOBODY),
            user: UserId(NOBODY),
            seq: turn,
            created_at: now,
            text: text.to_owned(),
            response: answered.text(),
            classification: classification(&answered, begun.elapsed()).map_err(internal)?,
            outputs: serde_json::to_value(&answered.outputs).map_err(internal)?,
            state: answered.state.clone(),
            idempotency: None,
            hand_off: HandOffChange::default(),
            kept: answered.kept.clone(),
        };
        let turn = Texts::Whole.view(vec![shown]).pop();
        let turn = turn.ok_or_else(|| ConsoleError::Internal("a turn is lost".to_owned()))?;
        Ok(Tried { version: serving.id.clone(), turn, outputs: answered.outputs, state: answered.state })
    }

    /// A version that is ready to answer. The last one that was not in use is kept.
    async fn candidate(&self, version: &str) -> Result<Arc<Serving>, ReleaseError> {
        let id = self.source.resolve(version).await?;
        let line = self.follower.line();
        if let Some(serving) = line.find(&id) {
            return Ok(serving);
        }
        let mut last = self.candidate.lock().await;
        if let Some(serving) = last.as_ref().filter(|serving| serving.id == id) {
            return Ok(Arc::clone(serving));
        }
        let record = self.source.record(&id).await?;
        let serving = Arc::new(self.source.build(&record, Some(&line.stable.snapshot), &|_| {}).await?);
        *last = Some(Arc::clone(&serving));
        Ok(serving)
    }
}
