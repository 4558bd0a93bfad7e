//! Logs: for people on a terminal, JSON for machines. Never message texts or secrets at the default level.

use std::io::IsTerminal;

use tracing::Instrument;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    config::{LogConfig, LogFormat},
    failure::Failure,
};

/// Writes down what a request has done once its task rests, so that the answer does not wait for a line in the log. Lines that are not
/// written when the process ends are lost; a request that has not been answered has none.
pub fn log_later(lines: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(lines.in_current_span());
}

/// Begins logging to standard error. A second call changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(config: &LogConfig) -> Result<(), Failure> {
    // A folder that goes while it is watched is told of by the watch itself.
    let filter = EnvFilter::try_new(format!("notify=off,{}", config.filter)).map_err(|error| {
        Failure::usage(format!("log.filter is wrong: {error}"), "write one such as info or info,banter_server=debug")
    })?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = match config.format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    };
    // Only tests start twice in one process, and want the first.
    drop(result);
    Ok(())
}
