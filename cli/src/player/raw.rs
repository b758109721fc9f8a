//! Recorded bytes that drive the viewer's terminal as they are, and what puts the terminal right behind them.

/// Ends whatever is unfinished and switches off every mode that recorded bytes may have switched on. A terminal passes
/// over what it does not know. The cursor stays where it is.
const MODES_OFF: &str = concat!(
    "\x18\x1b\\",       // what is unfinished: a control sequence, a string
    "\x1b[?2026l",      // synchronized output
    "\x1b7\x1b[?1049l", // the alternate screen; whichever screen it is, the cursor is then where it was saved
    "\x1b[?5;9;12;45;66;69;1000;1001;1002;1003;1004;1005;1006;1015;1016;2004;2027;2031;2048l",
    // above: reverse video, mouse (9 to 1016, with 1004, focus), the cursor's blinking, reverse wrap, keypad, side margins,
    // paste, grapheme clusters, reports of the colour scheme and of the window's size
    "\x1b[?5W",                                                 // tab stops
    "\x1b7\x1b[?6l\x1b[r\x1b8",                                 // the scroll region, which moves the cursor
    "\x1b[!p",                      // DECSTR, which also switches the saved origin off
    "\x1b[?1l\x1b>",                // cursor keys and keypad
    "\x1b[?7;25h",                  // wrapping, the cursor
    "\x1b[0 q",                     // the cursor's shape
    "\x1b[2;4;20l",                 // locked keyboard, insertion, line feeds that return
    "\x1b(B\x1b)B\x1b*B\x1b+B\x0f", // character sets
    "\x1b[>4m",                     // modified keys
    "\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\", // colours of the palette, of text, ground and cursor
    "\x1b]8;;\x1b\\\x1b[0m",                                    // links and pens
);

/// Empties the stack of keyboard modes of the screen that is shown, and switches them off.
const KEYBOARD_OFF: &str = "\x1b[<99u\x1b[=0u";

/// Saves the titles of the window and the icon.
const SAVE_TITLE: &str = "\x1b[22;0t";

/// Restores the titles that were saved last.
const RESTORE_TITLE: &str = "\x1b[23;0t";

/// The most saved titles of a terminal.
const MOST_TITLES: u32 = 10;

/// What is noted of control sequences, to be taken back: others are taken back in any case.
#[derive(Debug, Default)]
pub(super) struct Stacks {
    state: State,
    titles: u32,
    keyboard: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Plain,
    Escape,
    Sequence(Vec<u8>),
}

impl Stacks {
    /// What to write before the first recorded byte.
    pub(super) fn before() -> &'static str {
        SAVE_TITLE
    }

    /// Notes recorded bytes.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = match (std::mem::take(&mut self.state), *byte) {
                (_, 0x1b) => State::Escape,
                (State::Escape, b'[') => State::Sequence(Vec::new()),
                (State::Sequence(mut parameters), byte @ 0x20..=0x3f) => {
                    if parameters.len() < 16 {
                        parameters.push(byte);
                    }
                    State::Sequence(parameters)
                }
                (State::Sequence(parameters), last) => {
                    self.sequence(&parameters, last);
                    State::Plain
                }
                _ => State::Plain,
            };
        }
    }

    fn sequence(&mut self, parameters: &[u8], last: u8) {
        match (last, parameters) {
            (b't', [b'2', b'2', ..]) => self.titles = (self.titles + 1).min(MOST_TITLES),
            (b't', [b'2', b'3', ..]) => self.titles = self.titles.saturating_sub(1),
            (b'u', [b'>' | b'=', ..]) => self.keyboard = true,
            _ => {}
        }
    }

    /// What to write after the last recorded byte.
    pub(super) fn after(&self) -> String {
        // Each screen has a stack of its own.
        let keyboard = if self.keyboard { KEYBOARD_OFF } else { "" };
        let (screen, main) = MODES_OFF.split_once("\x1b7\x1b[?1049l").unwrap_or((MODES_OFF, ""));
        let titles = RESTORE_TITLE.repeat(self.titles as usize + 1);
        format!("{screen}{keyboard}\x1b7\x1b[?1049l{keyboard}{main}{titles}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(recorded: &[u8]) -> String {
        let mut stacks = Stacks::default();
        // However it is split.
        for byte in recorded {
            stacks.note(&[*byte]);
        }
        stacks.after()
    }

    #[test]
    fn what_was_put_on_stacks_is_taken_off() {
        let titles = |recorded: &[u8]| after(recorded).matches(RESTORE_TITLE).count();
        assert_eq!(titles(b"text"), 1);
        assert_eq!(titles(b"\x1b[22;0t\x1b[22t\x1b[23t"), 2);
        assert_eq!(titles(b"\x1b[23t"), 1);
        assert_eq!(titles(&b"\x1b[22t".repeat(1000)), 11);
        assert_eq!(after(b"\x1b[<u\x1b[?u").matches(KEYBOARD_OFF).count(), 0, "nothing was put on it");
        assert_eq!(after(b"\x1b[>1u").matches(KEYBOARD_OFF).count(), 2, "on either screen");
    }

    #[test]
    fn a_terminal_is_as_it_was() {
        // Each of them ends with a word, at whose end the cursor must stay.
        for recorded in [
            "end",
            "\x1b[?1049h\x1b[5;5Halt",
            "\x1b[3;10r\x1b[?6h\x1b[2;3Hend",
            "\x1b[?25l\x1b[?1h\x1b[4h\x1b[20h\x1b(0\x1b[1;31mend",
            "\x0eend\x1b]0;unfinished",
            "end\x1b[3",
            "\x1b[?7l\x1bPqend",
        ] {
            let mut viewer = avt::Terminal::new(40, 12).unwrap();
            viewer.feed("before\r\n");
            let mut main = avt::Terminal::new(40, 12).unwrap();
            main.feed("before\r\n");
            if !recorded.contains("1049") {
                viewer.feed(recorded);
                main.feed("\x1b[0m");
            } else {
                viewer.feed(recorded);
            }
            let cursor = viewer.cursor();
            let is_alternate = recorded.contains("1049");
            viewer.feed(after(recorded.as_bytes()).as_str());
            let expected = if is_alternate { (0, 1) } else { (cursor.col, cursor.row) };
            assert_eq!(viewer.cursor().position(), Some(expected), "{recorded:?}");
            // Whatever is written from here on looks as in a new terminal.
            let (sequence, (columns, rows)) = (viewer.dump(), viewer.size());
            let mut seen = avt::Terminal::new(columns, rows).unwrap();
            seen.feed(sequence.as_str());
            for terminal in [&mut viewer, &mut seen] {
                terminal.feed("\x1b[H\x1b[Jq`\n\n\n\n\n\n\n\n\n\n\nx");
            }
            let mut fresh = avt::Terminal::new(columns, rows).unwrap();
            fresh.feed("q`\n\n\n\n\n\n\n\n\n\n\nx");
            let lines = |terminal: &avt::Terminal| -> Vec<Vec<avt::Cell>> {
                terminal.screen().visible_lines().map(|line| line.cells().to_vec()).collect()
            };
            assert_eq!(lines(&viewer), lines(&fresh), "{recorded:?}");
            assert_eq!(lines(&seen), lines(&fresh), "{recorded:?}");
            assert!(!viewer.cursor_key_app_mode(), "{recorded:?}");
        }
    }

    #[test]
    fn every_mode_that_was_asked_for_is_switched_off() {
        for mode in [1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2027, 2031, 2048] {
            let off: Vec<&str> = MODES_OFF
                .split("\x1b[?")
                .filter_map(|part| part.split_once('l'))
                .map(|(modes, _)| modes)
                .collect();
            assert!(off.iter().any(|modes| modes.split(';').any(|off| off == mode.to_string())), "{mode}");
        }
        // Each by itself, too: not every terminal knows DECSTR.
        for off in ["\x1b[?2026l", "\x1b[0 q", "\x1b[r", "\x1b[!p", "\x1b[?1l\x1b>", "\x1b[?7;25h", "\x1b[0m"]
        {
            assert!(MODES_OFF.contains(off), "{off:?}");
        }
    }
}
