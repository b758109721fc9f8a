//! The status line and the help.

use std::time::Duration;

use recording::sanitise::sanitised;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::table::clock_length;

/// What the keys do.
pub(super) const HELP: [&str; 12] = [
    "                                                ",
    "  space            pause, and go on             ",
    "  left, right      5 seconds back or forward    ",
    "  page up, down    a minute back or forward     ",
    "  0 to 9           to so many tenths            ",
    "  home, end        to the start or the end      ",
    "  .                stop, and to the next event  ",
    "  < >  or  - +     half or twice as fast        ",
    "  s                without a status line        ",
    "  ?                this help                    ",
    "  q, Ctrl-C        leave                        ",
    "                                                ",
];

/// A part of the line is cut only where so many columns of it can be seen.
const FEWEST: usize = 12;

/// Whether and how it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Playing,
    Paused,
    /// Paused, and there is nothing behind it.
    AtTheEnd,
    /// What has arrived is shown, and more may come.
    Waiting,
    /// On the way to another place.
    Seeking,
}

/// What the status line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Status<'a> {
    pub(super) mark: Mark,
    pub(super) position: Duration,
    pub(super) length: Duration,
    /// Whether the recording is longer than what is here.
    pub(super) goes_on: bool,
    pub(super) speed: f64,
    /// The beginning of its token.
    pub(super) name: &'a str,
    /// What else there is to know.
    pub(super) notes: [Option<&'a str>; 2],
}

impl Status<'_> {
    /// The line: as many of its parts as fit, the more important ones first.
    pub(super) fn line(&self, columns: usize) -> String {
        let mark = match self.mark {
            Mark::Playing => "playing",
            Mark::Paused => "PAUSED",
            Mark::AtTheEnd => "PAUSED at the end",
            Mark::Waiting => "waiting for more",
            Mark::Seeking => "seeking",
        };
        let (position, length) = (clock(self.position.min(self.length)), clock(self.length));
        let goes_on = if self.goes_on { " so far" } else { "" };
        let mut line = format!(" {mark}");
        let parts = [
            format!("{position} / {length}{goes_on}"),
            format!("{}x", (self.speed * 10_000.0).round() / 10_000.0),
        ];
        let notes = self.notes.iter().flatten().map(|note| sanitised(note).into_owned());
        let parts = parts.into_iter().chain(notes).chain([self.name.to_owned(), "? help".to_owned()]);
        for part in parts {
            let room = columns.saturating_sub(line.width() + 2);
            if part.width() > room && room < FEWEST {
                break;
            }
            line.push_str("  ");
            line.push_str(&cut(&part, room));
        }
        line
    }
}

/// As much of a text as fits, with a mark where it is cut.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut shown = String::new();
    for character in text.chars() {
        if shown.width() + character.width().unwrap_or(0) + 1 > columns {
            break;
        }
        shown.push(character);
    }
    shown + "…"
}

fn clock(time: Duration) -> String {
    clock_length(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: Status<'_> = Status {
        mark: Mark::Playing,
        position: Duration::from_secs(12),
        length: Duration::from_secs(185),
        goes_on: false,
        speed: 1.0,
        name: "5f0c6de1",
        notes: [None, None],
    };

    #[test]
    fn the_line_has_what_fits() {
        assert_eq!(STATUS.line(80), " playing  0:12 / 3:05  1x  5f0c6de1  ? help");
        assert_eq!(STATUS.line(28), " playing  0:12 / 3:05  1x");
        assert_eq!(STATUS.line(4), " playing");
        let lost = Status { notes: [Some("no answer from http://127.0.0.1:8080: refused"), None], ..STATUS };
        assert_eq!(lost.line(48), " playing  0:12 / 3:05  1x  no answer from http:…");
        let other = Status { mark: Mark::Paused, speed: 0.5, notes: [Some("a\u{1b}b"), Some("c")], ..STATUS };
        assert_eq!(other.line(80), " PAUSED  0:12 / 3:05  0.5x  a\\u{1b}b  c  5f0c6de1  ? help");
        let live = Status { mark: Mark::Waiting, position: Duration::MAX, goes_on: true, ..STATUS };
        assert_eq!(live.line(80), " waiting for more  3:05 / 3:05 so far  1x  5f0c6de1  ? help");
        assert_eq!(Status { mark: Mark::AtTheEnd, ..STATUS }.line(20), " PAUSED at the end");
    }

    #[test]
    fn the_help_is_a_block() {
        assert!(HELP.iter().all(|line| line.width() == HELP[0].width()));
    }
}
