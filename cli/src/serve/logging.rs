//! The server's log: standard error, lines for people or one JSON object a line.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::settings::{LogFormat, Settings};

/// Starts logging.
///
/// # Errors
/// Something else logs already.
pub(super) fn start(settings: &Settings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.log_filter).map_err(Failure::usage)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let started = match settings.log_format {
        // Control characters in what is logged are escaped by the formatter itself.
        LogFormat::Human => builder.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::failed(format!("logging cannot start: {error}")))
}
