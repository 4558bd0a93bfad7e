//! What the model makes of an utterance.

use std::time::Instant;

use super::{
    Cue, Reading,
    clauses::{Pair, pairs},
    spelling::corrected,
    typing::{TypedAs, readings},
};
use crate::{
    catalogue::{Catalogue, vocabulary::NegatedText},
    decide::{Classification, Decision, decide},
    embedding::{Embedder, EmbeddingError, Urgency, Vector},
    ids::IntentId,
    lexicon::{HESITATION, REQUEST},
    snapshot::Snapshot,
    turn::{Timings, micros_since},
};

/// A part of a message is a wish of its own with at least this probability.
const OWN_WISH: f32 = 0.8;
/// With at least this probability, the whole message is about one intent, and a part that is about none explains it.
const WHOLE: f32 = 0.8;
/// Beside a negation, the other clauses ask for an intent with at least this probability.
const BESIDE: f32 = 0.6;
/// Two wishes are clear with at least this probability, even if the whole message looks like neither. What is clear is
/// read as it was typed.
const CLEAR: f32 = 0.95;
/// Another reading makes sense with at least this probability.
const SENSE: f32 = 0.7;
/// At most so many words may need another reading: the readings of a long text cost too much.
const MAX_REREAD: usize = 30;

/// The classified utterance.
#[derive(Default)]
pub struct Meaning {
    /// The likeliest intents of the whole text; `None` if it contains no text.
    pub whole: Option<Classification>,
    /// The wishes in it, in order, if it holds two.
    pub wishes: Vec<Wish>,
    /// The intent that the text would match without its negation: "don't send me an invoice".
    pub unwanted: Option<IntentId>,
    /// What its other clauses ask for beside that: "don't cancel it, tell me where it is".
    pub instead: Option<Wish>,
    /// The part that asks for something that the bot does not know, beside the only wish in `wishes`.
    pub left_out: Option<String>,
}

/// A part of an utterance that is about an intent of its own.
pub struct Wish {
    pub reading: Reading,
    pub intent: IntentId,
}

/// A text that is read in another way than it was typed.
pub struct Reread {
    pub reading: Reading,
    pub how: TypedAs,
}

/// The model in a turn, and the bot that it classifies for.
pub struct Classifying<'a> {
    snapshot: &'a Snapshot,
    embedder: &'a dyn Embedder,
    urgency: Urgency,
    /// What it took so far.
    pub times: Timings,
}

impl<'a> Classifying<'a> {
    /// The model in a new turn.
    pub fn new(snapshot: &'a Snapshot, embedder: &'a dyn Embedder) -> Self {
        Self { snapshot, embedder, urgency: Urgency::New, times: Timings::default() }
    }

    /// Embeds and classifies an utterance. If it makes no sense as it was typed, returns the other reading that does.
    ///
    /// # Errors
    /// If the model is busy or broken.
    pub fn meaning(&mut self, reading: &Reading) -> Result<(Meaning, Option<Reread>), EmbeddingError> {
        let meaning = self.plain_meaning(reading)?;
        let Some(whole) = &meaning.whole else { return Ok((meaning, None)) };
        let matched = decide(whole, self.catalogue()).0 != Decision::Unknown;
        let understood = matched || !meaning.wishes.is_empty() || meaning.unwanted.is_some();
        let mut others = Vec::new();
        if !understood || self.knows_no_word(reading) {
            others = readings(reading.text(), &self.catalogue().words().forms);
        }
        if !matched || whole.best() < CLEAR {
            others.extend(corrected(reading, self.catalogue().words()).map(|text| (TypedAs::Typos, text)));
        }
        if let Some(reread) = self.reread(reading, whole, others)? {
            let meaning = self.plain_meaning(&reread.reading)?;
            return Ok((meaning, Some(reread)));
        }
        Ok((meaning, None))
    }

    /// What the text means as it stands.
    fn plain_meaning(&mut self, reading: &Reading) -> Result<Meaning, EmbeddingError> {
        if reading.text().is_empty() || HESITATION.are(reading.words()) {
            return Ok(Meaning::default());
        }
        let mut pairs = pairs(reading.text(), reading.words());
        pairs.retain(Pair::are_wishes);
        let parts = pairs.iter().flat_map(|Pair { first, second, .. }| [first.clone(), second.clone()]);
        let negated = NegatedText::of(reading.text(), reading.words());
        let negated = negated.into_iter().flat_map(|NegatedText { affirmed, clause, rest }| [affirmed, clause, rest]);
        let negated: Vec<String> = negated.collect();
        let whole = std::iter::once(reading.text().to_owned());
        let texts: Vec<String> = whole.chain(negated.iter().cloned()).chain(parts).collect();
        let mut found = self.classify(&texts)?.into_iter();
        let whole = found.next().unwrap_or_default();
        let of_negated: Vec<Classification> = found.by_ref().take(negated.len()).collect();
        let (unwanted, instead) = match (negated.as_slice(), of_negated.as_slice()) {
            ([_, _, rest], [of_affirmed, of_clause, of_rest]) => {
                let beside = self.own_wish(of_rest);
                let other = |intent: &IntentId| beside.as_ref().is_some_and(|beside| beside != intent);
                // Beside a wish of its own, the clause alone may tell what the whole text does not.
                let clause = || self.own_wish(of_clause).filter(other);
                let unwanted = self.unwanted(reading, of_affirmed, of_rest).or_else(clause);
                let is_beside = unwanted.as_ref().is_some_and(other);
                let wish = |intent| Wish { reading: reading.beside(self.catalogue(), rest), intent };
                (unwanted, beside.filter(|_| is_beside).map(wish))
            }
            _ => (None, None),
        };
        let found: Vec<Classification> = found.collect();
        let (wishes, left_out) = self.wishes(reading, &whole, &pairs, &found);
        Ok(Meaning { whole: Some(whole), wishes, unwanted, instead, left_out })
    }

    /// The intent that a part of a message is about, if it is a wish of its own.
    fn own_wish(&self, part: &Classification) -> Option<IntentId> {
        let Decision::Matched(id) = decide(part, self.catalogue()).0 else { return None };
        let intent = self.catalogue().intent(&id)?;
        (part.best() >= OWN_WISH && !intent.small_talk && !intent.cancels).then_some(id)
    }

    /// What is asked for but for a negation, unless the other clauses of the text ask for it, or the intent is about what
    /// is not. `affirmed` and `rest` are parts of a [`NegatedText`].
    fn unwanted(&self, reading: &Reading, affirmed: &Classification, rest: &Classification) -> Option<IntentId> {
        let Decision::Matched(id) = decide(affirmed, self.catalogue()).0 else { return None };
        // "I don't want it any more" cancels; nobody refuses a greeting.
        if self.catalogue().intent(&id).is_none_or(|intent| intent.small_talk || intent.cancels) {
            return None;
        }
        let asked_beside = rest.candidates.first().is_some_and(|best| best.intent == id && best.probability >= BESIDE);
        let vocabulary = self.catalogue().intent(&id)?.vocabulary();
        let about = vocabulary.is_about_negation(reading.text(), reading.words());
        (!asked_beside && !about).then_some(id)
    }

    fn catalogue(&self) -> &Catalogue {
        &self.snapshot.catalogue
    }

    fn classify(&mut self, texts: &[String]) -> Result<Vec<Classification>, EmbeddingError> {
        let start = Instant::now();
        let vectors = self.embedder.embed(texts, self.urgency)?;
        self.urgency = Urgency::Begun;
        self.times.embed_us += micros_since(start);
        let start = Instant::now();
        let one = |(text, vector): (&String, &Vector)| self.snapshot.classifier.classify(text, vector);
        let found = texts.iter().zip(&vectors).map(one).collect();
        self.times.decide_us += micros_since(start);
        Ok(found)
    }

    /// The wishes of the pair of parts that are the most certain. `found` are the parts' classifications.
    fn wishes(
        &self,
        reading: &Reading,
        whole: &Classification,
        pairs: &[Pair],
        found: &[Classification],
    ) -> (Vec<Wish>, Option<String>) {
        let own = |part: &Classification| self.own_wish(part);
        let wish = |text: &str, intent: IntentId| Wish { reading: reading.beside(self.catalogue(), text), intent };
        let parts = pairs.iter().zip(found.chunks_exact(2));
        let two = parts.clone().filter_map(|(Pair { first, second, .. }, of)| {
            let (one, other) = (own(&of[0])?, own(&of[1])?);
            let known = |id: &IntentId| whole.candidates.iter().any(|candidate| &candidate.intent == id);
            let least = of[0].best().min(of[1].best());
            let clear = least >= CLEAR || (known(&one) && known(&other));
            (one != other && clear).then_some((least, [(first, one), (second, other)]))
        });
        if let Some((_, both)) = two.max_by(|one, other| one.0.total_cmp(&other.0)) {
            return (both.into_iter().map(|(text, intent)| wish(text, intent)).collect(), None);
        }
        if whole.best() >= WHOLE {
            return (Vec::new(), None);
        }
        for (Pair { first, second, .. }, of) in parts.filter(|(pair, _)| pair.joined) {
            for (known, other, rest) in [(0, 1, second), (1, 0, first)] {
                let unknown = decide(&of[other], self.catalogue()).0 == Decision::Unknown;
                if let Some(intent) = own(&of[known]).filter(|_| unknown && is_request(rest)) {
                    let text = if known == 0 { first } else { second };
                    return (vec![wish(text, intent)], Some(rest.clone()));
                }
            }
        }
        (Vec::new(), None)
    }

    /// Whether the bot knows none of the longer words.
    fn knows_no_word(&self, reading: &Reading) -> bool {
        self.catalogue().words().know_any(reading.words()) == Some(false)
    }

    /// The reading that makes the most sense: it matches an intent more clearly than the text does, or is a cue.
    fn reread(
        &mut self,
        reading: &Reading,
        plain: &Classification,
        others: Vec<(TypedAs, String)>,
    ) -> Result<Option<Reread>, EmbeddingError> {
        if reading.words().len() > MAX_REREAD {
            return Ok(None);
        }
        let read = |(how, text): (TypedAs, String)| Reread { reading: reading.beside(self.catalogue(), &text), how };
        let is_cue = |reread: &Reread| Cue::of(reread.reading.words()).is_some();
        let known = |reread: &Reread| self.catalogue().words().know_any(reread.reading.words()) == Some(true);
        // Most readings are gibberish without a known word. The model is not asked about these.
        let others: Vec<Reread> =
            others.into_iter().map(read).filter(|reread| is_cue(reread) || known(reread)).collect();
        if others.is_empty() {
            return Ok(None);
        }
        let texts: Vec<String> = others.iter().map(|reread| reread.reading.text().to_owned()).collect();
        let classified = self.classify(&texts)?;
        let senses = others.into_iter().zip(classified).filter_map(|(reread, of)| {
            let matched = matches!(decide(&of, self.catalogue()).0, Decision::Matched(_));
            let clearer = matched && of.best() > plain.best() && of.best() >= SENSE;
            let sense = if is_cue(&reread) { 1.0 } else { of.best() };
            (clearer || sense >= 1.0).then_some((sense, reread))
        });
        let found = senses.max_by(|one, other| one.0.total_cmp(&other.0));
        Ok(found.map(|(_, reread)| reread))
    }
}

/// Whether a text asks for something in so many words.
fn is_request(text: &str) -> bool {
    text.ends_with('?') || REQUEST.at(&crate::word::words(text), 0).is_some()
}
