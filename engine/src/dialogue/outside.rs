//! What somebody else answers in a dialogue that is handed off.

use crate::{
    catalogue::Catalogue,
    state::DialogueState,
    turn::{AnsweredBy, Output, Turn, TurnKind},
};

/// A turn without a message that ends a hand-off: `answer` is what the external AI or a person says. If it is empty,
/// the dialogue is given back to the bot.
pub fn outside_turn(catalogue: &Catalogue, state: &DialogueState, answer: &str) -> Turn {
    let mut state = state.clone();
    state.end_hand_off(answer);
    let language = state.language.clone().unwrap_or_else(|| catalogue.default_language().clone());
    let turn = Turn::begin(state, language, catalogue.version.clone());
    let turn = Turn { kind: TurnKind::GivenBack, handler: AnsweredBy::Outside, ..turn };
    if answer.is_empty() {
        return turn;
    }
    let output = Output::Text { text: answer.to_owned(), suggestions: Vec::new() };
    Turn { kind: TurnKind::Answer, outputs: vec![output], ..turn }
}
