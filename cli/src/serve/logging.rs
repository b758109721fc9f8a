//! The server's log: standard error, lines for people or one JSON object a line. Agents and callers supply much of
//! what is logged, so every line passes the sanitiser.

use std::io::{self, IsTerminal as _, Write, stderr};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::failure::Failure;
use crate::settings::{LogFormat, Settings};
use recording::log_line::{Colours, is_warning, log_line};
use recording::sanitise::sanitised_json;

/// What is logged unless somebody chose otherwise: not what libraries say at each start.
const DEFAULT_FILTER: &str = "info,actix_server=warn,sea_orm_migration=warn";
/// The same for a person who watches: without a line for each request.
const DEFAULT_FILTER_ON_A_TERMINAL: &str =
    "info,actix_server=warn,sea_orm_migration=warn,api::gateway::finish=warn";

/// Whether a person watches the log on a terminal.
pub(super) fn is_watched(settings: &Settings) -> bool {
    settings.log_format == LogFormat::Human && stderr().is_terminal()
}

/// Starts logging. On a terminal, lines that are no warnings wait until [`Held::release`], so that what to do next is
/// not among them.
///
/// # Errors
/// Something else logs already.
pub(super) fn start(settings: &Settings, colours: Colours) -> Result<Held, Failure> {
    let watched = is_watched(settings);
    let default = if watched { DEFAULT_FILTER_ON_A_TERMINAL } else { DEFAULT_FILTER };
    let filter = settings.log_filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).map_err(Failure::usage)?;
    let held = Held::new(watched);
    let lines = Lines { format: settings.log_format, colours, held: held.clone() };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(Sanitising { lines, out: stderr });
    let started = match settings.log_format {
        // The formatter's own colours could not be told from escape sequences in the fields, which it passes on as they
        // are.
        LogFormat::Human => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::failed(format!("logging cannot start: {error}")))?;
    Ok(held)
}

/// The lines that wait; `None` inside once they have been released.
#[derive(Clone)]
pub(super) struct Held(Arc<Mutex<Option<String>>>);

impl Held {
    fn new(hold: bool) -> Self {
        Self(Arc::new(Mutex::new(hold.then(String::new))))
    }

    /// Writes what waits. From now on nothing does.
    pub(super) fn release(&self) {
        self.release_to(&mut stderr());
    }

    fn release_to(&self, out: &mut impl Write) {
        // Under the lock, so that no later line comes before these.
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lines) = held.take() {
            // As with every line of the log: where it cannot be written, nobody can be told.
            let _ = out.write_all(lines.as_bytes());
        }
    }

    /// Writes a line, or keeps it.
    fn write(&self, line: &str, urgent: bool, out: &mut impl Write) -> io::Result<()> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_mut() {
            Some(lines) if !urgent => {
                lines.push_str(line);
                Ok(())
            }
            _ => out.write_all(line.as_bytes()),
        }
    }
}

/// How events become lines.
#[derive(Clone)]
struct Lines {
    format: LogFormat,
    colours: Colours,
    held: Held,
}

/// Sanitises everything that is written to `out`.
struct Sanitising<F> {
    lines: Lines,
    out: F,
}

struct SanitisingWriter<W> {
    lines: Lines,
    out: W,
}

impl<'a, W: Write, F: Fn() -> W + 'a> MakeWriter<'a> for Sanitising<F> {
    type Writer = SanitisingWriter<W>;

    fn make_writer(&'a self) -> SanitisingWriter<W> {
        SanitisingWriter { lines: self.lines.clone(), out: (self.out)() }
    }
}

/// The formatter hands over an event whole, in one write.
impl<W: Write> Write for SanitisingWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = match self.lines.format {
            LogFormat::Json => sanitised_json(&text),
            LogFormat::Human => log_line(&text, self.lines.colours),
        };
        self.lines.held.write(&line, is_warning(&text), &mut self.out)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
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

    fn lines(format: LogFormat, held: Held) -> Lines {
        Lines { format, colours: Colours::None, held }
    }

    fn logged(format: LogFormat) -> String {
        let kept = Kept::default();
        let out = kept.clone();
        let writer = Sanitising { lines: lines(format, Held::new(false)), out: move || out.clone() };
        let builder = tracing_subscriber::fmt().with_writer(writer);
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

    #[test]
    fn lines_wait_for_their_release_and_warnings_do_not() {
        let held = Held::new(true);
        let kept = Kept::default();
        let out = kept.clone();
        let writer = Sanitising { lines: lines(LogFormat::Human, held.clone()), out: move || out.clone() };
        let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).finish();
        let said = || String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("one");
            tracing::warn!("two");
            assert!(said().contains("two") && !said().contains("one"), "{}", said());
            held.release_to(&mut kept.clone());
            tracing::info!("three");
        });
        let order: Vec<_> = said().lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
        assert_eq!(order, ["two", "one", "three"]);
    }
}
