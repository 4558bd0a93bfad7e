//! The log lines of an earlier server: `2026-01-05 12:34:56 - INFO - dialogs - Пользователь id:7 создал диалог id:10`.
//! The time is UTC.

use std::fmt::{self, Debug, Write};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{line::one_line, russian::russian};
use crate::operations::LogLanguage;

pub struct Classic {
    pub language: LogLanguage,
}

/// What an event says.
#[derive(Default)]
struct Fields {
    part: Option<String>,
    russian: Option<String>,
    english: Option<String>,
    message: String,
    /// The other fields, as ` name=value`.
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field.name(), format!("{value:?}"));
    }
}

impl Fields {
    fn set(&mut self, name: &str, value: String) {
        match name {
            "part" => self.part = Some(value),
            "ru" => self.russian = Some(value),
            "en" => self.english = Some(value),
            "message" => self.message = value,
            name => {
                // Writing to a text does not fail.
                let _ = write!(self.rest, " {name}={value}");
            }
        }
    }

    fn sentence(&self, language: LogLanguage) -> String {
        let own = match language {
            LogLanguage::Ru => self.russian.clone().or_else(|| russian(&self.message).map(str::to_owned)),
            LogLanguage::En => self.english.clone(),
        };
        format!("{}{}", own.unwrap_or_else(|| self.message.clone()), self.rest)
    }
}

impl<S, N> FormatEvent<S, N> for Classic
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S");
        let target = event.metadata().target();
        let part = fields.part.as_deref().unwrap_or_else(|| target.rsplit("::").next().unwrap_or(target));
        let sentence = one_line(&fields.sentence(self.language));
        writeln!(writer, "{time} - {} - {part} - {sentence}", level(*event.metadata().level()))
    }
}

/// A level as Python's `logging` names it.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}
