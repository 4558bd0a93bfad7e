//! Reads files into fixtures, or reports everything that is wrong with them.

mod botium;
mod expect;
mod rasa;
mod world;

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use jiff::{Span, Zoned, tz::TimeZone};
use serde_json::Value;

use super::{
    fixture::{Fixture, FixtureLocation, Step},
    matcher::{Lists, Matcher},
    wire::{FixtureFile, MAX_TURNS, TurnFile},
};
use crate::{
    catalogue::{
        Catalogue, Handler, Intent,
        document::{Document, child},
        shape::Shape,
    },
    diagnostic::{Diagnostic, Diagnostics, Location, Severity, choose_hint, did_you_mean},
    text::shorten,
    turn::AnsweredBy,
};

/// The folder of shared setup files: `fixtures/shared/`, or `shared/` next to a fixture elsewhere.
const SHARED: &str = "shared/";
/// The user of a fixture that names none.
const SOMEBODY: &str = "user";
/// Placeholder, in files of other tools, for a message that cannot be sent as meant. Such a message is reported and
/// skipped. No text that a user may send equals it.
const UNSAYABLE: &str = "\0";

/// Reads fixtures: banter's own YAML, Rasa's end-to-end YAML, and Botium's `.convo.txt`. What keeps a file from being
/// played is an error; an unsupported part of another tool's file is a warning.
pub fn read(files: &BTreeMap<String, Vec<u8>>, catalogue: &Catalogue, diagnostics: &mut Diagnostics) -> Vec<Fixture> {
    let shared = shared_files(files);
    let mut reader = FixtureReader {
        files,
        shared,
        catalogue,
        diagnostics,
        shape: Shape::lenient(serde_json::Map::new()),
        names: OnceCell::new(),
        handlers: OnceCell::new(),
    };
    let mut fixtures = Vec::new();
    for (path, bytes) in files {
        let ending = path.to_lowercase();
        if ending.ends_with(botium::CONVERSATION) {
            fixtures.extend(botium::read(&mut reader, path, bytes));
        } else if ending.ends_with(botium::UTTERANCES) {
            botium::check_utterances(&mut reader, path, bytes);
        } else if reader.shared.contains_key(path.as_str()) {
            reader.look_at_shared(path, bytes);
        } else {
            fixtures.extend(reader.yaml(path, bytes));
        }
    }
    for fixture in fixtures.iter().filter(|fixture| fixture.expects_nothing()) {
        let location = Location { file: fixture.location.file.clone(), span: 0..0 };
        let message = format!(
            "the fixture `{}` has no expectations, so it fails only if a handler fails",
            shorten(&fixture.name, 60)
        );
        reader
            .diagnostics
            .push(Diagnostic::warning(location, message).hint("add `expect:` at least to the last message"));
    }
    reader.diagnostics.tell_once();
    fixtures.retain(|fixture| {
        let fits = fixture.steps.len() <= MAX_TURNS;
        if !fits {
            let location = Location { file: fixture.location.file.clone(), span: 0..0 };
            let message = format!("the conversation has {} messages, more than {MAX_TURNS}", fixture.steps.len());
            diagnostics.push(Diagnostic::error(location, message).hint("split the file"));
        }
        fits
    });
    fixtures
}

/// Whether a file of a bot is a shared setup file.
pub fn is_shared(path: &str) -> bool {
    path.starts_with("fixtures/shared/")
}

/// Shared setup files by path, with the name by which fixtures refer to them: those in a folder `shared/` under a
/// folder of fixtures.
fn shared_files(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&str, &str> {
    let folder = |path: &'_ str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let folders: BTreeSet<String> = files.keys().map(|path| folder(path)).collect();
    let name = |path: &'_ str| {
        let at = path.rfind(SHARED)?;
        let around = &path[..at];
        (around.ends_with("fixtures/") || folders.contains(around)).then_some(at + SHARED.len())
    };
    files.keys().filter_map(|path| Some((path.as_str(), &path[name(path)?..]))).collect()
}

struct FixtureReader<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    shared: BTreeMap<&'a str, &'a str>,
    catalogue: &'a Catalogue,
    diagnostics: &'a mut Diagnostics,
    shape: Shape<FixtureFile>,
    names: OnceCell<BTreeSet<String>>,
    handlers: OnceCell<BTreeSet<String>>,
}

impl FixtureReader<'_> {
    /// Names that the bot's files mention: slots, and all text literals of its scripts.
    fn names(&self) -> &BTreeSet<String> {
        self.names.get_or_init(|| {
            let intents = &self.catalogue.intents;
            let slots = intents.iter().flat_map(|intent| intent.slots.iter().map(|slot| slot.name.clone()));
            let functions = intents.iter().flat_map(Intent::functions);
            slots.chain(functions.flat_map(|function| function.script.literals())).collect()
        })
    }

    /// All handlers that may answer: the engine's own and those of intents.
    fn handlers(&self) -> &BTreeSet<String> {
        self.handlers.get_or_init(|| {
            let others = self.catalogue.intents.iter().filter_map(|intent| match &intent.handler {
                Handler::Script(function) => Some(AnsweredBy::script(function.script.path())),
                Handler::Plugin(plugin) => Some(AnsweredBy::Plugin(plugin.clone())),
                _ => None,
            });
            // The answer of a person is not that of a message.
            let own = AnsweredBy::own().filter(|handler| *handler != AnsweredBy::Outside);
            others.chain(own).map(|handler| handler.to_string()).collect()
        })
    }

    fn yaml(&mut self, path: &str, bytes: &[u8]) -> Vec<Fixture> {
        let Some(mut document) = Document::read(path, bytes, self.diagnostics) else { return Vec::new() };
        if rasa::is_one(&document.value) {
            return rasa::read(self, &document);
        }
        self.own(&mut document).into_iter().collect()
    }

    /// Reads a fixture in banter's own format.
    fn own(&mut self, document: &mut Document) -> Option<Fixture> {
        let before = self.diagnostics.count(Severity::Error);
        let file = self.shape.read(document, self.diagnostics)?;
        if document.value.get("conversation").is_none_or(Value::is_null) {
            let diagnostic = Diagnostic::error(document.location(""), "the key `conversation` is missing");
            self.diagnostics.push(
                diagnostic.hint(
                    "describe the conversation in a few words; move parts that fixtures share to fixtures/shared/",
                ),
            );
        }
        if document.value.get("turns").is_none_or(|turns| turns.as_array().is_some_and(Vec::is_empty)) {
            let diagnostic = Diagnostic::error(document.location(""), "the fixture has no messages");
            self.diagnostics.push(diagnostic.hint("write `turns:` with at least one `- user: …`"));
        }
        let name = file.conversation.clone().unwrap_or_default();
        let mut fixture = Fixture::new(name, self.location(document, ""));
        fixture.independent = file.independent;
        for (index, name) in file.setup.iter().enumerate() {
            self.set_up(document, index, name, &mut fixture);
            if fixture.steps.len() > MAX_TURNS {
                break;
            }
        }
        self.add(document, file, &mut fixture);
        self.check_clock(document, &fixture);
        self.check_speakers(document, &fixture);
        (self.diagnostics.count(Severity::Error) == before).then_some(fixture)
    }

    fn set_up(&mut self, document: &Document, index: usize, name: &str, fixture: &mut Fixture) {
        let named = self.files.iter().filter(|(path, _)| self.shared.get(path.as_str()) == Some(&name));
        // Of several files with this name, take the nearest.
        let together = |path: &str| path.bytes().zip(document.file.bytes()).take_while(|(a, b)| a == b).count();
        let Some((path, bytes)) = named.max_by_key(|(path, _)| together(path)) else {
            let known: Vec<&str> = self.shared.values().copied().collect();
            let location = document.location(&format!("/setup/{index}"));
            let diagnostic = Diagnostic::error(location, format!("there is no file {name} in fixtures/shared/"));
            self.diagnostics.push(diagnostic.hint(choose_hint(name, known)));
            return;
        };
        self.begin_with(path, bytes, fixture);
    }

    /// Checks a shared file, whether or not a fixture uses it.
    fn look_at_shared(&mut self, path: &str, bytes: &[u8]) {
        let location = self.line(path, 1);
        let mut fixture = Fixture::new(path.to_owned(), location);
        self.begin_with(path, bytes, &mut fixture);
        if let Some(document) = Document::read(path, bytes, &mut Diagnostics::default()) {
            self.check_clock(&document, &fixture);
            self.check_speakers(&document, &fixture);
        }
    }

    fn begin_with(&mut self, path: &str, bytes: &[u8], fixture: &mut Fixture) {
        let Some(mut shared) = Document::read(path, bytes, self.diagnostics) else { return };
        let Some(file) = self.shape.read(&mut shared, self.diagnostics) else { return };
        if file.conversation.is_some() {
            let location = shared.key_location("/conversation");
            let diagnostic = Diagnostic::error(
                location,
                "a file in a folder `shared/` is not played by itself and must not have `conversation`",
            );
            self.diagnostics.push(diagnostic.hint("move it out of `shared/`, or remove `conversation`"));
        }
        if !file.setup.is_empty() {
            let diagnostic =
                Diagnostic::error(shared.key_location("/setup"), "a shared file cannot have a `setup` of its own");
            self.diagnostics.push(diagnostic.hint("list both files in the fixture's `setup`"));
        }
        self.add(&shared, file, fixture);
    }

    /// Adds the content of a file to the fixture.
    fn add(&mut self, document: &Document, mut file: FixtureFile, fixture: &mut Fixture) {
        self.set_world(document, &mut file, fixture);
        let mut expectations = Vec::new();
        let mut events = None;
        if let Some(expect) = &file.expect {
            expect::read(self, document, expect, "/expect", false, &mut expectations, &mut events);
        }
        // A file-wide `expect` applies to the turns of that file only.
        for (index, turn) in file.turns.into_iter().enumerate() {
            let mut step = self.step(document, turn, index);
            step.expectations.splice(0..0, expectations.iter().cloned());
            step.events = step.events.or_else(|| events.clone());
            fixture.steps.push(step);
        }
    }

    fn step(&mut self, document: &Document, turn: TurnFile, index: usize) -> Step {
        let pointer = format!("/turns/{index}");
        let after = turn.after.as_ref().and_then(|after| match after.parse::<Span>() {
            Ok(span) if !span.is_negative() => Some(span),
            other => {
                let reason = other.err().map_or("it is negative".to_owned(), |error| error.to_string());
                let location = document.location(&child(&pointer, "after"));
                let diagnostic = Diagnostic::error(location, format!("`{after}` is not a duration: {reason}"));
                self.diagnostics.push(diagnostic.hint("write a duration such as 90s, 2h or 3 days"));
                None
            }
        });
        let mut step = Step {
            speaker: turn.speaker.unwrap_or_else(|| SOMEBODY.to_owned()),
            text: turn.user,
            after,
            answered: turn.answered,
            location: self.location(document, &pointer),
            expectations: Vec::new(),
            events: None,
        };
        if let Some(expect) = &turn.expect {
            let pointer = child(&pointer, "expect");
            expect::read(self, document, expect, &pointer, false, &mut step.expectations, &mut step.events);
        }
        step
    }

    fn matcher(&mut self, document: &Document, value: &Value, pointer: &str, lists: Lists) -> Option<Matcher> {
        match Matcher::parse(value, lists) {
            Ok(matcher) => {
                for key in matcher.text_keys() {
                    if !super::matcher::has_text(self.catalogue, key) {
                        let known = self.catalogue.library.texts.keys().map(String::as_str);
                        let diagnostic =
                            Diagnostic::error(document.location(pointer), format!("the bot has no text `{key}`"));
                        self.diagnostics.push(diagnostic.hint(choose_hint(key, known)));
                    } else if super::matcher::may_be_anything(self.catalogue, key) {
                        let message = format!("the text `{key}` can produce any text, so this checks nothing");
                        let diagnostic = Diagnostic::error(document.location(pointer), message);
                        self.diagnostics.push(diagnostic.hint("write the text that is expected here"));
                    }
                }
                Some(matcher)
            }
            Err(message) => {
                let diagnostic = Diagnostic::error(document.location(pointer), message);
                self.diagnostics.push(diagnostic.hint("see docs/replay.md for how to write conditions"));
                None
            }
        }
    }

    /// Warns about a name that looks misspelt. A misspelt name is absent in any case, so a test of its absence would
    /// always pass; and an initial value under it would have no effect.
    fn check_known(&mut self, document: &Document, name: &str, list: &str, pointer: &str) {
        let meant = did_you_mean(name, self.names().iter().map(String::as_str)).map(str::to_owned);
        if let Some(meant) = meant.filter(|meant| *meant != name) {
            let location = document.key_location(pointer);
            let diagnostic =
                Diagnostic::warning(location, format!("the bot never mentions `{name}`, so it is never in {list}"));
            self.diagnostics.push(diagnostic.hint(format!("did you mean `{meant}`?")));
        }
    }

    /// If a fixture names its users, any other speaker is a typo.
    fn check_speakers(&mut self, document: &Document, fixture: &Fixture) {
        let named: Vec<&str> = fixture.users.keys().map(String::as_str).filter(|name| *name != SOMEBODY).collect();
        for step in fixture.steps.iter().filter(|step| step.location.file == document.file) {
            if step.speaker != SOMEBODY && !named.is_empty() && !named.contains(&step.speaker.as_str()) {
                let location = document.location(&child(&step.location.pointer, "as"));
                let diagnostic = Diagnostic::error(location, format!("the fixture has no user `{}`", step.speaker));
                self.diagnostics.push(diagnostic.hint(choose_hint(&step.speaker, named.iter().copied())));
            }
        }
        let mut numbers: BTreeMap<i64, &str> = BTreeMap::new();
        for (name, id) in fixture.users.iter().filter_map(|(name, user)| Some((name, user.id?))) {
            if let Some(other) = numbers.insert(id, name) {
                let diagnostic = Diagnostic::error(
                    document.location(&child(&child("/users", name), "id")),
                    format!("`{other}` has the same id {id}"),
                );
                self.diagnostics.push(diagnostic.hint("give each user a different id: scripts tell users apart by it"));
            }
        }
    }

    /// Rejects a clock that leaves the range of dates, which would panic later.
    fn check_clock(&mut self, document: &Document, fixture: &Fixture) {
        let mut now: Zoned = fixture.now.to_zoned(fixture.time_zone.clone().unwrap_or(TimeZone::UTC));
        for step in &fixture.steps {
            let Some(span) = &step.after else { continue };
            match now.checked_add(*span) {
                Ok(later) => now = later,
                Err(error) => {
                    let location = document.location(&child(&step.location.pointer, "after"));
                    tracing::debug!(%error, "a clock out of range");
                    self.diagnostics.push(
                        Diagnostic::error(location, "the time after this pause is out of range")
                            .hint("use a shorter `after`"),
                    );
                    return;
                }
            }
        }
    }

    fn location(&self, document: &Document, pointer: &str) -> FixtureLocation {
        FixtureLocation { file: document.file.clone(), line: document.line(pointer), pointer: pointer.to_owned() }
    }

    /// A location in a file format without JSON pointers.
    fn line(&self, file: &str, line: usize) -> FixtureLocation {
        FixtureLocation { file: file.to_owned(), line, pointer: String::new() }
    }
}

/// An empty fixture for a file of another tool.
fn foreign(name: String, location: FixtureLocation) -> Fixture {
    let mut fixture = Fixture::new(name, location);
    // Other tools have no stored values, so every key counts as absent.
    fixture.stubs.kv = true;
    fixture
}
