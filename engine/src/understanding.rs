//! What one utterance says by itself, whatever the dialogue is about.
//!
//! [`Understanding::of`] reads the text; [`Classifying::meaning`] runs the model. Most answers to a form's question need no model,
//! so the meaning is found only when a policy of [`crate::dialogue`] asks for it.

mod clauses;
mod cue;
mod meaning;
mod reading;
mod spelling;
mod typing;

pub use cue::{Consent, Cue, without_fillers};
pub use meaning::{Classifying, Meaning, Reread, Wish};
pub use reading::Reading;

use std::sync::Arc;

use crate::{
    catalogue::Catalogue,
    language::{Language, detect, is_foreign},
    lexicon::ANY_LANGUAGE,
    text::MAX_UTTERANCE,
    values::Setting,
};

/// An utterance, read.
pub struct Understanding {
    /// Its text, words and entities.
    pub reading: Reading,
    /// What it says about the conversation itself.
    pub cue: Option<Cue>,
    /// The language that its words indicate, among those of the bot.
    pub language: Option<Language>,
    /// Whether its letters are those of no language of the bot.
    pub is_foreign: bool,
    /// Whether it has more than [`MAX_UTTERANCE`] characters.
    pub is_too_long: bool,
    /// When it was said, in milliseconds since 1970.
    pub at: i64,
    /// What the model makes of it; `None` until a policy needs it.
    pub meaning: Option<Meaning>,
}

impl Understanding {
    /// Reads an utterance without the model.
    pub fn of(catalogue: &Catalogue, text: &str, setting: Setting, at: i64) -> Self {
        Self::read(catalogue, Reading::of(catalogue, text, Arc::new(setting)), at)
    }

    /// An utterance that is read already.
    pub fn read(catalogue: &Catalogue, reading: Reading, at: i64) -> Self {
        let language = detect(reading.text(), &catalogue.languages).filter(|_| !ANY_LANGUAGE.are(reading.words()));
        let cue = Cue::of(reading.words());
        let is_foreign = is_foreign(reading.text(), &catalogue.languages);
        let is_too_long = reading.text().chars().nth(MAX_UTTERANCE).is_some();
        Self { reading, cue, language, is_foreign, is_too_long, at, meaning: None }
    }
}
