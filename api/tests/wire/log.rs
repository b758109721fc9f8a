//! Everything that this process writes to the log. No request may cause an error line: a caller who could make the
//! server write lines one by one would fill a disk and hide among them. And no line, at any level, may contain a
//! secret.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

static BEGIN: Once = Once::new();
static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Texts that no line may contain, and the lines that contain one.
static WATCHED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOOKED_AT: AtomicUsize = AtomicUsize::new(0);

/// Starts listening.
pub(crate) fn listen() {
    BEGIN.call_once(|| tracing::subscriber::set_global_default(Lines).unwrap());
}

/// Starts searching every line of every level for a text.
pub(crate) fn watch(text: &'static str) {
    listen();
    WATCHED.lock().unwrap().push(text);
}

/// The number of lines checked since the first search began.
pub(crate) fn looked_at() -> usize {
    LOOKED_AT.load(Ordering::Relaxed)
}

/// The lines that contain this text.
pub(crate) fn with(text: &'static str) -> Vec<String> {
    FOUND.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

/// What the web framework itself has written since listening began.
pub(crate) fn errors_of_the_framework() -> Vec<String> {
    let errors = ERRORS.lock().unwrap();
    errors.iter().filter(|line| line.starts_with("actix")).cloned().collect()
}

struct Lines;

/// A line, or what is known of a span.
struct LogLine(String);

impl Visit for LogLine {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl LogLine {
    fn look(&self) {
        LOOKED_AT.fetch_add(1, Ordering::Relaxed);
        if WATCHED.lock().unwrap().iter().any(|text| self.0.contains(text)) {
            FOUND.lock().unwrap().push(self.0.clone());
        }
    }
}

impl Subscriber for Lines {
    // The texts to search for change, so the interest has to be asked for each time.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR || !WATCHED.lock().unwrap().is_empty()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut line = LogLine(attributes.metadata().name().to_owned());
        attributes.record(&mut line);
        line.look();
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = LogLine(String::new());
        values.record(&mut line);
        line.look();
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = LogLine(event.metadata().target().to_owned());
        event.record(&mut line);
        line.look();
        if *event.metadata().level() == Level::ERROR {
            ERRORS.lock().unwrap().push(line.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
