//! Shows a recording on somebody's terminal without ever passing on what it holds: the recording drives a terminal
//! model, and what the model shows is painted with text, colours and cursor moves alone (DECISIONS P1).
//!
//! Painted are: characters that [`is_unsafe`] lets pass, `CSI row;column H`, `CSI ... m`, and a line feed on the
//! lowest row, so that lines which scroll out of the recording scroll into the viewer's own history.

use std::fmt::Write as _;
use std::ops::Range;

use avt::{Color, Line, Observation, Observer, Pen, Terminal};
use recording::TerminalSize;
use unicode_width::UnicodeWidthChar as _;

use super::utf8::Utf8Stream;
use crate::sanitise::is_unsafe;

/// The most columns and rows of a model. A recording may claim 65535 of each, which would fill the memory.
const MOST_CELLS_A_SIDE: u16 = 1000;

/// The terminal model and what of it is still to be painted.
pub(super) struct Painter {
    model: Terminal,
    text: Utf8Stream,
    /// The viewer's terminal; without one, the model's own size.
    view: Option<TerminalSize>,
    /// The model's row at the top of the view.
    top: usize,
    dirty: Vec<bool>,
    everything: bool,
    /// Painted lines that have left the model and not yet reached the viewer.
    scrolled: Vec<String>,
    scrolled_bytes: usize,
}

/// What one step of the model changed.
struct Changes<'a> {
    dirty: &'a mut Vec<bool>,
    scrolled: &'a mut Vec<String>,
    scrolled_bytes: &'a mut usize,
    columns: usize,
}

impl Observer for Changes<'_> {
    type Output = ();

    fn resized(&mut self, _columns: usize, rows: usize) {
        self.dirty.clear();
        self.dirty.resize(rows, true);
    }

    fn dirty(&mut self, rows: Range<usize>) {
        let end = rows.end.min(self.dirty.len());
        if let Some(rows) = self.dirty.get_mut(rows.start.min(end)..end) {
            rows.fill(true);
        }
    }

    fn evicted(&mut self, _context: &mut Observation<'_>, line: &Line) {
        let mut painted = String::new();
        paint_line(&mut painted, Some(line), self.columns);
        *self.scrolled_bytes += painted.len();
        self.scrolled.push(painted);
    }

    fn end(&mut self, _context: &mut Observation<'_>) {}
}

impl Painter {
    /// A model of the recording's first size, for a viewer's terminal of this size.
    pub(super) fn new(size: TerminalSize, view: Option<TerminalSize>) -> Self {
        let size = within_limits(size);
        let model = Terminal::new(size.columns.into(), size.rows.into())
            .expect("a size within the limits has a column and a row");
        Self {
            model,
            text: Utf8Stream::default(),
            view,
            top: 0,
            dirty: vec![true; size.rows.into()],
            everything: true,
            scrolled: Vec::new(),
            scrolled_bytes: 0,
        }
    }

    /// Gives the model output.
    pub(super) fn output(&mut self, bytes: &[u8]) {
        let text = self.text.decode(bytes);
        let (columns, _) = self.view_size();
        let changes = Changes {
            dirty: &mut self.dirty,
            scrolled: &mut self.scrolled,
            scrolled_bytes: &mut self.scrolled_bytes,
            columns,
        };
        self.model.feed_with(text.as_str(), changes);
    }

    /// Changes the model's size.
    pub(super) fn resize(&mut self, size: TerminalSize) {
        let size = within_limits(size);
        let (columns, _) = self.view_size();
        let changes = Changes {
            dirty: &mut self.dirty,
            scrolled: &mut self.scrolled,
            scrolled_bytes: &mut self.scrolled_bytes,
            columns,
        };
        self.model.resize_with(size.columns.into(), size.rows.into(), changes);
        self.dirty.resize(self.model.size().1, true);
        self.everything = true;
    }

    /// The viewer's terminal has another size now.
    pub(super) fn view_resized(&mut self, view: Option<TerminalSize>) {
        self.view = view;
        self.everything = true;
    }

    /// How much waits to be painted, in bytes of lines that have scrolled out.
    pub(super) fn backlog(&self) -> usize {
        self.scrolled_bytes
    }

    /// Paints what has changed since the last time.
    pub(super) fn paint(&mut self, out: &mut String) {
        let (columns, rows) = self.view_size();
        let (model_columns, model_rows) = self.model.size();
        let cursor = self.model.cursor();
        // The smallest move that brings the cursor into the view.
        let top = self.top.min(model_rows.saturating_sub(rows)).min(cursor.row);
        let top = top.max((cursor.row + 1).saturating_sub(rows));
        if top != self.top || !self.scrolled.is_empty() {
            self.top = top;
            self.everything = true;
        }
        for line in self.scrolled.drain(..) {
            move_to(out, 0, 0);
            out.push_str(&line);
            move_to(out, rows - 1, 0);
            out.push('\n');
        }
        self.scrolled_bytes = 0;
        let painted_columns = if self.everything { columns } else { columns.min(model_columns) };
        for (row, line) in (0..rows)
            .zip(self.model.screen().visible_lines().skip(top).map(Some).chain(std::iter::repeat(None)))
        {
            let changed = self.everything || self.dirty.get(top + row).copied().unwrap_or(false);
            if changed {
                move_to(out, row, 0);
                paint_line(out, line, painted_columns);
            }
        }
        self.dirty.fill(false);
        self.everything = false;
        move_to(out, cursor.row.saturating_sub(top).min(rows - 1), cursor.col.min(columns - 1));
    }

    /// Leaves the view: the viewer's next line stands below what was painted.
    pub(super) fn leave(&mut self, out: &mut String) {
        let (_, rows) = self.view_size();
        move_to(out, rows.min(self.model.size().1) - 1, 0);
        out.push_str("\x1b[0m\n");
    }

    /// The view's columns and rows, at least one of each.
    fn view_size(&self) -> (usize, usize) {
        match self.view {
            Some(view) => (usize::from(view.columns.max(1)), usize::from(view.rows.max(1))),
            None => self.model.size(),
        }
    }
}

fn within_limits(size: TerminalSize) -> TerminalSize {
    TerminalSize {
        columns: size.columns.clamp(1, MOST_CELLS_A_SIDE),
        rows: size.rows.clamp(1, MOST_CELLS_A_SIDE),
    }
}

fn move_to(out: &mut String, row: usize, column: usize) {
    write!(out, "\x1b[{};{}H", row + 1, column + 1).expect("writing to a string cannot fail");
}

/// Paints a line from its first column and fills up to `columns` with blanks.
fn paint_line(out: &mut String, line: Option<&Line>, columns: usize) {
    let plain = Pen::default();
    let mut pen = plain;
    let mut column = 0;
    for cell in line.map(Line::cells).unwrap_or_default() {
        let width = usize::from(cell.width());
        if width == 0 {
            continue; // the right half of a wide character
        }
        if column + width > columns {
            break;
        }
        if *cell.pen() != pen {
            pen = *cell.pen();
            set_pen(out, &pen);
        }
        paint_character(out, cell.char(), width);
        column += width;
    }
    if pen != plain {
        out.push_str("\x1b[0m");
    }
    out.extend(std::iter::repeat_n(' ', columns - column));
}

/// Paints one character so that it takes exactly the cells that the model gave it.
fn paint_character(out: &mut String, character: char, width: usize) {
    let shown = if is_unsafe(character) || matches!(character, '\u{fe00}'..='\u{fe0f}') {
        '\u{fffd}'
    } else {
        character
    };
    out.push(shown);
    // The model gives a combining character a cell of its own; on a terminal it takes none.
    let taken = shown.width().unwrap_or(0);
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(taken)));
}

fn set_pen(out: &mut String, pen: &Pen) {
    out.push_str("\x1b[0");
    for (set, code) in [
        (pen.is_bold(), 1),
        (pen.is_faint(), 2),
        (pen.is_italic(), 3),
        (pen.is_underline(), 4),
        (pen.is_blink(), 5),
        (pen.is_inverse(), 7),
        (pen.is_strikethrough(), 9),
    ] {
        if set {
            write!(out, ";{code}").expect("writing to a string cannot fail");
        }
    }
    set_color(out, pen.foreground(), 30);
    set_color(out, pen.background(), 40);
    out.push('m');
}

fn set_color(out: &mut String, color: Option<Color>, base: u16) {
    match color {
        None => Ok(()),
        Some(Color::Indexed(index @ 0..=7)) => write!(out, ";{}", base + u16::from(index)),
        Some(Color::Indexed(index @ 8..=15)) => write!(out, ";{}", base + 60 + u16::from(index - 8)),
        Some(Color::Indexed(index)) => write!(out, ";{};5;{index}", base + 8),
        Some(Color::RGB(rgb)) => write!(out, ";{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
    }
    .expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: TerminalSize = TerminalSize { columns: 20, rows: 5 };

    fn painted(painter: &mut Painter) -> String {
        let mut out = String::new();
        painter.paint(&mut out);
        out
    }

    /// Everything in `out` is what this module says it paints.
    fn only_what_is_allowed(out: &str) -> Result<(), String> {
        let mut characters = out.chars().peekable();
        while let Some(character) = characters.next() {
            if character == '\u{1b}' {
                if characters.next() != Some('[') {
                    return Err("an escape that is no CSI".into());
                }
                let last = characters.find(|c| !(c.is_ascii_digit() || *c == ';'));
                if !matches!(last, Some('H' | 'm')) {
                    return Err(format!("a CSI that ends in {last:?}"));
                }
            } else if character != '\n' && is_unsafe(character) {
                return Err(format!("{character:?}"));
            }
        }
        Ok(())
    }

    #[derive(Debug, Clone)]
    enum Step {
        Output(Vec<u8>),
        Resize(u16, u16),
        View(u16, u16),
        Paint,
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let sequence = prop_oneof![
            any::<Vec<u8>>(),
            "\\PC{0,30}".prop_map(String::into_bytes),
            "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{300}日é]{0,10}"
                .prop_map(String::into_bytes),
            "\u{1b}\\[[?>=0-9;:]{0,12}[@-~]".prop_map(String::into_bytes),
            "\u{1b}[\\]PX^_][ -~]{0,20}(\u{7}|\u{1b}\\\\)".prop_map(String::into_bytes),
            "\u{1b}[ -/]{0,2}[0-~]".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(sequence, 1..6).prop_map(|parts| parts.concat())
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => hostile().prop_map(Step::Output),
            1 => (0u16..300, 0u16..100).prop_map(|(c, r)| Step::Resize(c, r)),
            1 => (0u16..300, 0u16..100).prop_map(|(c, r)| Step::View(c, r)),
            3 => Just(Step::Paint),
        ]
    }

    /// The screen of a terminal that was given `out`.
    fn seen(out: &str, size: TerminalSize) -> Vec<String> {
        let mut viewer = Terminal::new(size.columns.into(), size.rows.into()).unwrap();
        viewer.feed(out);
        viewer.screen().visible_lines().map(Line::text).collect()
    }

    #[test]
    fn text_colours_and_places_arrive() {
        let mut painter = Painter::new(SIZE, None);
        painter.output(b"\x1b[31;1mred\x1b[0m plain\r\n\x1b[48;2;1;2;3mx\x1b]0;title\x07\x1b[6n");
        let out = painted(&mut painter);
        assert!(out.contains("\x1b[0;1;31mred\x1b[0m plain"), "{out:?}");
        assert!(out.contains("\x1b[0;48;2;1;2;3mx\x1b[0m"), "{out:?}");
        assert!(!out.contains("title") && !out.contains("[6n"), "{out:?}");
        assert!(out.ends_with("\x1b[2;2H"), "{out:?}");
        assert_eq!(seen(&out, SIZE)[..2], [format!("{:20}", "red plain"), format!("{:20}", "x")]);
        assert_eq!(painted(&mut painter), "\x1b[2;2H", "nothing changed, so only the cursor is placed");
    }

    #[test]
    fn lines_that_scroll_out_reach_the_viewers_history() {
        let mut painter = Painter::new(SIZE, None);
        let mut out = String::new();
        for number in 0..100 {
            painter.output(format!("line {number}\r\n").as_bytes());
        }
        painter.paint(&mut out);
        let mut viewer = Terminal::with_scrollback(20, 5, None).unwrap();
        viewer.feed(out.as_str());
        let text: Vec<String> = viewer.screen().all_lines().map(|l| l.text().trim_end().to_owned()).collect();
        for number in 0..100 {
            assert!(text.contains(&format!("line {number}")), "line {number} is missing");
        }
        assert_eq!(painter.backlog(), 0);
    }

    #[test]
    fn a_smaller_view_follows_the_cursor() {
        let view = TerminalSize { columns: 4, rows: 2 };
        let mut painter = Painter::new(SIZE, Some(view));
        painter.output("one\r\ntwo\r\nthree\r\n日本語".as_bytes());
        let out = painted(&mut painter);
        assert_eq!(seen(&out, view), ["thre", "日本"]);
        painter.output(b"\x1b[H");
        assert_eq!(seen(&painted(&mut painter), view), ["one ", "two "]);
    }

    #[test]
    fn a_claimed_size_cannot_fill_the_memory() {
        let mut painter = Painter::new(TerminalSize { columns: u16::MAX, rows: u16::MAX }, Some(SIZE));
        painter.resize(TerminalSize { columns: 0, rows: 0 });
        painter.resize(TerminalSize { columns: u16::MAX, rows: u16::MAX });
        assert_eq!(painter.model.size(), (1000, 1000));
        only_what_is_allowed(&painted(&mut painter)).unwrap();
    }

    #[test]
    fn a_cell_takes_its_width_whatever_stands_in_it() {
        let mut painter = Painter::new(SIZE, None);
        painter.output("e\u{301}x\u{202e}y\u{200b}z\u{fe0f}|".as_bytes());
        let out = painted(&mut painter);
        assert!(out.contains("e\u{301} x\u{fffd}y\u{fffd}z\u{fffd}|"), "{out:?}");
        only_what_is_allowed(&out).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn whatever_a_recording_holds_only_text_colours_and_moves_come_out(
            steps in proptest::collection::vec(step(), 0..20)
        ) {
            let mut painter = Painter::new(SIZE, Some(SIZE));
            let mut out = String::new();
            for step in steps {
                match step {
                    Step::Output(bytes) => painter.output(&bytes),
                    Step::Resize(columns, rows) => painter.resize(TerminalSize { columns, rows }),
                    Step::View(columns, rows) => painter.view_resized(Some(TerminalSize { columns, rows })),
                    Step::Paint => painter.paint(&mut out),
                }
            }
            painter.paint(&mut out);
            painter.leave(&mut out);
            prop_assert_eq!(only_what_is_allowed(&out), Ok(()));
        }

        #[test]
        fn the_viewer_sees_what_the_recorded_terminal_showed(
            pieces in proptest::collection::vec(
                prop_oneof![
                    "[ -~äö日\r\n\t\u{8}]{0,30}",
                    "\u{1b}\\[[0-9]{0,2}(;[0-9]{1,2})?[ABCDHJKLMPSTXdfm@]",
                    "\u{1b}(7|8|M|D|c|\\[\\?1049h|\\[\\?1049l)",
                ],
                0..30,
            )
        ) {
            let mut painter = Painter::new(SIZE, Some(SIZE));
            let mut viewer = Terminal::new(SIZE.columns.into(), SIZE.rows.into()).unwrap();
            for piece in pieces {
                painter.output(piece.as_bytes());
                viewer.feed(painted(&mut painter).as_str());
                let shown: Vec<_> = viewer.screen().visible_lines().map(Line::text).collect();
                let recorded: Vec<_> = painter.model.screen().visible_lines().map(Line::text).collect();
                prop_assert_eq!(shown, recorded);
            }
        }
    }
}
