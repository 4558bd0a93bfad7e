//! Cues: utterances that are about the conversation itself, and mean the same in every bot.

use crate::{
    lexicon::{BACK, CANCEL, FILLERS, HELP, NO, NONE, NOT, Phrases, REPEAT, REQUEST, RESTART, SKIP, WEAK_YES, YES},
    word::Word,
};

/// What an utterance says about the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cue {
    /// Leave the form.
    Cancel,
    /// Begin again.
    Restart,
    /// Return to the question before.
    Back,
    /// Leave the question without an answer.
    Skip,
    /// Say the last reply again.
    Repeat,
    /// Explain what is asked.
    Help,
    /// None of what is offered.
    NoneOfThese,
}

const CUES: [(Cue, Phrases); 7] = [
    (Cue::Cancel, CANCEL),
    (Cue::Restart, RESTART),
    (Cue::Back, BACK),
    (Cue::Skip, SKIP),
    (Cue::Repeat, REPEAT),
    (Cue::Help, HELP),
    (Cue::NoneOfThese, NONE),
];

impl Cue {
    /// The cue that an utterance is. All of it must be, except for fillers at its ends.
    pub fn of(words: &[Word]) -> Option<Self> {
        let exact = |words: &[Word]| CUES.iter().find(|(_, phrases)| phrases.are(words)).map(|(cue, _)| *cue);
        exact(words).or_else(|| exact(without_fillers(words)))
    }
}

/// The words without fillers at both ends.
pub fn without_fillers(mut words: &[Word]) -> &[Word] {
    while let Some(length) = FILLERS.at(words, 0) {
        words = &words[length..];
    }
    while let Some(length) = (1..=words.len()).find(|length| FILLERS.are(&words[words.len() - length..])) {
        words = &words[..words.len() - length];
    }
    words
}

/// Words beside a yes or a no, at most.
const MAX_OTHERS: usize = 5;

/// A yes or a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Yes,
    No,
}

impl Consent {
    /// The answer to a question for yes or no, wherever it stands. `is_known` tells the words that belong to what is
    /// asked about, by their numbers. Also returns the number of other words; there are at most five.
    pub fn of(text: &str, words: &[Word], is_known: impl Fn(usize) -> bool) -> Option<(Self, usize)> {
        if let Some(sign) = Self::of_emoji(text) {
            return Some((sign, 0));
        }
        let (mut strong, mut weak, mut others, mut at): (Vec<Self>, Option<Self>, usize, usize) =
            (Vec::new(), None, 0, 0);
        while at < words.len() {
            let no = NO.at(words, at);
            let yes = YES.at(words, at);
            let length = match (yes, no) {
                (_, Some(no)) if yes.is_none_or(|yes| no >= yes) => {
                    strong.push(Self::No);
                    no
                }
                (Some(yes), _) => {
                    let denied = at > 0 && (NOT.at(words, at - 1) == Some(1) || words[at - 1].plain().ends_with("n't"));
                    let said = if denied { Self::No } else { Self::Yes };
                    if WEAK_YES.at(words, at) == Some(yes) && !denied {
                        weak = weak.or(Some(said));
                    } else {
                        strong.push(said);
                    }
                    yes
                }
                _ => {
                    others += usize::from(!is_known(at));
                    1
                }
            };
            at += length;
        }
        let contradicts = strong.iter().any(|said| *said != strong[0]);
        let asks = text.ends_with('?') || (REQUEST.at(words, 0).is_some() && YES.at(words, 0).is_none());
        match (strong.first(), weak) {
            // A question agrees to nothing, and what says both is asked again.
            (Some(Self::Yes), _) | (None, Some(_)) if asks || contradicts => None,
            (Some(_), _) if contradicts => None,
            (Some(strong), _) if others <= MAX_OTHERS => Some((*strong, others)),
            (None, Some(weak)) if others == 0 => Some((weak, 0)),
            _ => None,
        }
    }

    fn of_emoji(text: &str) -> Option<Self> {
        let mut signs = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\u{1F3FB}'..='\u{1F3FF}'));
        let first = signs.next()?;
        match (first, signs.find(|sign| *sign != first)) {
            ('👍' | '👌' | '✅' | '☑' | '✔' | '🆗' | '🤝' | '🙆' | '+', None) => Some(Self::Yes),
            ('👎' | '❌' | '🚫' | '✖' | '⛔' | '🙅' | '-', None) => Some(Self::No),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::words;

    fn check(text: &str, cue: Option<Cue>, consent: Option<Consent>) {
        let list = words(text);
        let found = Consent::of(text, &list, |_| false).filter(|(_, others)| *others <= 1);
        assert_eq!((Cue::of(&list), found.map(|(consent, _)| consent)), (cue, consent), "{text}");
    }

    #[test]
    fn the_same_is_said_in_many_ways() {
        use Consent::{No, Yes};
        check("Let's start over, please", Some(Cue::Restart), None);
        check("давай начнём сначала", Some(Cue::Restart), None);
        check("ну повтори ещё раз", Some(Cue::Repeat), None);
        check("can you repeat that", Some(Cue::Repeat), None);
        check("пропустим", Some(Cue::Skip), None);
        check("yes", None, Some(Yes));
        check("да, всё верно", None, Some(Yes));
        check("that's not right", None, Some(No));
        check("ok no", None, Some(No));
        check("не против", None, Some(Yes));
        check("да не надо", None, None);
        check("yes, no, wait", None, None);
        check("what happens if I do that", None, None);
        check("where is my order please", None, None);
        check("👍👍 wait no", None, Some(No));
        check("👍🏽", None, Some(Yes));
        check("👎👎", None, Some(No));
        check("right now the weather in the city interests me more", None, None);
        check("I would like to hear a joke instead of this", None, None);
    }
}
