//! What a policy decides, as data that [`crate::engine`] performs.

use crate::{
    catalogue::{Intent, ScriptFunction, SlotSpec},
    ids::IntentId,
    language::Language,
    state::DialogueState,
    template::Text,
    turn::{AnsweredBy, Event, Output, TurnKind},
    understanding::Reading,
};

/// The decision depends on the model, and [`Understanding::meaning`](crate::understanding::Understanding::meaning) is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclassified;

/// What a policy decides.
#[derive(Debug)]
pub struct Step<'a> {
    /// The state after it.
    pub state: DialogueState,
    /// The language of the reply.
    pub language: Language,
    /// How the utterance is classified.
    pub kind: TurnKind,
    /// The intent that answers, if it is known before a handler runs.
    pub intent: Option<IntentId>,
    /// Who answers, if no handler does.
    pub handler: Option<AnsweredBy>,
    /// The rule that decided, as text.
    pub rule: String,
    /// Further steps of the decision, as text.
    pub trace: Vec<String>,
    /// What went wrong.
    pub events: Vec<Event>,
    /// An earlier utterance whose entities count instead: the one before "did you mean".
    pub meant: Option<Reading>,
    /// What is to be done, in order.
    pub actions: Vec<Action<'a>>,
}

/// One thing to be done.
#[derive(Debug)]
pub enum Action<'a> {
    /// Show something that a handler made.
    Show(Output),
    /// Say one of the author's texts.
    Say(Saying<'a>),
    /// Say that something has failed.
    Excuse,
    /// Run the handler of this intent, whose slots are filled; then [`apply`](super::apply) its effects.
    Run(&'a Intent),
    /// Let a script check the value of a slot, and say what it says; then [`checked`](super::checked) goes on.
    Check { intent: &'a Intent, slot: &'a SlotSpec, function: &'a ScriptFunction },
    /// Start the intent with this name, because a handler jumps to it.
    Jump(String),
    /// Hand the dialogue off to a person.
    HandOff,
    /// [`proceed`](super::proceed) with what waits, unless something was asked or the dialogue was handed off.
    Proceed {
        /// The intent whose form was in progress before the utterance.
        form: Option<IntentId>,
    },
}

/// What a script says of a slot's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// It has said why.
    Refused,
    /// It has failed.
    Failed,
}

/// One of the author's texts, with what it needs.
#[derive(Debug)]
pub struct Saying<'a> {
    pub text: &'a Text,
    /// Quick replies.
    pub suggestions: Vec<Phrase<'a>>,
    /// Values of the text beside the slots.
    pub values: Vec<(&'static str, Phrase<'a>)>,
}

/// A few words inside a text.
#[derive(Clone, Debug)]
pub enum Phrase<'a> {
    /// What the bot calls an intent.
    Title(&'a Intent),
    /// What the bot calls several intents, one numbered line each.
    Numbered(Vec<&'a Intent>),
    /// A text without values.
    Words(&'a Text),
    /// These words.
    Plain(String),
}
