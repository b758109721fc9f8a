//! What everything in this process writes to the log. As an error no request may cause any: a caller who could make
//! the server write lines one by one would fill a disk and hide in them. And what is secret stands in no line at all,
//! of no level.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

static BEGIN: Once = Once::new();
static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Texts that no line may hold, and the lines that do.
static WATCHED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LOOKED_AT: AtomicUsize = AtomicUsize::new(0);

/// Begins to listen.
pub(crate) fn listen() {
    BEGIN.call_once(|| tracing::subscriber::set_global_default(Lines).unwrap());
}

/// Begins to look for a text in every line of every level.
pub(crate) fn watch(text: &'static str) {
    listen();
    WATCHED.lock().unwrap().push(text);
}

/// How many lines were looked at since anything is looked for.
pub(crate) fn looked_at() -> usize {
    LOOKED_AT.load(Ordering::Relaxed)
}

/// The lines with this text.
pub(crate) fn with(text: &'static str) -> Vec<String> {
    FOUND.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
}

/// What the web framework itself wrote since somebody listens.
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
    // What is looked for changes, and so does what is of interest.
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
