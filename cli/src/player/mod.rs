//! Plays a recording in a terminal.

mod keyboard;
mod painter;
mod utf8;

use std::io::{self, IsTerminal as _, Write, stdout};
use std::time::{Duration, Instant};

use recording::terminal::asciicast::DecodedLines;
use recording::{Micros, TerminalEvent, TerminalEventKind, TerminalSize};

use crate::terminal;
use keyboard::{Keyboard, Request};
use painter::Painter;

/// The shortest time between two paintings.
const FRAME: Duration = Duration::from_millis(16);

/// Paint at the latest when so many bytes of lines have scrolled out.
const MOST_BACKLOG: usize = 1 << 20;

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

/// How it went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Played {
    /// What the recording itself says is missing, with the time.
    pub(crate) gaps: Vec<(Micros, String)>,
    /// How the recorded command ended.
    pub(crate) exit: Option<recording::ExitStatus>,
    /// Whether the viewer left before the end.
    pub(crate) left: bool,
}

/// Plays to standard output until the end, or until the viewer leaves by `q`.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn play(recorded: &DecodedLines, playback: Playback) -> io::Result<Played> {
    let interactive = stdout().is_terminal();
    let keyboard = Keyboard::take(interactive);
    let mut out = stdout().lock();
    if playback.raw {
        return run(&recorded.events, playback, &keyboard, &mut RawSink { out: &mut out });
    }
    let size = recorded.header.as_ref().map_or(TerminalSize { columns: 80, rows: 24 }, |header| {
        TerminalSize { columns: header.width, rows: header.height }
    });
    let view = if interactive { view_size() } else { None };
    if let Some(view) = view {
        let largest = largest_size(size, &recorded.events);
        if view.columns < largest.columns || view.rows < largest.rows {
            let up_to = if largest == size { "" } else { "up to " };
            terminal::note(&format!(
                "the recording is {up_to}{largest} and this terminal {view}: what does not fit is cut off"
            ));
        }
        // What stands on the screen goes to the viewer's history.
        out.write_all("\n".repeat(view.rows.into()).as_bytes())?;
    }
    let mut sink = PaintedSink { painter: Painter::new(size, view), out: &mut out, painted: String::new() };
    let played = run(&recorded.events, playback, &keyboard, &mut sink);
    sink.leave()?;
    played
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

/// Where events go.
trait Sink {
    fn event(&mut self, event: &TerminalEvent) -> io::Result<()>;
    fn show(&mut self) -> io::Result<()>;
    fn view_resized(&mut self) -> io::Result<()>;
}

struct RawSink<'a, W: Write> {
    out: &'a mut W,
}

impl<W: Write> Sink for RawSink<'_, W> {
    fn event(&mut self, event: &TerminalEvent) -> io::Result<()> {
        self.out.write_all(event.kind.shown().unwrap_or_default())
    }

    fn show(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn view_resized(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct PaintedSink<'a, W: Write> {
    painter: Painter,
    out: &'a mut W,
    painted: String,
}

impl<W: Write> PaintedSink<'_, W> {
    fn write(&mut self) -> io::Result<()> {
        self.out.write_all(self.painted.as_bytes())?;
        self.painted.clear();
        self.out.flush()
    }

    fn leave(&mut self) -> io::Result<()> {
        self.painter.leave(&mut self.painted);
        self.write()
    }
}

impl<W: Write> Sink for PaintedSink<'_, W> {
    fn event(&mut self, event: &TerminalEvent) -> io::Result<()> {
        match &event.kind {
            TerminalEventKind::Output(bytes) | TerminalEventKind::ErrorOutput(bytes) => {
                // Pieces, so that one huge event does not hold all of its lines back at once.
                for piece in bytes.chunks(64 * 1024) {
                    self.painter.output(piece);
                    if self.painter.backlog() > MOST_BACKLOG {
                        self.show()?;
                    }
                }
            }
            TerminalEventKind::Resize(size) => self.painter.resize(*size),
            TerminalEventKind::Gap(_) | TerminalEventKind::Exit(_) => {}
        }
        Ok(())
    }

    fn show(&mut self) -> io::Result<()> {
        self.painter.paint(&mut self.painted);
        self.write()
    }

    fn view_resized(&mut self) -> io::Result<()> {
        self.painter.view_resized(view_size());
        self.show()
    }
}

/// The one loop: events become due, are shown at most once a frame, and keys are read while waiting.
fn run(
    events: &[TerminalEvent],
    playback: Playback,
    keyboard: &Keyboard,
    sink: &mut impl Sink,
) -> io::Result<Played> {
    let mut played = Played::default();
    let due = schedule(events, playback);
    let mut started = Instant::now();
    let mut paused_at: Option<Instant> = None;
    let mut next = 0;
    sink.show()?;
    loop {
        if keyboard.resized() {
            sink.view_resized()?;
        }
        let now = Instant::now();
        if paused_at.is_none() {
            let first = next;
            while next < events.len() && started + due[next] <= now {
                sink.event(&events[next])?;
                note(&events[next], &mut played);
                next += 1;
            }
            if next > first {
                sink.show()?;
            }
            if next == events.len() {
                return Ok(played);
            }
        }
        let limit = match paused_at {
            Some(_) => None,
            None => Some((started + due[next]).saturating_duration_since(now).max(FRAME)),
        };
        match keyboard.wait(limit) {
            Some(Request::Quit) => {
                played.left = true;
                return Ok(played);
            }
            Some(Request::Pause) => match paused_at.take() {
                Some(since) => started += since.elapsed(),
                None => paused_at = Some(Instant::now()),
            },
            None => {}
        }
    }
}

/// When each event is due, since the start of playing.
fn schedule(events: &[TerminalEvent], playback: Playback) -> Vec<Duration> {
    let mut before = Micros::ZERO;
    let mut due = Duration::ZERO;
    let pauses = events.iter().map(|event| {
        let pause = event.at.since(before);
        before = event.at;
        let pause = playback.idle_limit.map_or(pause, |limit| pause.min(limit));
        // A year is as good as for ever, and no arithmetic on times overflows.
        let pause = (pause.as_secs_f64() / playback.speed).min(31_536_000.0);
        due = due.saturating_add(Duration::from_secs_f64(pause)).min(Duration::from_secs(31_536_000));
        due
    });
    pauses.collect()
}

fn note(event: &TerminalEvent, played: &mut Played) {
    match &event.kind {
        TerminalEventKind::Gap(gap) => played.gaps.push((event.at, gap.reason.clone())),
        TerminalEventKind::Exit(status) => played.exit = Some(*status),
        TerminalEventKind::Output(_) | TerminalEventKind::ErrorOutput(_) | TerminalEventKind::Resize(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Playback = Playback { speed: 1e9, idle_limit: None, raw: false };

    fn at(seconds: u64, kind: TerminalEventKind) -> TerminalEvent {
        TerminalEvent { at: Micros::new(seconds * 1_000_000), kind }
    }

    #[test]
    fn pauses_are_shortened_and_sped_up() {
        let events = [0, 10, 11].map(|seconds| at(seconds, TerminalEventKind::Output(vec![])));
        let playback = Playback { speed: 2.0, idle_limit: Some(Duration::from_secs(4)), raw: false };
        assert_eq!(schedule(&events, playback), [0, 2000, 2500].map(Duration::from_millis));
        let last = [at(u64::MAX / 1_000_000, TerminalEventKind::Output(vec![]))];
        schedule(&last, Playback { speed: 1e-300, ..playback });
    }

    #[test]
    fn everything_is_shown_and_noted() {
        let events = [
            TerminalEvent::output(Micros::ZERO, "one\r\n"),
            at(5, TerminalEventKind::Resize(TerminalSize { columns: 10, rows: 3 })),
            TerminalEvent::gap(Micros::new(6_000_000), "spool was full", 7),
            TerminalEvent::output(Micros::new(7_000_000), "two\x1b[5n"),
            TerminalEvent::exit(Micros::new(8_000_000), recording::ExitStatus::Code(3)),
        ];
        let mut out = Vec::new();
        let painter = Painter::new(TerminalSize { columns: 20, rows: 5 }, None);
        let mut sink = PaintedSink { painter, out: &mut out, painted: String::new() };
        let played = run(&events, FAST, &Keyboard::take(false), &mut sink).unwrap();
        sink.leave().unwrap();
        assert_eq!(played.gaps, [(Micros::new(6_000_000), "spool was full".to_owned())]);
        assert_eq!(played.exit, Some(recording::ExitStatus::Code(3)));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("one") && text.contains("two") && !text.contains("[5n"), "{text:?}");
    }

    #[test]
    fn the_largest_size_counts_the_resizes() {
        let size = |columns, rows| TerminalSize { columns, rows };
        let resize = |seconds, columns, rows| at(seconds, TerminalEventKind::Resize(size(columns, rows)));
        assert_eq!(largest_size(size(80, 24), &[]), size(80, 24));
        assert_eq!(largest_size(size(80, 24), &[resize(1, 140, 20), resize(2, 60, 40)]), size(140, 40));
    }

    #[test]
    fn raw_is_what_was_recorded() {
        let events = [TerminalEvent::output(Micros::ZERO, vec![0x1b, b'[', b'5', b'n', 0xff])];
        let mut out = Vec::new();
        run(&events, FAST, &Keyboard::take(false), &mut RawSink { out: &mut out }).unwrap();
        assert_eq!(out, [0x1b, b'[', b'5', b'n', 0xff]);
    }
}
