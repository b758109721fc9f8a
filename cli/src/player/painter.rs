//! Shows a recording on a terminal without passing on its control sequences: the recording drives a terminal model, and
//! the model's screen is painted with text, colours and cursor moves alone (DECISIONS P1).
//!
//! Painted are: characters that [`is_unsafe`] lets pass, `CSI row;column H`, `CSI column G`, `CSI ... m`, and a line feed
//! on the lowest row, so that lines which scroll out of the recording scroll into the viewer's own history.

use std::fmt::Write as _;

use avt::{Cell, Color, Pen};
use recording::TerminalSize;
use recording::sanitise::is_unsafe;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::clusters::Clusters;
use super::screen::{Screen, Snapshot};

/// The bytes that a painted cell takes, about.
const BYTES_A_CELL: usize = 2;

/// What the viewer's terminal shows: a part of the recorded screen, and below it perhaps a status line.
pub(super) struct Painter {
    screen: Screen,
    /// The viewer's terminal; without one, the model's own size.
    view: Option<TerminalSize>,
    /// The model's row at the top of the view.
    top: usize,
    everything: bool,
    /// The line on the lowest row of the viewer's terminal.
    status: Option<String>,
    /// What lies over the screen.
    overlay: &'static [&'static str],
}

impl Painter {
    /// A model of the recording's first size, for a viewer's terminal of this size.
    pub(super) fn new(size: TerminalSize, view: Option<TerminalSize>) -> Self {
        let mut screen = Screen::new(size);
        screen.keep_columns(columns_of(view));
        Self { screen, view, top: 0, everything: true, status: None, overlay: &[] }
    }

    /// Gives the model output.
    pub(super) fn output(&mut self, bytes: &[u8]) {
        self.screen.output(bytes);
    }

    /// Changes the model's size.
    pub(super) fn resize(&mut self, size: TerminalSize) {
        self.screen.resize(size);
        self.everything = true;
    }

    /// The viewer's terminal has another size now.
    pub(super) fn view_resized(&mut self, view: Option<TerminalSize>) {
        self.view = view;
        self.screen.keep_columns(columns_of(view));
        self.everything = true;
    }

    /// Shows this line below the screen, or gives its row to the screen.
    pub(super) fn set_status(&mut self, status: Option<String>) {
        self.everything |= status.is_some() != self.status.is_some();
        self.status = status;
    }

    /// Shows these lines over the screen, or what is behind them.
    pub(super) fn set_overlay(&mut self, overlay: &'static [&'static str]) {
        self.everything |= overlay.len() != self.overlay.len();
        self.overlay = overlay;
    }

    /// How much waits to be painted, in bytes of lines that have scrolled out.
    pub(super) fn backlog(&self) -> usize {
        self.screen.kept() * BYTES_A_CELL
    }

    /// Whether output only leads to another place, and what scrolls out meanwhile is not shown.
    pub(super) fn skip(&mut self, skipping: bool) {
        self.screen.skip(skipping);
        self.everything = true;
    }

    /// The recorded screen as it is, where it can be kept.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        self.screen.snapshot()
    }

    /// Goes back to how the recorded screen was.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) {
        self.screen.restore(snapshot);
        self.everything = true;
    }

    /// Paints what has changed since the last time.
    pub(super) fn paint(&mut self, out: &mut String) {
        let (columns, lowest) = self.view_size();
        let rows = self.rows();
        let (model_columns, model_rows) = self.screen.size();
        let cursor = self.screen.cursor();
        // The smallest move that brings the cursor into the view.
        let top = self.top.min(model_rows.saturating_sub(rows)).min(cursor.row);
        let top = top.max((cursor.row + 1).saturating_sub(rows));
        if top != self.top || self.screen.has_scrolled() {
            self.top = top;
            self.everything = true;
        }
        let everything = std::mem::take(&mut self.everything);
        let painted_columns = if everything { columns } else { columns.min(model_columns) };
        let changed: Vec<bool> = (0..rows).map(|row| everything || self.screen.is_dirty(top + row)).collect();
        let scrolled = self.screen.take_changes();
        let clusters = self.screen.clusters();
        // Every row moves up; those of the screen and the status line are painted below.
        let scroll = |out: &mut String| {
            move_to(out, lowest - 1, 0);
            out.push('\n');
        };
        for line in &scrolled.lines {
            move_to(out, 0, 0);
            paint_line(out, Some(line), columns, columns, clusters);
            scroll(out);
        }
        if scrolled.left_out > 0 {
            let text = format!("[{} more lines scrolled by at once and are not shown]", scrolled.left_out);
            move_to(out, 0, 0);
            push_fitting(out, &text, columns);
            scroll(out);
        }
        let lines = self.screen.lines_from(top).map(|line| Some(line.cells())).chain(std::iter::repeat(None));
        for ((row, changed), line) in changed.iter().enumerate().zip(lines) {
            if *changed {
                move_to(out, row, 0);
                paint_line(out, line, painted_columns, columns, clusters);
            }
        }
        paint_overlay(out, self.overlay, columns, rows);
        if let (Some(status), true) = (&self.status, rows < lowest) {
            move_to(out, lowest - 1, 0);
            out.push_str("\x1b[0;7m");
            push_fitting(out, status, columns);
            out.push_str("\x1b[0m");
        }
        move_to(out, cursor.row.saturating_sub(top).min(rows - 1), cursor.col.min(columns - 1));
    }

    /// Leaves the view: the viewer's next line stands below what was painted.
    pub(super) fn leave(&mut self, out: &mut String) {
        if self.status.is_some() || !self.overlay.is_empty() {
            self.set_overlay(&[]);
            let rows = self.rows();
            let (columns, lowest) = self.view_size();
            self.paint(out);
            if rows < lowest {
                move_to(out, lowest - 1, 0);
                out.extend(std::iter::repeat_n(' ', columns));
            }
        }
        move_to(out, self.rows().min(self.screen.size().1) - 1, 0);
        out.push_str("\x1b[0m\n");
    }

    /// The view's columns and rows, at least one of each.
    fn view_size(&self) -> (usize, usize) {
        match self.view {
            Some(view) => (usize::from(view.columns.max(1)), usize::from(view.rows.max(1))),
            None => self.screen.size(),
        }
    }

    /// The rows that show the recorded screen.
    fn rows(&self) -> usize {
        let (_, rows) = self.view_size();
        if self.status.is_some() && self.view.is_some() && rows > 1 { rows - 1 } else { rows }
    }
}

fn move_to(out: &mut String, row: usize, column: usize) {
    write!(out, "\x1b[{};{}H", row + 1, column + 1).expect("writing to a string cannot fail");
}

fn move_to_column(out: &mut String, column: usize) {
    write!(out, "\x1b[{}G", column + 1).expect("writing to a string cannot fail");
}

/// Writes as much of a text of ours as fits, and blanks.
fn push_fitting(out: &mut String, text: &str, columns: usize) {
    let mut column = 0;
    for character in text.chars() {
        let shown = if is_unsafe(character) { char::REPLACEMENT_CHARACTER } else { character };
        let width = shown.width().unwrap_or(0);
        if column + width > columns {
            break;
        }
        out.push(shown);
        column += width;
    }
    out.extend(std::iter::repeat_n(' ', columns - column));
}

/// Paints lines of ours in the middle of the view.
fn paint_overlay(out: &mut String, lines: &[&str], columns: usize, rows: usize) {
    let width = lines.iter().map(|line| line.width()).max().unwrap_or(0).min(columns);
    let first = rows.saturating_sub(lines.len()) / 2;
    for (row, line) in (first..rows).zip(lines) {
        move_to(out, row, (columns - width) / 2);
        out.push_str("\x1b[0;7m");
        push_fitting(out, line, width);
        out.push_str("\x1b[0m");
    }
}

/// Paints a line from its first column and fills up to `columns` with blanks, on a terminal that has `edge` columns.
/// How many columns of a line are of interest.
fn columns_of(view: Option<TerminalSize>) -> usize {
    view.map_or(usize::MAX, |view| view.columns.into())
}

fn paint_line(out: &mut String, line: Option<&[Cell]>, columns: usize, edge: usize, clusters: &Clusters) {
    let plain = Pen::default();
    let mut pen = plain;
    let mut column = 0;
    let mut cells = line.unwrap_or_default().iter().peekable();
    while let Some(cell) = cells.next() {
        let width = usize::from(cell.width());
        if width == 0 {
            continue; // the right half of a wide character
        }
        if column + width > columns {
            break;
        }
        if *cell.pen() != pen {
            pen = *cell.pen();
            out.push_str(&pen_sequence(&pen));
        }
        match clusters.text(cell.char()) {
            None => paint_character(out, cell.char(), width),
            Some(cluster) => {
                // Some terminals give two columns to what an emoji selector follows. Where the next is blank, it is painted
                // first, so that they show the whole of it.
                let is_blank = cells
                    .next_if(|next| {
                        width == 1
                            && column + 2 <= columns
                            && cluster.contains('\u{fe0f}')
                            && next.char() == ' '
                            && *next.pen() == pen
                    })
                    .is_some();
                if is_blank {
                    out.push_str("  ");
                    move_to_column(out, column);
                }
                if width == 1 && column + 1 == edge {
                    out.push_str(&cluster.replace('\u{fe0f}', ""));
                } else {
                    out.push_str(cluster);
                }
                column += usize::from(is_blank);
                // Terminals do not agree on the width of clusters.
                if column + width < edge {
                    move_to_column(out, column + width);
                }
            }
        }
        column += width;
    }
    if pen != plain {
        out.push_str("\x1b[0m");
    }
    out.extend(std::iter::repeat_n(' ', columns - column));
}

/// Paints one character so that it takes exactly the cells that the model gave it.
fn paint_character(out: &mut String, character: char, width: usize) {
    let shown = if is_unsafe(character) { char::REPLACEMENT_CHARACTER } else { character };
    out.push(shown);
    let taken = shown.width().unwrap_or(0);
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(taken)));
}

/// The sequence that chooses a pen, whichever was chosen before.
pub(super) fn pen_sequence(pen: &Pen) -> String {
    let mut out = String::from("\x1b[0");
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
    set_color(&mut out, pen.foreground(), 30);
    set_color(&mut out, pen.background(), 40);
    out.push('m');
    out
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
