//! Where events go: to the painter, or to the viewer's terminal as they are. Either leaves the terminal in order, whatever
//! ends it.

use std::io::{self, Write};
use std::time::Instant;

use recording::{TerminalEvent, TerminalEventKind, TerminalSize};

use super::painter::Painter;
use super::raw::Stacks;
use super::snapshots::Snapshots;
use super::status::{HELP, Status};

/// Paint at the latest when so many bytes of lines have scrolled out.
const MOST_BACKLOG: usize = 1 << 20;

/// How much of an event is given to the painter at once.
const PIECE: usize = 4 * 1024;

/// Where events go.
pub(super) trait Sink {
    /// Takes the event of this number.
    fn event(&mut self, number: usize, event: &TerminalEvent) -> io::Result<()>;

    /// Shows everything that was taken.
    fn show(&mut self, status: &Status<'_>, help: bool) -> io::Result<()>;

    /// The viewer's terminal has another size now.
    fn view_resized(&mut self, _view: Option<TerminalSize>) {}

    /// Shows or hides the status line.
    fn toggle_status(&mut self) {}

    /// Goes to where the first `to` events have happened, having taken `taken` of them, or as far as it comes until a
    /// moment. Gives how many it has taken then; `None` where it cannot go anywhere.
    fn go_to(
        &mut self,
        _events: &[TerminalEvent],
        _taken: usize,
        _to: usize,
        _until: Instant,
    ) -> io::Result<Option<usize>> {
        Ok(None)
    }

    /// Leaves the terminal in order.
    fn leave(&mut self) -> io::Result<()>;
}

/// Writes the recorded bytes.
pub(super) struct RawSink<W: Write> {
    out: W,
    /// What is to be taken back on a terminal, until it is.
    stacks: Option<Stacks>,
}

impl<W: Write> RawSink<W> {
    /// `is_terminal` says whether `out` has modes, which are then switched off at the end.
    pub(super) fn begin(mut out: W, is_terminal: bool) -> io::Result<Self> {
        if is_terminal {
            out.write_all(Stacks::before().as_bytes())?;
        }
        Ok(Self { out, stacks: is_terminal.then(Stacks::default) })
    }
}

impl<W: Write> Sink for RawSink<W> {
    fn event(&mut self, _number: usize, event: &TerminalEvent) -> io::Result<()> {
        let bytes = event.kind.shown().unwrap_or_default();
        if let Some(stacks) = &mut self.stacks {
            stacks.note(bytes);
        }
        self.out.write_all(bytes)
    }

    fn show(&mut self, _status: &Status<'_>, _help: bool) -> io::Result<()> {
        self.out.flush()
    }

    fn leave(&mut self) -> io::Result<()> {
        if let Some(stacks) = self.stacks.take() {
            self.out.write_all(stacks.after().as_bytes())?;
        }
        self.out.flush()
    }
}

impl<W: Write> Drop for RawSink<W> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.leave();
    }
}

/// Paints, with a status line where there is a terminal.
pub(super) struct PaintedSink<W: Write> {
    painter: Painter,
    out: W,
    painted: String,
    /// Places to go back to; a program that reads the output cannot ask for one.
    snapshots: Option<Snapshots>,
    view: Option<TerminalSize>,
    has_status: bool,
    /// The status and the help that are shown.
    shown: Option<(Option<String>, bool)>,
    changed: bool,
    left: bool,
}

impl<W: Write> PaintedSink<W> {
    /// A screen of the recording's first size, for a viewer's terminal of this size if there is one.
    pub(super) fn new(size: TerminalSize, view: Option<TerminalSize>, out: W) -> Self {
        let painter = Painter::new(size, view);
        Self {
            snapshots: view.and_then(|_| painter.snapshot()).map(Snapshots::starting_with),
            painter,
            out,
            painted: String::new(),
            view,
            has_status: view.is_some(),
            shown: None,
            changed: true,
            left: false,
        }
    }

    fn paint(&mut self) -> io::Result<()> {
        self.painter.paint(&mut self.painted);
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(self.painted.as_bytes())?;
        self.painted.clear();
        self.out.flush()
    }

    /// Gives an event to the painter, which paints meanwhile where too much waits.
    fn give(&mut self, number: usize, event: &TerminalEvent) -> io::Result<()> {
        match &event.kind {
            TerminalEventKind::Output(bytes) | TerminalEventKind::ErrorOutput(bytes) => {
                // Pieces, so that one huge event does not hold all of its lines back at once.
                for piece in bytes.chunks(PIECE) {
                    self.painter.output(piece);
                    if self.painter.backlog() > MOST_BACKLOG {
                        self.paint()?;
                    }
                }
                if let Some(snapshots) = &mut self.snapshots {
                    snapshots.after(number, bytes.len(), &self.painter);
                }
            }
            TerminalEventKind::Resize(size) => self.painter.resize(*size),
            TerminalEventKind::Shortfall(_) | TerminalEventKind::Exit(_) => {}
        }
        Ok(())
    }
}

impl<W: Write> Sink for PaintedSink<W> {
    fn event(&mut self, number: usize, event: &TerminalEvent) -> io::Result<()> {
        self.changed = true;
        self.give(number, event)
    }

    fn show(&mut self, status: &Status<'_>, help: bool) -> io::Result<()> {
        let line = self.view.filter(|_| self.has_status).map(|view| status.line(view.columns.into()));
        let shown = (line, help && self.view.is_some());
        if self.changed || self.shown.as_ref() != Some(&shown) {
            self.painter.set_status(shown.0.clone());
            self.painter.set_overlay(if shown.1 { &HELP } else { &[] });
            (self.shown, self.changed) = (Some(shown), false);
            self.paint()?;
        }
        Ok(())
    }

    fn view_resized(&mut self, view: Option<TerminalSize>) {
        // Where there was none, there is none now.
        if self.view.is_some() && view.is_some() {
            self.view = view;
            self.painter.view_resized(view);
            self.changed = true;
        }
    }

    fn toggle_status(&mut self) {
        self.has_status = !self.has_status;
    }

    fn go_to(
        &mut self,
        events: &[TerminalEvent],
        taken: usize,
        to: usize,
        until: Instant,
    ) -> io::Result<Option<usize>> {
        let Some(snapshots) = &self.snapshots else { return Ok(None) };
        let (kept, snapshot) = snapshots.latest_until(to);
        let mut next = taken;
        if to < taken || kept > taken {
            self.painter.restore(snapshot);
            next = kept;
        }
        self.painter.skip(true);
        while next < to {
            self.give(next, &events[next])?;
            next += 1;
            if Instant::now() >= until {
                break;
            }
        }
        self.painter.skip(false);
        self.changed = true;
        Ok(Some(next))
    }

    fn leave(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.left, true) {
            return Ok(());
        }
        self.painter.leave(&mut self.painted);
        self.write()
    }
}

impl<W: Write> Drop for PaintedSink<W> {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.leave();
    }
}
