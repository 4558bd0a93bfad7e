//! The conversation: from a state and an utterance to the next state and what is to be done.
//!
//! [`step`] is pure. It neither runs handlers nor draws random numbers: it returns [`Action`]s, and [`crate::engine`]
//! performs them. What a handler returns comes back through [`apply`], and [`proceed`] goes on with what waits.
//! Each policy is a file of its own.

mod agenda;
mod changes;
mod clarify;
mod confirmation;
mod correction;
mod effects;
mod fallback;
mod form;
mod hand_off;
mod negation;
mod outside;
mod remainder;
mod repair;
mod session;
mod slots;
mod step;

use crate::{
    catalogue::{Catalogue, Intent, PatternAnswer, SlotSpec},
    decide::{Decision, decide_among},
    handlers::effect::Effect,
    ids::IntentId,
    pattern::Pattern,
    state::DialogueState,
    template::Text,
    turn::{AnsweredBy, Candidate, TurnKind},
    understanding::Understanding,
};
pub use effects::failed;
pub use outside::outside_turn;
pub use slots::role_of;
pub use step::{Action, Phrase, Saying, Step, Unclassified, Verdict};

/// During a form, or beside a correction or a yes, an utterance is another request with at least this probability, if what
/// it says for the form is clear.
const CERTAIN: f32 = 0.95;
/// The same, if what it says for the form is not clear.
const LIKELY: f32 = 0.7;
/// Words that a correction, a new value in a summary, or a follow-up may have beside the value, at most.
const MAX_ASIDE: usize = 6;

/// Decides what an utterance leads to.
///
/// # Errors
/// [`Unclassified`] if the model is needed first.
pub fn step<'a>(
    state: &DialogueState,
    said: &Understanding,
    catalogue: &'a Catalogue,
) -> Result<Step<'a>, Unclassified> {
    let mut state = state.clone();
    state.reminded = false;
    let waits = state.waits(said.at);
    if !waits {
        state.hand_off = None;
        state.age(said.at);
    }
    let mut draft = Draft::new(state, said, catalogue);
    draft.speak();
    if !waits {
        draft.begin_session();
    }
    let form = draft.step.state.form.as_ref().map(|form| form.intent.clone());
    draft.decide()?;
    if !waits {
        draft.step.actions.push(Action::Proceed { form });
    }
    Ok(draft.step)
}

/// What the bot says by itself when the user has been silent after a question; `None` if nothing. `said` has no text.
pub fn break_silence<'a>(state: &DialogueState, said: &Understanding, catalogue: &'a Catalogue) -> Option<Step<'a>> {
    let mut draft = Draft::new(state.clone(), said, catalogue);
    draft.break_silence().then_some(draft.step)
}

/// Applies what the handler of `intent` returned. `by` is that handler.
pub fn apply<'a>(
    state: DialogueState,
    said: &Understanding,
    catalogue: &'a Catalogue,
    (intent, by): (&'a Intent, &AnsweredBy),
    effects: Vec<Effect>,
) -> Step<'a> {
    let mut draft = Draft::new(state, said, catalogue);
    draft.apply(intent, by, effects);
    draft.step
}

/// Goes on with an intent after a script has checked the value of a slot.
pub fn checked<'a>(
    state: DialogueState,
    said: &Understanding,
    catalogue: &'a Catalogue,
    (intent, slot): (&'a Intent, &'a SlotSpec),
    verdict: Verdict,
) -> Step<'a> {
    let mut draft = Draft::new(state, said, catalogue);
    draft.take_verdict(intent, slot, verdict);
    draft.step
}

/// Starts an intent that a handler jumps to: asks for its first missing slot, or runs its handler.
pub fn begin<'a>(state: DialogueState, said: &Understanding, catalogue: &'a Catalogue, intent: &'a Intent) -> Step<'a> {
    let mut draft = Draft::new(state, said, catalogue);
    draft.ask_or_run(intent);
    draft.step
}

/// Goes on with what waits: a form that was interrupted, then a further wish of the message. `form` is the intent whose
/// form was in progress before the utterance.
pub fn proceed<'a>(
    state: DialogueState,
    said: &Understanding,
    catalogue: &'a Catalogue,
    form: Option<&IntentId>,
) -> Step<'a> {
    let mut draft = Draft::new(state, said, catalogue);
    if draft.proceed(form) {
        draft.step.actions.push(Action::Proceed { form: form.cloned() });
    }
    draft.step
}

/// A step that is being decided.
struct Draft<'a, 's> {
    said: &'s Understanding,
    catalogue: &'a Catalogue,
    step: Step<'a>,
}

impl<'a, 's> Draft<'a, 's> {
    fn new(state: DialogueState, said: &'s Understanding, catalogue: &'a Catalogue) -> Self {
        let language = state.language.clone().unwrap_or_else(|| catalogue.default_language().clone());
        let step = Step {
            state,
            language,
            kind: TurnKind::Unknown,
            intent: None,
            handler: None,
            rule: String::new(),
            trace: Vec::new(),
            events: Vec::new(),
            meant: None,
            actions: Vec::new(),
        };
        Self { said, catalogue, step }
    }

    fn decide(&mut self) -> Result<(), Unclassified> {
        if self.step.state.hand_off.is_some() {
            self.keep_waiting();
            return Ok(());
        }
        if self.said.is_too_long {
            self.refuse_length();
            return Ok(());
        }
        if let Some(form) = self.step.state.form.take() {
            return self.go_on_with_form(form);
        }
        if let Some(clarify) = self.step.state.clarify.take()
            && self.answer_clarify(&clarify)?
        {
            return Ok(());
        }
        if self.said.reading.text().is_empty() {
            self.rule("the message contains no text".to_owned());
            self.say_nothing_was_said();
            return Ok(());
        }
        if self.correct_last()? {
            return Ok(());
        }
        let decision = self.decision()?;
        // A bot may have an intent for words such as "repeat"; then its examples make it likely.
        let is_likely = self.best_probability().is_some_and(|best| best >= LIKELY) || self.is_example();
        if !(matches!(decision, Decision::Matched(_)) && is_likely) && self.repair_outside() {
            return Ok(());
        }
        let cancels = matches!(&decision, Decision::Matched(id) if self.catalogue.intent(id).is_some_and(|intent| intent.cancels));
        if let Some(intent) = self.unwanted().filter(|_| !cancels) {
            self.step.kind = TurnKind::Matched;
            self.do_not(intent);
            return Ok(());
        }
        if !self.take_wishes() {
            self.act(decision);
        }
        Ok(())
    }

    fn say_nothing_was_said(&mut self) {
        match self.catalogue.patterns.get(&Pattern::Empty) {
            Some(_) => self.say_pattern(Pattern::Empty, Vec::new()),
            None => self.not_understood(),
        }
    }

    /// What the model makes of the utterance, by the author's thresholds.
    fn decision(&mut self) -> Result<Decision, Unclassified> {
        let meaning = self.said.meaning.as_ref().ok_or(Unclassified)?;
        let Some(whole) = &meaning.whole else {
            self.rule("the message contains no text".to_owned());
            return Ok(Decision::Unknown);
        };
        let (decision, rule) = decide_among(whole, self.catalogue, |intent| self.may_start(intent));
        self.rule(rule);
        Ok(decision)
    }

    /// The probability of the likeliest intent that may be started, if the utterance is classified.
    fn best_probability(&self) -> Option<f32> {
        let candidates = &self.said.meaning.as_ref()?.whole.as_ref()?.candidates;
        let may = |candidate: &&Candidate| {
            self.catalogue.intent(&candidate.intent).is_none_or(|intent| self.may_start(intent))
        };
        Some(candidates.iter().find(may)?.probability)
    }

    fn act(&mut self, decision: Decision) {
        match decision {
            Decision::Matched(id) => match self.catalogue.intent(&id) {
                Some(intent) => {
                    self.step.kind = TurnKind::Matched;
                    self.start(intent);
                }
                None => self.not_understood(),
            },
            // Of a language that the bot does not speak, a guess among several is worth nothing.
            Decision::Ambiguous(likely) if !self.said.is_foreign => self.ask_which(&likely),
            Decision::Ambiguous(_) | Decision::Unknown => self.not_understood(),
        }
    }

    /// Starts an intent. The utterance, and earlier values where the author allows them, fill its slots; then the
    /// handler runs or the first question is asked.
    fn start(&mut self, intent: &'a Intent) {
        self.step.state.fallbacks = 0;
        self.step.state.denied = None;
        self.fill_from(intent, &self.said.reading, &self.remainder(intent).values);
        self.ask_or_run(intent);
    }

    /// Whether one of the contexts in which an intent lives is active.
    fn may_start(&self, intent: &Intent) -> bool {
        let contexts = &self.step.state.contexts;
        intent.only_in.is_empty() || intent.only_in.iter().any(|name| contexts.contains_key(name))
    }

    /// Asks the next question or, if no slot is missing, for a confirmation; else runs the handler. Values that a script
    /// checks come first.
    fn ask_or_run(&mut self, intent: &'a Intent) {
        self.step.intent = Some(intent.id.clone());
        if let Some((slot, function)) = self.unchecked_slot(intent) {
            return self.step.actions.push(Action::Check { intent, slot, function });
        }
        let missing = self.missing_slot(intent);
        if missing.is_none() {
            self.forget_undue(intent);
        }
        match (missing, &intent.confirm) {
            (Some(slot), _) => self.ask_for(intent, slot, None),
            (None, Some(confirm)) => self.ask_to_confirm(intent, confirm),
            (None, None) => {
                self.step.state.form = None;
                self.step.actions.push(Action::Run(intent));
            }
        }
    }

    /// Chooses the language of the reply. An answer to a form's question that is just an entity ("Moscow") does not
    /// indicate a language.
    fn speak(&mut self) {
        let state = &mut self.step.state;
        let known = state.language.clone().filter(|language| self.catalogue.languages.contains(language));
        let language = match known {
            Some(language) if state.language_pinned => language,
            known => {
                let reading = &self.said.reading;
                let bare = reading.text().trim_matches(|c: char| !c.is_alphanumeric());
                let only_entity = state.form.is_some() && reading.entities().iter().any(|entity| entity.text == bare);
                let heard = self.said.language.clone().filter(|_| !only_entity);
                let language = heard.or(known).unwrap_or_else(|| self.catalogue.default_language().clone());
                state.language = Some(language.clone());
                language
            }
        };
        self.step.language = language;
    }

    fn say(&mut self, text: &'a Text) {
        self.say_with(text, Vec::new(), Vec::new());
    }

    fn say_with(&mut self, text: &'a Text, suggestions: Vec<Phrase<'a>>, values: Vec<(&'static str, Phrase<'a>)>) {
        self.step.actions.push(Action::Say(Saying { text, suggestions, values }));
    }

    /// What the author says or does at a pattern, which answers the turn.
    fn say_pattern(&mut self, pattern: Pattern, values: Vec<(&'static str, Phrase<'a>)>) {
        self.say_pattern_with(pattern, Vec::new(), values);
    }

    fn say_pattern_with(
        &mut self,
        pattern: Pattern,
        suggestions: Vec<Phrase<'a>>,
        values: Vec<(&'static str, Phrase<'a>)>,
    ) {
        match self.catalogue.patterns.get(&pattern) {
            Some(PatternAnswer::Text(text)) => {
                self.step.handler = Some(AnsweredBy::Pattern(pattern));
                self.say_with(text, suggestions, values);
            }
            Some(PatternAnswer::Jump(intent)) => self.step.actions.push(Action::Jump(intent.to_string())),
            None => {}
        }
    }

    /// A pattern that asks for a yes or a no.
    fn ask_pattern(&mut self, pattern: Pattern, values: Vec<(&'static str, Phrase<'a>)>) {
        match self.catalogue.patterns.get(&pattern) {
            Some(PatternAnswer::Text(text)) => self.say_yes_or_no(text, values),
            _ => self.say_pattern(pattern, values),
        }
    }

    /// A pattern that is said beside the answer.
    fn say_pattern_beside(&mut self, pattern: Pattern, values: Vec<(&'static str, Phrase<'a>)>) {
        let handler = self.step.handler.take();
        self.say_pattern(pattern, values);
        self.step.handler = handler;
    }

    fn rule(&mut self, rule: String) {
        self.step.rule = rule;
    }

    fn trace(&mut self, step: String) {
        self.step.trace.push(step);
    }
}
