//! The server's log: standard error, lines for people or one JSON object a line. Agents and callers supply much of
//! what is logged, so every line passes the sanitiser.

use std::io::{self, Write, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::failure::Failure;
use crate::settings::{LogFormat, Settings};
use recording::sanitise::{sanitised, sanitised_json};

/// Starts logging.
///
/// # Errors
/// Something else logs already.
pub(super) fn start(settings: &Settings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.log_filter).map_err(Failure::usage)?;
    let writer = Sanitising { format: settings.log_format, out: stderr };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = match settings.log_format {
        // The formatter's colours could not be told from escape sequences in the fields, which it passes on as they are.
        LogFormat::Human => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::failed(format!("logging cannot start: {error}")))
}

/// Sanitises everything that is written to `out`.
struct Sanitising<F> {
    format: LogFormat,
    out: F,
}

struct SanitisingWriter<W> {
    format: LogFormat,
    out: W,
}

impl<'a, W: Write, F: Fn() -> W + 'a> MakeWriter<'a> for Sanitising<F> {
    type Writer = SanitisingWriter<W>;

    fn make_writer(&'a self) -> SanitisingWriter<W> {
        SanitisingWriter { format: self.format, out: (self.out)() }
    }
}

/// The formatter hands over an event whole, in one write.
impl<W: Write> Write for SanitisingWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let shown = match self.format {
            LogFormat::Json => sanitised_json(&text),
            LogFormat::Human => human(&text),
        };
        self.out.write_all(shown.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One line for one event: a line feed that somebody supplied would make another.
fn human(text: &str) -> String {
    format!("{}\n", sanitised(text.strip_suffix('\n').unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use recording::sanitise::is_unsafe;

    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{200b}b\nc";

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat) -> String {
        let kept = Kept::default();
        let out = kept.clone();
        let builder = tracing_subscriber::fmt().with_writer(Sanitising { format, out: move || out.clone() });
        let log = || {
            let error = io::Error::other(HOSTILE);
            tracing::info!(shown = %HOSTILE, debugged = ?HOSTILE, plain = HOSTILE, error = %error, "said: {HOSTILE}");
        };
        match format {
            LogFormat::Human => tracing::subscriber::with_default(builder.with_ansi(false).finish(), log),
            LogFormat::Json => tracing::subscriber::with_default(builder.json().finish(), log),
        }
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn untrusted_text_cannot_control_a_terminal_that_shows_the_log() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let log = logged(format);
            assert!(log.contains("said: a") && log.lines().count() == 1, "{log:?}");
            assert!(!log.trim_end().chars().any(is_unsafe), "{log:?}");
        }
        serde_json::from_str::<serde_json::Value>(&logged(LogFormat::Json)).unwrap();
    }
}
