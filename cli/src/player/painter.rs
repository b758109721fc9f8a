//! Shows a recording on a terminal without passing on its control sequences: the recording drives a terminal model, and
//! the model's screen is painted with text, colours and cursor moves alone (DECISIONS P1).
//!
//! Painted are: characters that [`is_unsafe`] lets pass, `CSI row;column H`, `CSI ... m`, and a line feed on the
//! lowest row, so that lines which scroll out of the recording scroll into the viewer's own history.

use std::fmt::Write as _;
use std::ops::Range;

use avt::{Color, Line, Observation, Observer, Pen, Terminal};
use recording::TerminalSize;
use unicode_width::UnicodeWidthChar as _;

use super::utf8::Utf8Stream;
use recording::sanitise::is_unsafe;

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
mod tests;
