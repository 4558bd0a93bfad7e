//! Logs: for people on a terminal, JSON for machines. Never message texts or secrets at the default level.

mod later;

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    config::{LogConfig, LogFormat},
    failure::Failure,
};
use later::{EventTime, Later};

pub use later::{flush, log_later};

/// Begins logging to standard error. A second call changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(config: &LogConfig) -> Result<(), Failure> {
    // A folder that goes while it is watched is told of by the watch itself.
    let filter = EnvFilter::try_new(format!("notify=off,{}", config.filter)).map_err(|error| {
        Failure::usage(format!("log.filter is wrong: {error}"), "write one such as info or info,banter_server=debug")
    })?;
    // A log that cannot be written is told of nowhere: the one place for it is the log.
    let builder =
        fmt().with_env_filter(filter).with_timer(EventTime).with_writer(std::io::stderr).log_internal_errors(false);
    let result = match config.format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // Only tests start twice in one process, and want the first.
    drop(result);
    if let Err(error) = Later::start() {
        tracing::warn!(%error, "the log has no thread; its lines are written before the answers");
    }
    Ok(())
}
