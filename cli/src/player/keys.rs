//! What the viewer's keys mean.

use std::time::Duration;

/// How far an arrow goes.
const STEP: Duration = Duration::from_secs(5);

/// How far a page goes.
const PAGE: Duration = Duration::from_secs(60);

/// The most bytes of a control sequence that are kept. Those of keys are shorter.
const LONGEST_SEQUENCE: usize = 16;

/// What the viewer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Leave.
    Quit,
    /// Stop until the same is asked again.
    Pause,
    /// Go to another place.
    Seek(Seek),
    /// Stop, and show the next event.
    Step,
    /// Play twice as fast.
    Faster,
    /// Play half as fast.
    Slower,
    /// Show what the keys do, or no more.
    Help,
    /// Show the status line, or no more.
    StatusLine,
    /// A key that means nothing.
    Other,
}

/// Where to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seek {
    Back(Duration),
    Forward(Duration),
    /// This many tenths of the whole.
    Tenths(u32),
    End,
}

/// Bytes of a keyboard as requests. A sequence may arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Plain,
    Escape,
    /// A control sequence, `ESC [`, with its parameters so far.
    Sequence(Vec<u8>),
    /// A key of the application keypad, `ESC O`.
    Keypad,
}

impl Keys {
    /// What this byte completes.
    pub(super) fn read(&mut self, byte: u8) -> Option<Request> {
        match (std::mem::take(&mut self.state), byte) {
            (_, 0x1b) => {
                self.state = State::Escape;
                None
            }
            (State::Escape, b'[') => {
                self.state = State::Sequence(Vec::new());
                None
            }
            (State::Escape, b'O') => {
                self.state = State::Keypad;
                None
            }
            (State::Sequence(mut parameters), 0x20..=0x3f) => {
                if parameters.len() < LONGEST_SEQUENCE {
                    parameters.push(byte);
                }
                self.state = State::Sequence(parameters);
                None
            }
            (State::Sequence(parameters), 0x40..=0x7e) => Some(special(&parameters, byte)),
            (State::Keypad, 0x40..=0x7e) => Some(special(b"", byte)),
            // Escape by itself, before another key.
            (_, byte) => Some(plain(byte)),
        }
    }
}

fn plain(byte: u8) -> Request {
    match byte {
        b'q' | b'Q' | 0x03 | 0x04 => Request::Quit,
        b' ' | b'p' => Request::Pause,
        b'.' => Request::Step,
        b'+' | b'=' | b'>' => Request::Faster,
        b'-' | b'_' | b'<' => Request::Slower,
        b'?' | b'h' => Request::Help,
        b's' => Request::StatusLine,
        b'0'..=b'9' => Request::Seek(Seek::Tenths(u32::from(byte - b'0'))),
        _ => Request::Other,
    }
}

/// Keys that send a control sequence. Arrows with any modifier go as far as a page.
fn special(parameters: &[u8], last: u8) -> Request {
    let arrow = if parameters.contains(&b';') { PAGE } else { STEP };
    Request::Seek(match (last, parameters) {
        (b'C', _) => Seek::Forward(arrow),
        (b'D', _) => Seek::Back(arrow),
        (b'H', _) | (b'~', b"1" | b"7") => Seek::Tenths(0),
        (b'F', _) | (b'~', b"4" | b"8") => Seek::End,
        (b'~', b"5") => Seek::Back(PAGE),
        (b'~', b"6") => Seek::Forward(PAGE),
        _ => return Request::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(bytes: &[u8]) -> Vec<Request> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.read(*byte)).collect()
    }

    #[test]
    fn keys_are_read_whole() {
        use Request::{Faster, Help, Other, Pause, Quit, Seek as To, Slower, StatusLine, Step};
        assert_eq!(requests(b" .+<?sx"), [Pause, Step, Faster, Slower, Help, StatusLine, Other]);
        for leaving in [&b"q"[..], b"\x03", b"\x04", b"\x1bq"] {
            assert_eq!(requests(leaving), [Quit], "{leaving:?}");
        }
        assert_eq!(
            requests(b"\x1b[C\x1b[D\x1bOC\x1b[1;2C\x1b[5~\x1b[6~"),
            [
                To(Seek::Forward(STEP)),
                To(Seek::Back(STEP)),
                To(Seek::Forward(STEP)),
                To(Seek::Forward(PAGE)),
                To(Seek::Back(PAGE)),
                To(Seek::Forward(PAGE)),
            ]
        );
        assert_eq!(
            requests(b"\x1b[H\x1b[1~0\x1b[F\x1b[4~3"),
            [
                To(Seek::Tenths(0)),
                To(Seek::Tenths(0)),
                To(Seek::Tenths(0)),
                To(Seek::End),
                To(Seek::End),
                To(Seek::Tenths(3))
            ]
        );
    }

    #[test]
    fn a_sequence_without_meaning_is_one_key() {
        assert_eq!(requests(b"\x1b[200~\x1b[A\x1b[Z"), [Request::Other; 3]);
        let long = [b"\x1b[".as_slice(), &[b'1'; 1000], b"mq"].concat();
        assert_eq!(requests(&long), [Request::Other, Request::Quit]);
    }
}
