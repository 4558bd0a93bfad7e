//! One event is one line, whatever it quotes: users, scripts and plugins put texts into fields.

use std::fmt::{self, Debug};

use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

/// A text without characters that end a line, move the cursor or change the direction of writing; they are escaped as
/// in Rust.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// The controls of bidirectional text (Unicode Standard Annex 9), with which one text can look like another.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Writes a field of an event for people: the message as it is, others as `name=value`.
pub fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = one_line(&format!("{value:?}"));
    match field.name() {
        "message" => writer.write_str(&value),
        name => write!(writer, "{name}={value}"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{field::MakeExt, fmt, fmt::format::debug_fn};

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_writes_a_line_of_their_own() {
        const FORGED: &str = "x\r\n2026-01-01T00:00:00Z  INFO all is well\u{1b}[2K\u{202e}";
        let log = Log::default();
        let writer = log.clone();
        let subscriber = fmt().with_writer(move || writer.clone()).with_ansi(false);
        let subscriber = subscriber.fmt_fields(debug_fn(write_field).delimited(" ")).finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", id = %FORGED);
            let _in = span.enter();
            tracing::info!(source = FORGED, message = FORGED, "script");
            tracing::info!(error = %FORGED, part = ?FORGED, "a plugin failed");
        });
        let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 2, "{written}");
        assert!(!written.contains(['\r', '\u{1b}', '\u{202e}']), "{written:?}");
        assert!(written.contains("all is well"), "what was written is told: {written}");
    }

    #[test]
    fn what_people_write_stays() {
        assert_eq!(one_line("Привет, «мир» — 👋"), "Привет, «мир» — 👋");
        assert_eq!(one_line("a\tb\n\0"), "a\\tb\\n\\u{0}");
    }
}
