//! One event of a log as one line, for terminals and files. Agents, callers and recorded people supply much of the text.

use std::ffi::OsStr;

use crate::sanitise::sanitised;

/// Whether the lines of a log have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// The time is dim, and the level has its colour.
    Quiet,
    /// None.
    None,
}

impl Colours {
    /// The colours of a log, by whether it goes to a terminal and by the values of the variables `NO_COLOR`
    /// (no-color.org) and `TERM`.
    #[must_use]
    pub fn of(terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> Self {
        let unwanted =
            no_color.is_some_and(|value| !value.is_empty()) || term.is_some_and(|term| term == "dumb");
        if terminal && !unwanted { Self::Quiet } else { Self::None }
    }
}

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// The text of one event, as `TIME LEVEL TEXT`, on one line that ends with a line feed. What could drive a terminal is
/// shown instead, a line feed that somebody supplied too. Only this function's own escape sequences are in the line:
/// it colours what it has made harmless, and never the other way round.
#[must_use]
pub fn log_line(event: &str, colours: Colours) -> String {
    let line = sanitised(event.strip_suffix('\n').unwrap_or(event));
    match (colours, parts(&line)) {
        (Colours::Quiet, Some((time, level, text))) => {
            let level = match level.trim() {
                "ERROR" => format!("{RED}{level}{PLAIN}"),
                "WARN" => format!("{YELLOW}{level}{PLAIN}"),
                _ => format!("{DIM}{level}{PLAIN}"),
            };
            format!("{DIM}{time}{PLAIN} {level} {text}\n")
        }
        _ => [&*line, "\n"].concat(),
    }
}

/// Whether an event, as `TIME LEVEL TEXT`, is a warning or an error.
#[must_use]
pub fn is_warning(event: &str) -> bool {
    parts(event).is_some_and(|(_, level, _)| matches!(level.trim(), "WARN" | "ERROR"))
}

/// The time, the level with the spaces before it, and the text.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let level = rest.len() - rest.trim_start().len();
    let level = level + rest[level..].find(' ')?;
    Some((time, &rest[..level], &rest[level + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sanitise::is_unsafe;

    #[test]
    fn the_time_is_dim_and_a_warning_has_a_colour() {
        let line = log_line("2026-11-30T05:14:54Z  WARN agent: said: a\nb\u{1b}[2J\n", Colours::Quiet);
        assert_eq!(
            line,
            "\x1b[2m2026-11-30T05:14:54Z\x1b[0m \x1b[33m WARN\x1b[0m agent: said: a\\nb\\u{1b}[2J\n"
        );
        assert_eq!(
            log_line("2026-11-30T05:14:54Z  INFO it runs\n", Colours::None),
            "2026-11-30T05:14:54Z  INFO it runs\n"
        );
        for (event, expected) in
            [("T  WARN x", true), ("T ERROR x", true), ("T  INFO WARN x", false), ("WARN", false)]
        {
            assert_eq!(is_warning(event), expected, "{event}");
        }
    }

    #[test]
    fn colours_are_for_terminals_whose_user_wants_them() {
        let of = |terminal, no_color: Option<&str>, term: Option<&str>| {
            Colours::of(terminal, no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert_eq!(of(true, None, Some("xterm")), Colours::Quiet);
        assert_eq!(of(true, Some(""), None), Colours::Quiet);
        for (terminal, no_color, term) in
            [(false, None, None), (true, Some("1"), None), (true, None, Some("dumb"))]
        {
            assert_eq!(of(terminal, no_color, term), Colours::None);
        }
    }

    proptest! {
        #[test]
        fn no_text_drives_the_terminal(text in any::<String>()) {
            let ours = [DIM, RED, YELLOW, PLAIN];
            let mut line = log_line(&format!("T  INFO {text}"), Colours::Quiet);
            prop_assert_eq!(line.pop(), Some('\n'));
            for sequence in ours {
                line = line.replace(sequence, "");
            }
            prop_assert!(!line.chars().any(is_unsafe), "{:?}", line);
        }
    }
}
