//! Damages seeds: flips bytes, cuts, repeats and moves pieces, mixes two seeds, and puts in words that parsers stumble
//! over.

use banter_engine::random::Random;

const WORDS: [&str; 40] = [
    "{{",
    "}}",
    "{",
    "}",
    "[",
    "]",
    ":",
    "- ",
    "\n",
    "\r\n",
    "\t",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "\u{ffff}",
    "'",
    "\"",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "|",
    ">",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "9223372036854775808",
    "0x",
    "..",
    "../",
    "/",
    "data:",
    "event: ",
    "Content-Length: ",
    "chunked",
    "%00",
    "\u{1F600}",
    "ё",
];
/// Longer inputs only take time.
const MAX_INPUT: usize = 60_000;

pub struct Mutator {
    random: Random,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(random: Random, seeds: Vec<Vec<u8>>) -> Self {
        assert!(!seeds.is_empty(), "a target needs a seed");
        Self { random, seeds }
    }

    pub fn next(&mut self) -> Vec<u8> {
        let chosen = self.random.below(self.seeds.len());
        let mut input = self.seeds[chosen].clone();
        for _ in 0..=self.random.below(6) {
            self.damage(&mut input);
        }
        input.truncate(MAX_INPUT);
        input
    }

    fn damage(&mut self, input: &mut Vec<u8>) {
        let at = self.random.below(input.len() + 1);
        match self.random.below(8) {
            0 if at < input.len() => input[at] = self.random.bits() as u8,
            1 if at < input.len() => input[at] ^= 1 << self.random.below(8),
            2 => input.truncate(at),
            3 => {
                let end = at + self.random.below(input.len() + 1 - at);
                drop(input.drain(at..end));
            }
            4 => {
                let end = at + self.random.below((input.len() + 1 - at).min(200));
                let times = 1 + self.random.below(60);
                let piece = input[at..end].repeat(times);
                drop(input.splice(at..at, piece));
            }
            5 => {
                let other = self.random.below(self.seeds.len());
                let from = self.random.below(self.seeds[other].len() + 1);
                input.truncate(at);
                input.extend_from_slice(&self.seeds[other][from..]);
            }
            _ => {
                let word = WORDS[self.random.below(WORDS.len())];
                drop(input.splice(at..at, word.bytes()));
            }
        }
    }
}
