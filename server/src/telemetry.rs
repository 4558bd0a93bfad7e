//! Logs: for people on a terminal, JSON for machines, and the lines of an earlier server. Never message texts or
//! secrets at the default level.

mod classic;
mod line;
mod russian;

use std::io::stderr;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, field::MakeExt, fmt, fmt::format::debug_fn};

use crate::{
    config::{LogConfig, LogFormat},
    operations::TARGET,
    setup::SetupError,
};
use classic::Classic;

/// Writes the lines that still wait when it is dropped.
pub struct LogGuard(#[expect(dead_code, reason = "it writes when it is dropped")] WorkerGuard);

/// Begins logging to standard error, in colour if asked for. A thread writes the lines, so that a slow reader holds
/// nobody up; if it falls behind by more than 128,000 lines, further ones are dropped. A second call changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(config: &LogConfig, colour: bool) -> Result<LogGuard, SetupError> {
    // The watch itself reports a folder that vanishes while it is watched.
    let filter = match config.format {
        // Operators of the earlier server read operations, warnings and errors.
        LogFormat::Classic => format!("notify=off,warn,{},{TARGET}=info", directives(&config.filter)),
        LogFormat::Human | LogFormat::Json => format!("notify=off,{TARGET}=off,{}", config.filter),
    };
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        let hint = "write a filter such as info or info,banter_server=debug";
        SetupError::new(format!("log.filter is wrong: {error}"), hint)
    })?;
    let (writer, guard) = NonBlockingBuilder::default().thread_name("log").finish(stderr());
    // A log that cannot be written is reported nowhere: the one place for it is the log.
    let builder = fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    let result = match config.format {
        LogFormat::Human => {
            let fields = debug_fn(line::write_field).delimited(" ");
            builder.with_ansi(colour).with_target(false).fmt_fields(fields).try_init()
        }
        LogFormat::Classic => builder.event_format(Classic { language: config.language }).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // Only tests start twice in one process, and want the first.
    drop(result);
    Ok(LogGuard(guard))
}

/// The directives of a filter that are about some target. Its general level is that of the other formats.
fn directives(filter: &str) -> String {
    filter.split(',').filter(|directive| directive.contains('=')).collect::<Vec<_>>().join(",")
}
