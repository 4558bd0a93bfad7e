//! A conversation fixture, read and checked.

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

/// When a fixture plays that does not say: Monday, 5 January 2026, 10:00 UTC.
pub const NOW: i64 = 1_767_607_200;

/// A line of a fixture's file, counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line.
    pub line: usize,
    /// Where in the document: a JSON pointer.
    #[serde(skip)]
    pub pointer: String,
}

/// A conversation and what must come of it.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// For choosing some of many.
    pub tags: Vec<String>,
    /// The clock at the first message.
    pub now: Timestamp,
    /// Instead of the bot's.
    pub time_zone: Option<TimeZone>,
    /// Where chance comes from.
    pub seed: u64,
    /// Users with something to begin with, by name.
    pub users: BTreeMap<String, User>,
    /// What the outside answers.
    pub stubs: Stubs,
    /// Whether each message begins a dialogue of its own.
    pub independent: bool,
    /// In order, those of the setup first.
    pub steps: Vec<Step>,
}

impl Fixture {
    /// One without messages, at the usual time.
    pub fn new(name: String, place: Place) -> Self {
        Self {
            name,
            place,
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

    /// Whether it passes whatever is said, unless a handler fails.
    pub fn expects_nothing(&self) -> bool {
        self.steps.iter().all(|step| step.expectations.is_empty() && step.events.is_none())
    }

    /// What of it cannot be brought about from outside a server.
    pub fn needs_inside(&self) -> Option<&'static str> {
        let begins = |user: &User| user.state != DialogueState::default() || user.id.is_some() || !user.kept.is_empty();
        if self.users.values().any(begins) {
            return Some("a starting state");
        }
        if self.stubs.plugins.values().len() > 0 {
            return Some("a stub of a plugin");
        }
        None
    }
}

/// A user of a fixture.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// The number that scripts see.
    pub id: Option<i64>,
    /// The dialogue so far.
    pub state: DialogueState,
    /// Values kept by earlier turns.
    pub kept: BTreeMap<String, Value>,
}

/// What the outside answers.
#[derive(Clone, Debug, Default)]
pub struct Stubs {
    /// Pages by URL; the first that fits answers.
    pub http: Vec<HttpStub>,
    /// Whether keys that nobody has kept are told to be absent; else reading one is a fault of the fixture.
    pub kv: bool,
    /// Plugins that are not called.
    pub plugins: BTreeMap<String, PluginStub>,
}

/// What stands for a plugin.
#[derive(Clone, Debug)]
pub struct PluginStub {
    /// Its reply, or how it fails.
    pub answer: Result<PluginReply, PluginFailure>,
    /// Where it stands.
    pub place: Place,
}

/// A page.
#[derive(Clone, Debug)]
pub struct HttpStub {
    /// Which URLs.
    pub url: Matcher,
    /// The page, or why there is none.
    pub answer: Result<HttpAnswer, String>,
    /// Where it stands.
    pub place: Place,
}

/// One message and what is expected of the reply.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who speaks.
    pub speaker: String,
    /// What they say.
    pub text: String,
    /// Time that passes before.
    pub after: Option<Span>,
    /// Where it stands.
    pub place: Place,
    /// What is expected; those of the fixture as a whole first.
    pub expectations: Vec<Expectation>,
    /// Failures of handlers that are expected, by kind; any other is a difference.
    pub events: Option<(Matcher, Place)>,
}

/// Something expected of a turn.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Of what.
    pub subject: Subject,
    /// What.
    pub matcher: Matcher,
    /// Where it stands.
    pub place: Place,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The intent that answered.
    Intent,
    /// Who answered.
    Handler,
    /// The reply as one text.
    Text,
    /// How the message was taken.
    Type,
    /// The language of the reply.
    Language,
    /// The catalogue's version.
    CatalogueVersion,
    /// The probability of the best intent.
    Probability,
    /// Values of the message's entities of this name.
    Entity(String),
    /// The value of a slot.
    Slot(String),
    /// Turns that a context still lives.
    Context(String),
    /// Whether a person is to take over.
    HandOff,
    /// A value kept by the turn.
    Kept(String),
    /// Quick replies of the last text.
    Suggestions,
    /// All that is said and shown, in order.
    Effects,
}

impl Subject {
    /// As it is written in fixtures.
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

    /// Whether a client of a server sees it.
    pub fn is_visible(&self) -> bool {
        matches!(self, Self::Text | Self::Suggestions | Self::Effects)
    }
}
