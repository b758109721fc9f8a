//! What commands print. Standard output carries results, standard error everything that is said about them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program speaks")]

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::failure::{Failure, chain};
use recording::sanitise::{sanitised, sanitised_json};

/// Prints a result as it is; the caller has sanitised what others supplied.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Prints a result in bytes.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| cannot_write(&error))
}

/// Prints JSON, indented, with everything escaped that could drive a terminal.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(chain(&error)))?;
    print(&format!("{}\n", sanitised_json(&text)))
}

/// How many columns the terminal has that standard output goes to; `None` where it goes elsewhere. One that does not say
/// has 80.
pub(crate) fn columns() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(out).ok();
    Some(size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80))
}

/// Says something beside the result.
pub(crate) fn note(text: &str) {
    eprintln!("{}", sanitised(text));
}

/// Says why the command failed.
pub(crate) fn complain(failure: &Failure) {
    if !failure.message().is_empty() {
        eprintln!("error: {}", failure.message());
    }
    if let Some(hint) = failure.hint() {
        eprintln!("{hint}");
    }
}

/// The failure of a result that cannot be written.
pub(crate) fn cannot_write(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::reader_left();
    }
    Failure::failed(format!("standard output cannot be written: {error}"))
}
