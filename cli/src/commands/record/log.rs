//! Reads conversations from access logs in JSON Lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use banter_engine::replay::record::{MAX_MESSAGES, Said, Utterance};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

use super::{Common, named, tell_cut};
use crate::failure::Failure;
use banter_engine::text::MAX_UTTERANCE;

/// The maximum length of a line, in bytes.
const MAX_LINE: u64 = 1 << 20;
/// The maximum number of conversations in one log.
const MAX_CONVERSATIONS: usize = 1_000;

/// One speaker's messages in a log.
pub struct Logged {
    pub said: Said,
    /// The line number of the first message.
    pub line: usize,
}

/// The conversations of a log, one per speaker.
pub fn read(path: &Path, common: &Common) -> Result<Vec<Logged>, Failure> {
    let failed = |error: io::Error| {
        Failure::usage(format!("cannot read {}: {error}", path.display()), "use a log in JSON Lines")
    };
    let mut input: Box<dyn BufRead> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(path).map_err(failed)?)),
    };
    let mut log = Log { path, common, all: Vec::new(), places: BTreeMap::new(), cut: BTreeSet::new() };
    for number in 1.. {
        let mut line = Vec::new();
        let read = (&mut input).take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 {
            break;
        }
        log.add(number, line).map_err(|reason| {
            Failure::usage(
                format!("{}:{number}: {reason}", path.display()),
                "write each line as a JSON object with `text` or `message`",
            )
        })?;
    }
    if log.all.is_empty() {
        return Err(Failure::usage(format!("{} is empty", path.display()), "use a log in JSON Lines"));
    }
    Ok(log.all)
}

/// A log while it is read.
struct Log<'a> {
    path: &'a Path,
    common: &'a Common,
    all: Vec<Logged>,
    /// The position in `all` of each speaker.
    places: BTreeMap<String, usize>,
    /// The conversations that are cut at [`MAX_MESSAGES`].
    cut: BTreeSet<usize>,
}

impl Log<'_> {
    /// Adds line `number`. The error says what is wrong with it.
    fn add(&mut self, number: usize, line: Vec<u8>) -> Result<(), String> {
        let line = String::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
        if line.trim().is_empty() {
            return Ok(());
        }
        let entry: Value = serde_json::from_str(&line).map_err(|error| format!("the line is not JSON: {error}"))?;
        let Some(text) = ["text", "message", "user"].iter().find_map(|key| entry.get(*key)?.as_str()) else {
            return Err("the line has neither `text` nor `message`".to_owned());
        };
        if text.trim().is_empty() || text.chars().count() > MAX_UTTERANCE {
            return Err(format!("the text is empty or longer than {MAX_UTTERANCE} characters"));
        }
        let at = time_of(&entry)?;
        let place = self.place_of(speaker_of(&entry), number)?;
        let said = &mut self.all[place].said;
        if said.messages.len() == MAX_MESSAGES {
            if self.cut.insert(place) {
                tell_cut(&format!("{}:{number}: `{}`", self.path.display(), said.name));
            }
            return Ok(());
        }
        let names = entry.get("slots").and_then(Value::as_object).into_iter().flatten();
        said.slots.extend(names.filter_map(|(slot, value)| Some((slot.clone(), value.as_str()?.to_owned()))));
        said.messages.push(Utterance { text: text.to_owned(), at, answered: None });
        Ok(())
    }

    /// The position of a speaker's conversation, which begins on this line if it is new.
    fn place_of(&mut self, speaker: String, number: usize) -> Result<usize, String> {
        let place = *self.places.entry(speaker).or_insert(self.all.len());
        if place == MAX_CONVERSATIONS {
            return Err(format!("the log has more than {MAX_CONVERSATIONS} speakers"));
        }
        if place == self.all.len() {
            let name = format!("{} {}", named(self.common, "from a log"), place + 1);
            self.all.push(Logged { said: Said { name, ..Said::default() }, line: number });
        }
        Ok(place)
    }
}

fn speaker_of(entry: &Value) -> String {
    let speaker = ["dialog_id", "sender", "sender_id", "user_id"].iter().find_map(|key| entry.get(*key));
    speaker
        .map_or_else(|| "somebody".to_owned(), |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// The time of a log line: a date with time, or seconds or milliseconds since 1970.
fn time_of(entry: &Value) -> Result<Option<Timestamp>, String> {
    let keys = ["time", "timestamp", "@timestamp", "ts", "created_at"];
    let Some(found) = keys.iter().find_map(|key| entry.get(*key).filter(|value| !value.is_null())) else {
        return Ok(None);
    };
    let of_number = |number: f64| {
        // As seconds, 1e11 would be the year 5138, so larger numbers are milliseconds.
        let millis = if number.abs() < 1e11 { number * 1e3 } else { number };
        Timestamp::from_millisecond(millis as i64).ok()
    };
    let of_text = |text: &str| {
        let number = || of_number(text.parse().ok()?);
        // A time without a zone is UTC.
        let zoneless = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
        text.parse().ok().or_else(number).or_else(|| zoneless().map(|time| time.timestamp()))
    };
    let time = found.as_str().map_or_else(|| of_number(found.as_f64()?), of_text);
    time.map(Some).ok_or_else(|| format!("{found} is not a time; write it like 2026-01-05T10:00:00Z"))
}
