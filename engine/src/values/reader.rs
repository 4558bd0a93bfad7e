//! A text as tokens, each with what the lexicon says about it.

use std::cell::OnceCell;

use super::{
    Setting,
    lexicon::{Entry, Sense, entries},
    moment::Moment,
    number::Number,
    time::Part,
};

/// What was read, and the place of the first token after it.
pub type Parsed<T> = Option<(T, usize)>;

/// What a token is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Letters, with apostrophes between them.
    Word,
    /// ASCII digits.
    Digits,
    /// Any other character.
    Mark,
}

/// A piece of a text.
pub struct Token {
    /// What kind it is.
    pub kind: TokenKind,
    /// In lower case, with `е` for `ё`; an abbreviation without its full stops.
    pub folded: String,
    /// Start, in bytes of the text.
    pub start: usize,
    /// End, in bytes of the text.
    pub end: usize,
    /// Whether white space or the start of the text comes before it.
    pub spaced: bool,
    /// What the lexicon says about phrases that begin with it, the longest first.
    entries: &'static [Entry],
}

/// Reads values from a text, beginning at any token.
pub struct Reader<'t> {
    /// The text.
    pub text: &'t str,
    /// Its tokens.
    pub tokens: Vec<Token>,
    /// When and where it was said.
    pub setting: &'t Setting,
    /// The first token that says something beside articles, prepositions and marks, and the one after the last.
    core: (usize, usize),
    /// The moments and numbers that were read at each token, because several rules and kinds read the same.
    moments: Vec<OnceCell<Option<Moments>>>,
    numbers: Vec<OnceCell<Parsed<Number>>>,
}

/// A moment with its parts.
type Moments = (Moment, Vec<Part>);

impl<'t> Reader<'t> {
    /// Cuts a text into tokens.
    pub fn new(text: &'t str, setting: &'t Setting) -> Self {
        let tokens = tokens(text);
        let first = tokens.iter().position(Token::says_something).unwrap_or(tokens.len());
        let last = tokens.iter().rposition(Token::says_something).map_or(0, |last| last + 1);
        let (moments, numbers) = (empty_cells(tokens.len()), empty_cells(tokens.len()));
        Self { text, tokens, setting, core: (first, last), moments, numbers }
    }

    /// A moment and its parts, read once.
    pub fn parts(&self, at: usize) -> Option<&Moments> {
        self.moments.get(at)?.get_or_init(|| self.read_parts(at)).as_ref()
    }

    /// A number, read once.
    pub fn number(&self, at: usize) -> Parsed<Number> {
        *self.numbers.get(at)?.get_or_init(|| self.read_number(at))
    }

    /// Whether a value may begin at a token.
    pub fn may_begin(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        !token.entries.is_empty()
            || token.kind == TokenKind::Digits
            || matches!(token.folded.as_str(), "-" | "." | "~" | "@")
    }

    /// A token, if there is one at this place.
    pub fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at)
    }

    /// Whether the token at a place follows the one before it without white space.
    pub fn touches(&self, at: usize) -> bool {
        self.token(at).is_some_and(|token| !token.spaced)
    }

    /// The digits at a place.
    pub fn digits(&self, at: usize) -> Option<&str> {
        self.token(at).filter(|token| token.kind == TokenKind::Digits).map(|token| token.folded.as_str())
    }

    /// Whether this mark stands at a place.
    pub fn is_mark(&self, at: usize, mark: char) -> bool {
        self.token(at).is_some_and(|token| token.kind == TokenKind::Mark && token.folded.starts_with(mark))
    }

    /// The word at a place, in lower case.
    pub fn word(&self, at: usize) -> Option<&str> {
        self.token(at).filter(|token| token.kind == TokenKind::Word).map(|token| token.folded.as_str())
    }

    /// Whether one of these words stands at a place.
    pub fn is_word(&self, at: usize, words: &[&str]) -> bool {
        self.word(at).is_some_and(|word| words.contains(&word))
    }

    /// The place after one of these words, or the same place if there is none.
    pub fn skip_word(&self, at: usize, words: &[&str]) -> usize {
        at + usize::from(self.is_word(at, words))
    }

    /// The place after a full stop that touches the token before it, or the same place if there is none.
    pub fn skip_stop(&self, at: usize) -> usize {
        at + usize::from(self.is_mark(at, '.') && self.touches(at))
    }

    /// The longest phrase at a place that has the wanted sense.
    pub fn sense<T>(&self, at: usize, wanted: impl Fn(Sense) -> Option<T>) -> Parsed<T> {
        let token = self.token(at)?;
        token.entries.iter().find_map(|entry| {
            let sense = wanted(entry.sense)?;
            let rest = self.tokens.get(at + 1..=at + entry.rest.len())?;
            let matches = entry.rest.iter().zip(rest).all(|(wanted, token)| token.folded == *wanted);
            matches.then_some((sense, at + 1 + entry.rest.len()))
        })
    }

    /// The place after a phrase with this sense.
    pub fn accept(&self, at: usize, sense: Sense) -> Option<usize> {
        self.sense(at, |found| (found == sense).then_some(())).map(|((), next)| next)
    }

    /// The place after a phrase with this sense, or the same place if there is none.
    pub fn skip(&self, at: usize, sense: Sense) -> usize {
        self.accept(at, sense).unwrap_or(at)
    }

    /// Whether the lexicon knows a phrase at this place.
    pub fn is_known(&self, at: usize) -> bool {
        self.sense(at, |_| Some(())).is_some()
    }

    /// Whether the tokens in `from..to` are all words of the text except articles, prepositions and marks.
    pub fn is_whole(&self, from: usize, to: usize) -> bool {
        from <= self.core.0 && self.core.1 <= to
    }
}

impl Token {
    fn says_something(&self) -> bool {
        let small =
            |entry: &Entry| entry.rest.is_empty() && (entry.sense == Sense::Article || entry.sense.is_preposition());
        self.kind != TokenKind::Mark && !self.entries.iter().any(small)
    }
}

/// The longest of what was read; the first of equals.
pub fn longest<T>(found: impl Iterator<Item = (T, usize)>) -> Parsed<T> {
    found.fold(None, |best: Parsed<T>, other| match best {
        Some(best) if best.1 >= other.1 => Some(best),
        _ => Some(other),
    })
}

fn empty_cells<T>(count: usize) -> Vec<OnceCell<T>> {
    std::iter::repeat_with(OnceCell::new).take(count).collect()
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut characters = text.char_indices().peekable();
    let mut spaced = true;
    while let Some((start, character)) = characters.next() {
        if character.is_whitespace() {
            spaced = true;
            continue;
        }
        let kind = kind_of(character);
        let mut end = start + character.len_utf8();
        while let Some((at, next)) = characters.peek().copied() {
            let inside = match kind {
                TokenKind::Digits => next.is_ascii_digit(),
                TokenKind::Word => {
                    next.is_alphabetic() || is_apostrophe(next) && letter_after(text, at + next.len_utf8())
                }
                TokenKind::Mark => false,
            };
            if !inside {
                break;
            }
            end = at + next.len_utf8();
            characters.next();
        }
        if is_joint(text, character, start, end) {
            continue;
        }
        tokens.push(token(text, kind, start, end, spaced));
        spaced = false;
        if let Some(word) = abbreviation(&tokens) {
            tokens.truncate(tokens.len() - 3);
            tokens.push(word);
        }
    }
    tokens
}

fn token(text: &str, kind: TokenKind, start: usize, end: usize, spaced: bool) -> Token {
    let folded = match (kind, &text[start..end]) {
        (TokenKind::Digits, digits) => digits.to_owned(),
        (TokenKind::Mark, "–" | "—" | "−") => "-".to_owned(),
        (TokenKind::Mark, "’" | "′") => "'".to_owned(),
        (TokenKind::Mark, "″" | "”" | "“") => "\"".to_owned(),
        (TokenKind::Mark, other) => other.to_owned(),
        (TokenKind::Word, word) => fold(word),
    };
    let entries = if kind == TokenKind::Digits { &[] } else { entries(&folded) };
    Token { kind, folded, start, end, spaced, entries }
}

/// In lower case, with `е` for `ё`, and without apostrophes. They stay in "we'd" and the like, which would be other words.
fn fold(word: &str) -> String {
    let word = word.to_lowercase().replace('ё', "е").replace('’', "'");
    let is_contracted = ["'d", "'ll", "'m", "'re", "'ve"].iter().any(|ending| word.ends_with(ending));
    if is_contracted { word } else { word.replace('\'', "") }
}

fn kind_of(character: char) -> TokenKind {
    match character {
        _ if character.is_ascii_digit() => TokenKind::Digits,
        _ if character.is_alphabetic() => TokenKind::Word,
        _ => TokenKind::Mark,
    }
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '’')
}

fn letter_after(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(char::is_alphabetic)
}

/// Whether a character only joins two words, as in `twenty-five`.
fn is_joint(text: &str, character: char, start: usize, end: usize) -> bool {
    matches!(character, '-' | '–' | '—')
        && text[..start].chars().next_back().is_some_and(char::is_alphabetic)
        && letter_after(text, end)
}

/// The last three tokens as one word, if they are a short word, a full stop and a shorter one: `p.m`, `k.gs`.
fn abbreviation(tokens: &[Token]) -> Option<Token> {
    let [.., first, stop, last] = tokens else { return None };
    let is_one = first.kind == TokenKind::Word
        && last.kind == TokenKind::Word
        && stop.folded == "."
        && !stop.spaced
        && !last.spaced;
    let short = |token: &Token, most| token.folded.chars().count() <= most;
    (is_one && short(first, 3) && short(last, 2)).then(|| {
        let folded = format!("{}{}", first.folded, last.folded);
        let entries = entries(&folded);
        Token { kind: TokenKind::Word, folded, start: first.start, end: last.end, spaced: first.spaced, entries }
    })
}
