//! A conversation fixture that was read and checked.

use std::collections::BTreeMap;

use jiff::{Span, Timestamp, tz::TimeZone};
use serde::Serialize;
use serde_json::Value;

use super::matcher::Matcher;
use crate::{
    handlers::plugin::{PluginFailure, PluginReply},
    host::HttpAnswer,
    state::DialogueState,
};

/// The time at which a fixture plays by default: Monday, 5 January 2026, 10:00 UTC.
pub const NOW: i64 = 1_767_607_200;

/// A line in a fixture file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FixtureLocation {
    /// Path of the file.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// JSON pointer into the document.
    #[serde(skip)]
    pub pointer: String,
}

/// A conversation and the expected turns.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// What the fixture shows.
    pub name: String,
    /// Where it is defined.
    pub location: FixtureLocation,
    /// Labels for selecting fixtures.
    pub tags: Vec<String>,
    /// The clock at the first message.
    pub now: Timestamp,
    /// Overrides the bot's time zone.
    pub time_zone: Option<TimeZone>,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Users with an initial state, by name.
    pub users: BTreeMap<String, FixtureUser>,
    /// What the outside world answers.
    pub stubs: Stubs,
    /// Whether each message starts a dialogue of its own.
    pub independent: bool,
    /// The messages in order, those of the setup first.
    pub steps: Vec<Step>,
}

impl Fixture {
    /// A fixture without messages, at the default time.
    pub fn new(name: String, location: FixtureLocation) -> Self {
        Self {
            name,
            location,
            tags: Vec::new(),
            now: Timestamp::from_second(NOW).unwrap_or_default(),
            time_zone: None,
            seed: 0,
            users: BTreeMap::new(),
            stubs: Stubs::default(),
            independent: false,
            steps: Vec::new(),
        }
    }

    /// Whether the fixture passes whatever the bot replies, as long as no handler fails.
    pub fn expects_nothing(&self) -> bool {
        self.steps.iter().all(|step| step.expected() == 0)
    }

    /// What keeps the fixture from being played against a server, where only messages can be sent; `None` if nothing
    /// does.
    pub fn needs_inside(&self) -> Option<&'static str> {
        let begins =
            |user: &FixtureUser| user.state != DialogueState::default() || user.id.is_some() || !user.kept.is_empty();
        if self.users.values().any(begins) {
            return Some("an initial state");
        }
        if self.steps.iter().any(|step| step.answered.is_some()) {
            return Some("an answer of a person");
        }
        if self.stubs.plugins.values().len() > 0 {
            return Some("a plugin stub");
        }
        None
    }
}

#[derive(Clone, Debug, Default)]
pub struct FixtureUser {
    /// The id that scripts see.
    pub id: Option<i64>,
    /// The dialogue state before the first message.
    pub state: DialogueState,
    /// Values that earlier turns stored for the user.
    pub kept: BTreeMap<String, Value>,
}

/// What the outside world answers.
#[derive(Clone, Debug, Default)]
pub struct Stubs {
    /// HTTP responses by URL; the first match answers.
    pub http: Vec<HttpStub>,
    /// Whether keys without a value count as absent; otherwise reading one is a difference, because it has no stub.
    pub kv: bool,
    /// Stubs for plugins, by name; such plugins are not called.
    pub plugins: BTreeMap<String, PluginStub>,
}

/// A stub for a plugin.
#[derive(Clone, Debug)]
pub struct PluginStub {
    /// The plugin's reply, or how it fails.
    pub answer: Result<PluginReply, PluginFailure>,
    /// Where it is defined.
    pub location: FixtureLocation,
}

/// A stub for an HTTP response.
#[derive(Clone, Debug)]
pub struct HttpStub {
    /// The URLs that it answers.
    pub url: Matcher,
    /// The response, or the reason why there is none.
    pub answer: Result<HttpAnswer, String>,
    /// Where it is defined.
    pub location: FixtureLocation,
}

/// One message, and what is expected of the reply.
#[derive(Clone, Debug)]
pub struct Step {
    /// The user who sends the message.
    pub speaker: String,
    /// The text of the message.
    pub text: String,
    /// Time that passes before the message.
    pub after: Option<Span>,
    /// What is answered from outside before the message; an empty text gives the dialogue back to the bot.
    pub answered: Option<String>,
    /// Where it is defined.
    pub location: FixtureLocation,
    /// Expectations; those of the fixture as a whole come first.
    pub expectations: Vec<Expectation>,
    /// Expected failures of handlers, by kind; any other failure is a difference.
    pub events: Option<(Matcher, FixtureLocation)>,
}

impl Step {
    /// The number of expectations.
    pub fn expected(&self) -> usize {
        self.expectations.len() + usize::from(self.events.is_some())
    }
}

/// A condition on one part of a turn.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The part of the turn.
    pub subject: Subject,
    /// The condition.
    pub matcher: Matcher,
    /// Where it is defined.
    pub location: FixtureLocation,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The intent that answered.
    Intent,
    /// The handler that answered.
    Handler,
    /// The reply as one text.
    Text,
    /// How the message was classified.
    Type,
    /// The language of the reply.
    Language,
    CatalogueVersion,
    /// The probability of the best intent.
    Probability,
    /// Values of the message's entities of this name.
    Entity(String),
    /// The value of a slot.
    Slot(String),
    /// Number of further turns for which a context stays active.
    Context(String),
    /// Whether the turn hands the dialogue off.
    HandOff,
    /// A value that the turn stored.
    Kept(String),
    /// Quick replies of the last text.
    Suggestions,
    /// Everything that is said and shown, in order.
    Effects,
}

impl Subject {
    /// The key in fixtures.
    pub fn name(&self) -> String {
        match self {
            Self::Intent => "intent".to_owned(),
            Self::Handler => "handler".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Type => "type".to_owned(),
            Self::Language => "language".to_owned(),
            Self::CatalogueVersion => "catalogue_version".to_owned(),
            Self::Probability => "probability".to_owned(),
            Self::Entity(name) => format!("entities.{name}"),
            Self::Slot(name) => format!("slots.{name}"),
            Self::Context(name) => format!("contexts.{name}"),
            Self::HandOff => "hand_off".to_owned(),
            Self::Kept(name) => format!("kept.{name}"),
            Self::Suggestions => "suggestions".to_owned(),
            Self::Effects => "effects".to_owned(),
        }
    }

    /// Whether a client of a server can see this part.
    pub fn is_visible(&self) -> bool {
        matches!(self, Self::Text | Self::Suggestions | Self::Effects)
    }
}
