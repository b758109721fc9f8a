//! The agent's log: lines on standard error. Much of the text comes from the control plane and from people who record,
//! so every line is sanitised: the formatter passes escape sequences in fields on unchanged.

use std::io::{self, Write, stderr};

use recording::log_line::{Colours, log_line};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Logs what the filter lets through from now on.
pub(crate) fn start(filter: &str, colours: Colours) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Sanitising { out: stderr, colours })
        // The formatter's own colours could not be told from escape sequences in the fields.
        .with_ansi(false)
        .with_target(false)
        .init();
    Ok(())
}

/// Writes what has passed the sanitiser.
struct Sanitising<F> {
    out: F,
    colours: Colours,
}

struct SanitisingWriter<W> {
    out: W,
    colours: Colours,
}

impl<'a, W: Write, F: Fn() -> W + 'a> MakeWriter<'a> for Sanitising<F> {
    type Writer = SanitisingWriter<W>;

    fn make_writer(&'a self) -> SanitisingWriter<W> {
        SanitisingWriter { out: (self.out)(), colours: self.colours }
    }
}

/// The formatter hands over an event whole, in one write.
impl<W: Write> Write for SanitisingWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = log_line(&String::from_utf8_lossy(event), self.colours);
        self.out.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use recording::sanitise::is_unsafe;

    use super::*;

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

    #[test]
    fn untrusted_text_cannot_control_a_terminal_that_shows_the_log() {
        const HOSTILE: &str = "a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{200b}b\nc";
        let kept = Kept::default();
        let out = kept.clone();
        let writer = Sanitising { out: move || out.clone(), colours: Colours::None };
        let subscriber = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = io::Error::other(HOSTILE);
            tracing::warn!(shown = %HOSTILE, debugged = ?HOSTILE, plain = HOSTILE, "said: {HOSTILE}: {error}");
        });
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("said: a") && log.lines().count() == 1, "{log:?}");
        assert!(!log.trim_end().chars().any(is_unsafe), "{log:?}");
    }
}
