//! The recorded terminal: a model that output drives, with what the model itself does not know, marks that share a cell
//! with another character.

use std::ops::Range;

use avt::parser::{AnsiMode, Function, State};
use avt::{Cell, Cursor, Line, Observation, Observer, Parser, Pen, Terminal};
use recording::TerminalSize;
use recording::sanitise::is_unsafe;
use unicode_width::UnicodeWidthChar as _;

use super::clusters::Clusters;
use super::painter::pen_sequence;
use super::utf8::Utf8Stream;

/// The most columns or rows of a model, and the most cells. A recording may claim 65535 columns and rows, which would
/// fill the memory.
const MOST_A_SIDE: u16 = 4096;
const MOST_CELLS: usize = 1_000_000;

/// The most cells that are kept of lines that have scrolled out, a line counted as two more. A few bytes of a hostile
/// recording let thousands of full lines scroll.
const MOST_KEPT: usize = 2_000_000;
const CELLS_OF_A_LINE: usize = 2;

/// The recorded terminal.
pub(super) struct Screen {
    model: Terminal,
    parser: Parser,
    text: Utf8Stream,
    clusters: Clusters,
    /// Whether what is printed moves what stands behind it.
    inserting: bool,
    changes: Changes,
}

/// What the last steps of the model changed.
#[derive(Default)]
struct Changes {
    dirty: Vec<bool>,
    scrolled: Scrolled,
    /// How many columns of lines that have left the model are of interest.
    columns: usize,
    /// Whether lines that have left the model are of no interest.
    skipping: bool,
}

/// Lines that have left the screen, the first one first.
#[derive(Default)]
pub(super) struct Scrolled {
    /// Their cells, without blank ones at the end.
    pub(super) lines: Vec<Vec<Cell>>,
    /// How many more there were, behind these.
    pub(super) left_out: usize,
    kept: usize,
}

impl Scrolled {
    fn push(&mut self, cells: &[Cell]) {
        let is_blank = |cell: &Cell| cell.char() == ' ' && *cell.pen() == Pen::default();
        let end = cells.iter().rposition(|cell| !is_blank(cell)).map_or(0, |last| last + 1);
        let kept = self.kept + end + CELLS_OF_A_LINE;
        if self.left_out > 0 || kept > MOST_KEPT {
            self.left_out += 1;
        } else {
            self.kept = kept;
            self.lines.push(cells[..end].to_vec());
        }
    }
}

impl Observer for &mut Changes {
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
        if !self.skipping {
            let cells = line.cells();
            self.scrolled.push(&cells[..cells.len().min(self.columns)]);
        }
    }

    fn end(&mut self, _context: &mut Observation<'_>) {}
}

/// A screen at one moment, from which playing can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    columns: usize,
    rows: usize,
    sequence: String,
    inserting: bool,
}

impl Snapshot {
    /// How much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.sequence.len()
    }
}

impl Screen {
    /// A blank screen of a recorded size.
    pub(super) fn new(size: TerminalSize) -> Self {
        let size = within_limits(size);
        let (columns, rows) = (size.columns.into(), size.rows.into());
        Self {
            model: blank(columns, rows),
            parser: Parser::new(),
            text: Utf8Stream::default(),
            clusters: Clusters::default(),
            inserting: false,
            changes: Changes { dirty: vec![true; rows], columns: usize::MAX, ..Changes::default() },
        }
    }

    /// Gives the terminal output.
    pub(super) fn output(&mut self, bytes: &[u8]) {
        let text = self.text.decode(bytes);
        let mut rest = text.as_str();
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| is_special(*character)) {
            self.run(&rest[..at]);
            // In a control sequence they are part of it.
            if self.parser.state == State::Ground {
                self.special(character);
            } else {
                self.run(character.encode_utf8(&mut [0; 4]));
            }
            rest = &rest[at + character.len_utf8()..];
        }
        self.run(rest);
    }

    /// Changes the terminal's size.
    pub(super) fn resize(&mut self, size: TerminalSize) {
        let size = within_limits(size);
        self.model.resize_with(size.columns.into(), size.rows.into(), &mut self.changes);
        self.changes.dirty.resize(self.model.size().1, true);
    }

    /// Characters that each take cells, and control sequences.
    fn run(&mut self, text: &str) {
        let Self { model, parser, inserting, changes, .. } = self;
        let functions = text.chars().filter_map(|character| {
            let function = parser.feed(character)?;
            match &function {
                Function::Sm(modes) if modes.as_slice().contains(&AnsiMode::Insert) => *inserting = true,
                Function::Rm(modes) if modes.as_slice().contains(&AnsiMode::Insert) => *inserting = false,
                Function::Decstr | Function::Ris => *inserting = false,
                _ => {}
            }
            Some(function)
        });
        model.execute_with(functions, changes);
    }

    /// A character that takes no cell, or that could be taken for a stand-in.
    fn special(&mut self, character: char) {
        if Clusters::is_stand_in(character) {
            let shown = self.clusters.alone(character).unwrap_or(char::REPLACEMENT_CHARACTER);
            self.model.execute_with(Function::Print(shown), &mut self.changes);
        } else if !is_unsafe(character) {
            self.join(character);
        }
    }

    /// Adds a mark to the cell before the cursor. Without such a cell it is not shown, as in other terminals.
    fn join(&mut self, mark: char) {
        let cursor = self.model.cursor();
        let Some(line) = self.model.screen().line(cursor.row) else { return };
        let cells = line.cells();
        let Some(mut column) = cursor.col.min(cells.len()).checked_sub(1) else { return };
        if cells[column].width() == 0 && column > 0 {
            column -= 1; // the left half of a wide character
        }
        let (pen, before, is_wide) = (*cells[column].pen(), cells[column].char(), cells[column].width() == 2);
        if is_unsafe(before) {
            return;
        }
        let Some(stand_in) = self.clusters.joined(before, is_wide, mark) else { return };
        // The cell is printed anew, which brings the cursor back to where it was. Whatever is printed has the pen of now.
        let mode = |set| if self.inserting { format!("\x1b[4{set}") } else { String::new() };
        let print = format!("\x1b[{}G{stand_in}", column + 1);
        let (begin, end) = (mode('l'), mode('h'));
        self.execute(&format!("{begin}{print}{end}"));
        let pen_of_now = self.pen_at(cursor.row, column);
        if pen_of_now != pen {
            let (own, back) = (pen_sequence(&pen), pen_sequence(&pen_of_now));
            self.execute(&format!("{begin}{own}{print}{back}{end}"));
        }
    }

    fn pen_at(&self, row: usize, column: usize) -> Pen {
        let cell = self.model.screen().line(row).and_then(|line| line.cells().get(column));
        cell.map_or_else(Pen::default, |cell| *cell.pen())
    }

    /// Control sequences of our own, beside what the recording has begun.
    fn execute(&mut self, sequence: &str) {
        let mut parser = Parser::new();
        let functions = sequence.chars().filter_map(|character| parser.feed(character));
        self.model.execute_with(functions, &mut self.changes);
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        self.model.size()
    }

    pub(super) fn cursor(&self) -> Cursor {
        self.model.cursor()
    }

    /// The lines from this row on.
    pub(super) fn lines_from(&self, row: usize) -> impl Iterator<Item = &Line> {
        self.model.screen().visible_lines().skip(row)
    }

    /// The characters that share cells.
    pub(super) fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// Whether a row has changed since [`Screen::take_changes`] was called last.
    pub(super) fn is_dirty(&self, row: usize) -> bool {
        self.changes.dirty.get(row).copied().unwrap_or(false)
    }

    /// Whether lines have left the screen since then.
    pub(super) fn has_scrolled(&self) -> bool {
        !self.changes.scrolled.lines.is_empty() || self.changes.scrolled.left_out > 0
    }

    /// How many cells of them are kept.
    pub(super) fn kept(&self) -> usize {
        self.changes.scrolled.kept
    }

    /// Keeps only so many columns of lines that leave the screen.
    pub(super) fn keep_columns(&mut self, columns: usize) {
        self.changes.columns = columns;
    }

    /// Lets rows count as unchanged, and gives the lines that have left the screen.
    pub(super) fn take_changes(&mut self) -> Scrolled {
        self.changes.dirty.fill(false);
        std::mem::take(&mut self.changes.scrolled)
    }

    /// Whether lines that leave the screen are of no interest, because playing goes to another place.
    pub(super) fn skip(&mut self, skipping: bool) {
        self.changes.skipping = skipping;
    }

    /// The screen as it is, unless the recording is in the middle of a character or of a control sequence.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let (columns, rows) = self.model.size();
        (self.parser.state == State::Ground && self.text.is_whole()).then(|| Snapshot {
            columns,
            rows,
            sequence: self.model.dump(),
            inserting: self.inserting,
        })
    }

    /// Goes back to how it was. A snapshot of this screen stays valid, since what stands for clusters stays.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) {
        self.model = blank(snapshot.columns, snapshot.rows);
        self.model.feed(snapshot.sequence.as_str());
        self.parser = Parser::new();
        self.text = Utf8Stream::default();
        self.inserting = snapshot.inserting;
        self.changes.dirty = vec![true; snapshot.rows];
        self.changes.scrolled = Scrolled::default();
    }
}

fn blank(columns: usize, rows: usize) -> Terminal {
    Terminal::new(columns, rows).expect("a size within the limits has a column and a row")
}

/// Whether a character is none that simply takes cells, or drives the model.
fn is_special(character: char) -> bool {
    // A terminal passes over DEL. Of what is below the soft hyphen, everything else takes a cell or drives the model.
    character == '\u{7f}'
        || character >= '\u{ad}'
            && (character.width() == Some(0) || is_unsafe(character) || Clusters::is_stand_in(character))
}

/// The size of the model for a recorded size.
pub(super) fn within_limits(size: TerminalSize) -> TerminalSize {
    let columns = size.columns.clamp(1, MOST_A_SIDE);
    let most_rows = u16::try_from(MOST_CELLS / usize::from(columns)).unwrap_or(u16::MAX);
    TerminalSize { columns, rows: size.rows.clamp(1, most_rows.min(MOST_A_SIDE)) }
}

#[cfg(test)]
mod tests;
