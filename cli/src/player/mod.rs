//! Plays a recording in a terminal.

mod clock;
mod clusters;
mod keyboard;
mod keys;
mod painter;
mod raw;
mod run;
mod screen;
mod sinks;
mod snapshots;
mod status;
mod utf8;

use std::io::{self, IsTerminal as _, Write as _, stdout};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use recording::terminal::asciicast::DecodedLines;
use recording::{Micros, Shortfall, TerminalEvent, TerminalEventKind, TerminalSize};

use crate::terminal;
use keyboard::Keyboard;
use run::{Player, Wanted};
use sinks::{PaintedSink, RawSink};

/// How to play.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Playback {
    /// How many times faster than recorded.
    pub(crate) speed: f64,
    /// The longest pause that is kept.
    pub(crate) idle_limit: Option<Duration>,
    /// Whether the recorded bytes go to the terminal as they are.
    pub(crate) raw: bool,
}

/// What arrives while a recording plays that goes on. Nothing more will when its sender is gone.
#[derive(Debug)]
pub(crate) enum More {
    /// What has happened behind the rest.
    Events(Vec<TerminalEvent>),
    /// Why nothing arrives for now.
    Trouble(String),
    /// The recorded session has ended, and everything of it has arrived.
    Ended,
}

/// A recording to be played.
pub(crate) struct Recorded<'a> {
    /// What has arrived of it.
    pub(crate) lines: DecodedLines,
    /// The beginning of its token.
    pub(crate) name: &'a str,
    /// Whether the recorded session goes on.
    pub(crate) goes_on: bool,
    /// What arrives later.
    pub(crate) more: Option<&'a Receiver<More>>,
}

/// How it went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Played {
    /// What the recording itself says is missing, or was done less, with the time.
    pub(crate) shortfalls: Vec<(Micros, Shortfall)>,
    /// How the recorded command ended.
    pub(crate) exit: Option<recording::ExitStatus>,
    /// How long everything lasted that has arrived.
    pub(crate) length: Duration,
    /// Whether the recorded session goes on.
    pub(crate) goes_on: bool,
    /// Whether the viewer left before the end.
    pub(crate) left: bool,
}

/// Plays to standard output until the end, or until the viewer leaves by `q`.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn play(recorded: Recorded<'_>, playback: Playback) -> io::Result<Played> {
    let interactive = stdout().is_terminal();
    let Recorded { lines: DecodedLines { header, events, .. }, name, goes_on, more } = recorded;
    let size = header.map_or(TerminalSize::WITHOUT_TERMINAL, |header| header.terminal());
    let largest = largest_size(size, &events);
    let view = if interactive { view_size() } else { None };
    let cut = (!playback.raw).then(|| cut_off(size, largest, view)).flatten();
    let wanted = Wanted {
        events,
        playback,
        more,
        goes_on,
        interactive: interactive && !playback.raw,
        name,
        note: cut.as_deref(),
    };
    let mut keyboard = Keyboard::take(interactive);
    let mut out = stdout().lock();
    if playback.raw {
        let sink = RawSink::begin(out, interactive)?;
        return Player::new(wanted, sink).run(&mut keyboard, || None);
    }
    if let Some(view) = view {
        // What stands on the screen goes to the viewer's history.
        out.write_all("\n".repeat(view.rows.into()).as_bytes())?;
    }
    Player::new(wanted, PaintedSink::new(size, view, out)).run(&mut keyboard, view_size)
}

/// Says what of the recording will not be seen as it was, and gives the short form of it for the status line.
fn cut_off(size: TerminalSize, largest: TerminalSize, view: Option<TerminalSize>) -> Option<String> {
    let up_to = if largest == size { "" } else { "up to " };
    let modelled = screen::within_limits(largest);
    let is_modelled = modelled.columns >= largest.columns && modelled.rows >= largest.rows;
    if !is_modelled {
        terminal::note(&format!(
            "the recording is {up_to}{largest}, and {modelled} of it at most can be shown: longer lines are wrapped there, so \
             that the layout is not the recorded one; `recordings export` has all of it"
        ));
    }
    let view = view?;
    let room = TerminalSize { rows: if view.rows > 1 { view.rows - 1 } else { view.rows }, ..view };
    let fits = room.columns >= largest.columns && room.rows >= largest.rows;
    if !fits && (view.columns < largest.columns || view.rows < largest.rows) {
        terminal::note(&format!(
            "the recording is {up_to}{largest} and this terminal {view}: what does not fit is cut off"
        ));
    }
    (!fits || !is_modelled).then(|| format!("of {up_to}{largest}"))
}

/// The most columns and the most rows that the recorded terminal has at any time.
fn largest_size(first: TerminalSize, events: &[TerminalEvent]) -> TerminalSize {
    events.iter().fold(first, |largest, event| match event.kind {
        TerminalEventKind::Resize(size) => {
            TerminalSize { columns: largest.columns.max(size.columns), rows: largest.rows.max(size.rows) }
        }
        _ => largest,
    })
}

/// The size of the viewer's terminal.
fn view_size() -> Option<TerminalSize> {
    let size = rustix::termios::tcgetwinsize(stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(TerminalSize { columns: size.ws_col, rows: size.ws_row })
}

#[cfg(test)]
mod tests;
