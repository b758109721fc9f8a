//! What a session prints, as it may be shown on the terminal of somebody who watches: text, colours and movements of the
//! cursor. Whatever else terminals obey is left out: they would answer some of it, as if the watcher had typed, and by
//! some of it a session could write to the watcher's clipboard or title.

use std::fmt::Write as _;
use std::mem::take;

use recording::sanitise::is_unsafe;

/// The longest control sequence that is passed on.
const LONGEST_SEQUENCE_BYTES: usize = 64;
/// The ends of the control sequences that move the cursor, erase, insert, scroll or colour. None is answered.
const HARMLESS_ENDS: &[u8] = b"ABCDEFGHJKLMPSTX@dfmr`";
/// As after a session: all lines scroll, no colours, a new line.
const AT_THE_END: &str = "\u{1b}[r\u{1b}[m\r\n";

/// Goes through the output of a session, however that is cut into pieces.
#[derive(Debug, Default)]
pub(super) struct SafeOutput {
    state: State,
    /// The bytes of a character that is not whole yet.
    character: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// Behind an escape character.
    Escape,
    /// Behind an escape character and others that say what the last one means, such as a character set's.
    Intermediate,
    /// In a control sequence; nothing if it is left out.
    Sequence(Option<String>),
    /// In a text for the terminal (a title, a clipboard), which is left out.
    TerminalText,
    /// There, behind an escape character, which may end it.
    TerminalTextEscape,
}

impl SafeOutput {
    /// What is shown of these bytes.
    pub(super) fn show(&mut self, bytes: &[u8]) -> String {
        let mut shown = String::with_capacity(bytes.len());
        for byte in bytes {
            self.take(*byte, &mut shown);
        }
        shown
    }

    /// What is shown when nothing more comes.
    pub(super) fn end(&mut self) -> String {
        let mut shown = String::new();
        self.break_character(&mut shown);
        shown.push_str(AT_THE_END);
        shown
    }

    fn take(&mut self, byte: u8, shown: &mut String) {
        match &mut self.state {
            State::Text => self.text(byte, shown),
            State::Escape => {
                self.state = match byte {
                    b'[' => State::Sequence(Some(String::new())),
                    b']' | b'P' | b'X' | b'^' | b'_' => State::TerminalText,
                    b' '..=b'/' => State::Intermediate,
                    0x1b => State::Escape,
                    // Remember and restore the place of the cursor, move it by a line.
                    b'7' | b'8' | b'D' | b'E' | b'M' => {
                        shown.push('\u{1b}');
                        shown.push(char::from(byte));
                        State::Text
                    }
                    _ => State::Text,
                };
            }
            State::Intermediate => match byte {
                0x1b => self.state = State::Escape,
                b' '..=b'/' => {}
                _ => self.state = State::Text,
            },
            State::Sequence(parameters) => match byte {
                0x1b => self.state = State::Escape,
                // Such as a line feed: terminals obey it within the sequence.
                0..=0x1f => {
                    let sequence = take(&mut self.state);
                    self.text(byte, shown);
                    self.state = sequence;
                }
                b'0'..=b'9' | b';' | b':' => {
                    match parameters {
                        Some(known) if known.len() < LONGEST_SEQUENCE_BYTES => known.push(char::from(byte)),
                        _ => *parameters = None,
                    };
                }
                // What is not of the standard, or means something else.
                b' '..=b'?' => *parameters = None,
                0x40..=0x7e => {
                    if let Some(parameters) = parameters.as_ref().filter(|_| HARMLESS_ENDS.contains(&byte)) {
                        shown.push_str("\u{1b}[");
                        shown.push_str(parameters);
                        shown.push(char::from(byte));
                    }
                    self.state = State::Text;
                }
                0x7f..=0xff => self.state = State::Text,
            },
            State::TerminalText => match byte {
                0x07 | 0x18 | 0x1a => self.state = State::Text,
                0x1b => self.state = State::TerminalTextEscape,
                _ => {}
            },
            State::TerminalTextEscape => {
                self.state = State::Escape;
                // The end of the text, or another sequence.
                if byte == b'\\' { self.state = State::Text } else { self.take(byte, shown) }
            }
        }
    }

    fn text(&mut self, byte: u8, shown: &mut String) {
        if !self.character.is_empty() {
            if matches!(byte, 0x80..=0xbf) {
                self.character.push(byte);
                match str::from_utf8(&self.character) {
                    Ok(text) => {
                        text.chars().for_each(|character| show_character(character, shown));
                        self.character.clear();
                    }
                    // More is to come.
                    Err(error) if error.error_len().is_none() => {}
                    Err(_) => self.break_character(shown),
                }
                return;
            }
            self.break_character(shown);
        }
        match byte {
            0x1b => self.state = State::Escape,
            b'\n' | b'\r' | b'\t' | 0x08 => shown.push(char::from(byte)),
            // The bell, and what changes character sets, is silent.
            0..=0x1f | 0x7f => {}
            b' '..=b'~' => shown.push(char::from(byte)),
            0xc2..=0xf4 => self.character.push(byte),
            _ => shown.push(char::REPLACEMENT_CHARACTER),
        }
    }

    fn break_character(&mut self, shown: &mut String) {
        if !take(&mut self.character).is_empty() {
            shown.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

fn show_character(character: char, shown: &mut String) {
    if is_unsafe(character) {
        // Writing to a string cannot fail.
        let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
    } else {
        shown.push(character);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(bytes: &[u8]) -> String {
        SafeOutput::default().show(bytes)
    }

    #[test]
    fn text_colours_and_movements_pass() {
        for passes in [
            "plain äöü 日本\r\n\tx\u{8}",
            "\u{1b}[1;31mred\u{1b}[m",
            "\u{1b}[2J\u{1b}[10;20Hx\u{1b}[K\u{1b}M",
        ] {
            assert_eq!(shown(passes.as_bytes()), passes);
        }
    }

    #[test]
    fn whatever_else_a_terminal_obeys_is_left_out() {
        for left_out in [
            "\u{1b}[6n",
            "\u{1b}[c",
            "\u{1b}[>c",
            "\u{1b}[21t",
            "\u{1b}[?1000h",
            "\u{1b}[>4;2m",
            "\u{1b}[!p",
            "\u{1b}[1 q",
            "\u{1b}c",
            "\u{1b}(0",
            "\u{1b}Z",
            "\u{1b}]52;c;aGk=\u{7}",
            "\u{1b}]0;title\u{1b}\\",
            "\u{1b}P$qm\u{1b}\\",
            "\u{1b}_x\u{1b}\\",
            "\u{7}\u{e}\u{f}\u{5}",
        ] {
            assert_eq!(shown(format!("a{left_out}b").as_bytes()), "ab", "{left_out:?}");
        }
        assert_eq!(shown("x\u{9b}6ny\u{202e}z".as_bytes()), "x\\u{9b}6ny\\u{202e}z");
        assert_eq!(shown(b"x\x9b6n\xffy\xc3"), "x\u{fffd}6n\u{fffd}y");
        assert_eq!(shown(format!("\u{1b}[{}m.", "1;".repeat(100)).as_bytes()), ".");
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_it_is_cut(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            let at = at.min(bytes.len());
            let mut cut = SafeOutput::default();
            let pieces = [cut.show(&bytes[..at]), cut.show(&bytes[at..]), cut.end()].concat();
            let mut whole = SafeOutput::default();
            prop_assert_eq!(pieces, [whole.show(&bytes), whole.end()].concat());
        }

        /// Escape characters stand only before what is named here.
        #[test]
        fn only_harmless_sequences_pass(pieces in proptest::collection::vec("\u{1b}|\\[|\\]|[0-9;?>]|[a-zA-Z]|\\PC", 0..100)) {
            let shown = shown(pieces.concat().as_bytes());
            for sequence in shown.split('\u{1b}').skip(1) {
                let harmless = match sequence.strip_prefix('[') {
                    Some(rest) => {
                        let end = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, ';' | ':'));
                        end.bytes().next().is_some_and(|end| HARMLESS_ENDS.contains(&end))
                    }
                    None => sequence.starts_with(['7', '8', 'D', 'E', 'M']),
                };
                prop_assert!(harmless, "{:?}", sequence);
            }
        }
    }
}
