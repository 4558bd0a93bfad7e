//! Which parts of a bot the fixtures reach, and which they miss.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Outcome;
use crate::{
    catalogue::{Catalogue, Handler, Intent, ScriptFunction},
    ids::IntentId,
    turn::AnsweredBy,
};

/// Coverage of one kind of part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// The number of reached parts.
    pub reached: usize,
    /// The total number of parts.
    pub total: usize,
    /// Names of the parts that no fixture reaches.
    pub missed: Vec<String>,
}

/// How much of a bot the fixtures reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Intents that answered.
    pub intents: Reached,
    /// Slots that were asked for or filled, as `intent.slot`.
    pub slots: Reached,
    /// Replies, script functions, plugins and hand-offs that answered.
    pub handlers: Reached,
    /// Script lines that ran, as `file:line`.
    pub lines: Reached,
}

impl Coverage {
    /// Computes how much of a catalogue these outcomes reach.
    pub fn of<'a>(catalogue: &Catalogue, outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let (mut intents, mut slots, mut handlers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut lines: BTreeSet<(String, usize)> = BTreeSet::new();
        let with_before = outcomes.into_iter().flat_map(|outcome| {
            let before = |at: usize| {
                let earlier = outcome.turns[..at].iter().rev();
                earlier.into_iter().find(|one| one.speaker == outcome.turns[at].speaker)
            };
            outcome.turns.iter().enumerate().map(move |(at, played)| (before(at), played))
        });
        for (before, played) in with_before {
            let turn = &played.turn;
            lines.extend(turn.footprint.lines.iter().cloned());
            handlers.extend(turn.footprint.functions.iter().cloned());
            handlers.extend(played.plugins.iter().map(|plugin| AnsweredBy::Plugin(plugin.clone()).to_string()));
            let Some(intent) = &turn.intent else { continue };
            intents.insert(intent.as_str().to_owned());
            if matches!(turn.handler, AnsweredBy::Reply | AnsweredBy::HandOff) {
                handlers.insert(answer_of(&turn.handler, intent));
            }
            let asked = turn.state.form.iter().map(|form| format!("{}.{}", form.intent, form.slot));
            slots.extend(asked);
            slots.extend(
                turn.filled_since(before.map(|before| &before.turn)).map(|(slot, _)| format!("{intent}.{slot}")),
            );
        }
        let all_slots = catalogue
            .intents
            .iter()
            .flat_map(|intent| intent.slots.iter().map(move |slot| format!("{}.{}", intent.id, slot.name)));
        let functions = catalogue.intents.iter().flat_map(Intent::functions).map(ToString::to_string);
        let all_handlers: BTreeSet<String> = catalogue.intents.iter().filter_map(handler_of).chain(functions).collect();
        let scripts: BTreeMap<&str, BTreeSet<usize>> = catalogue
            .intents
            .iter()
            .flat_map(Intent::functions)
            .map(|ScriptFunction { script, .. }| (script.path(), script.lines()))
            .collect();
        let all_lines =
            scripts.iter().flat_map(|(file, lines)| lines.iter().map(move |line| (file.to_string(), *line)));
        Self {
            intents: Reached::of(catalogue.intents.iter().map(|intent| intent.id.to_string()), &intents),
            slots: Reached::of(all_slots, &slots),
            handlers: Reached::of(all_handlers.into_iter(), &handlers),
            lines: Reached::lines(all_lines, &lines),
        }
    }
}

/// The name of an intent's own reply or hand-off.
fn answer_of(handler: &AnsweredBy, intent: &IntentId) -> String {
    format!("{handler} of {intent}")
}

fn handler_of(intent: &Intent) -> Option<String> {
    match &intent.handler {
        Handler::Reply { .. } => Some(answer_of(&AnsweredBy::Reply, &intent.id)),
        Handler::HandOff { .. } => Some(answer_of(&AnsweredBy::HandOff, &intent.id)),
        Handler::Plugin(plugin) => Some(AnsweredBy::Plugin(plugin.clone()).to_string()),
        // Functions are counted by themselves, and the target's handler counts instead of a jump.
        Handler::Script(_) | Handler::Jump(_) => None,
    }
}

impl Reached {
    fn of(all: impl Iterator<Item = String>, seen: &BTreeSet<String>) -> Self {
        let all: Vec<String> = all.collect();
        let missed: Vec<String> = all.iter().filter(|one| !seen.contains(*one)).cloned().collect();
        Self { reached: all.len() - missed.len(), total: all.len(), missed }
    }

    fn lines(all: impl Iterator<Item = (String, usize)>, seen: &BTreeSet<(String, usize)>) -> Self {
        let all: Vec<(String, usize)> = all.collect();
        let missed: Vec<String> =
            all.iter().filter(|one| !seen.contains(*one)).map(|(file, line)| format!("{file}:{line}")).collect();
        Self { reached: all.len() - missed.len(), total: all.len(), missed }
    }

    /// Percentage from 0 to 100; 100 if there is nothing to reach.
    pub fn percent(&self) -> usize {
        (self.reached * 100).checked_div(self.total).unwrap_or(100)
    }
}
