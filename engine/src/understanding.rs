//! What one utterance says by itself, whatever the dialogue is about.
//!
//! [`Understanding::of`] reads the text; [`Meaning::of`] runs the model. Most answers to a form's question need no model,
//! so the meaning is found only when a policy of [`crate::dialogue`] asks for it.

mod meaning;
mod reading;

pub use meaning::{Meaning, MeaningTimes};
pub use reading::Reading;

use crate::{
    catalogue::Catalogue,
    language::{Language, detect},
};

/// An utterance, read.
pub struct Understanding {
    /// Its text and entities.
    pub reading: Reading,
    /// The language that its words indicate, among those of the bot.
    pub language: Option<Language>,
    /// When it was said, in milliseconds since 1970.
    pub at: i64,
    /// What the model makes of it; `None` until a policy needs it.
    pub meaning: Option<Meaning>,
}

impl Understanding {
    /// Reads an utterance without the model.
    pub fn of(catalogue: &Catalogue, text: &str, at: i64) -> Self {
        let reading = Reading::of(catalogue, text);
        let language = detect(reading.text(), &catalogue.languages);
        Self { reading, language, at, meaning: None }
    }
}
