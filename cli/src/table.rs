//! Tables for people: columns aligned by display width, cells sanitised.

use unicode_width::UnicodeWidthStr as _;

use recording::sanitise::sanitised;

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    heading: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new(heading: &'static [&'static str]) -> Self {
        Self { heading, rows: Vec::new() }
    }

    /// Adds a row. A cell that is missing is empty; cells beyond the heading are not shown.
    pub(crate) fn row<I: Into<String>>(&mut self, cells: impl IntoIterator<Item = I>) {
        let cells = cells.into_iter().map(|cell| sanitised(&cell.into()).into_owned());
        self.rows.push(cells.take(self.heading.len()).collect());
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The whole table, with a line feed after each line and no space at a line's end.
    pub(crate) fn to_text(&self) -> String {
        let mut widths: Vec<usize> = self.heading.iter().map(|name| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let mut text = String::new();
        write_row(&mut text, &widths, self.heading.iter().copied());
        for row in &self.rows {
            write_row(&mut text, &widths, row.iter().map(String::as_str));
        }
        text
    }
}

fn write_row<'a>(text: &mut String, widths: &[usize], cells: impl Iterator<Item = &'a str>) {
    let start = text.len();
    for (width, cell) in widths.iter().zip(cells) {
        if text.len() > start {
            text.push_str("  ");
        }
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width())));
    }
    text.truncate(start + text[start..].trim_end_matches(' ').len());
    text.push('\n');
}

/// Names and values below each other, for one thing.
pub(crate) fn facts<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let width = pairs.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        text.push_str(name);
        text.extend(std::iter::repeat_n(' ', width - name.width() + 2));
        text.push_str(&sanitised(&value));
        text.push('\n');
    }
    text
}

/// A length of time: `850 ms`, `12 s`, `3 min 05 s`, `2 h 03 min`.
pub(crate) fn readable_millis(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_by_what_a_terminal_shows() {
        let mut table = Table::new(&["NAME", "HOST", "X"]);
        table.row(["日本", "a\u{1b}[2J", "1"]);
        table.row(["plain", "b", "2"]);
        assert_eq!(table.to_text(), "NAME   HOST        X\n日本   a\\u{1b}[2J  1\nplain  b           2\n");
        assert!(!table.is_empty());
    }

    #[test]
    fn no_line_ends_in_a_space() {
        let mut table = Table::new(&["A", "B"]);
        table.row(["1", ""]);
        table.row(["1"]);
        assert_eq!(table.to_text(), "A  B\n1\n1\n");
    }

    #[test]
    fn times_are_readable() {
        for (millis, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (12_345, "12 s"),
            (185_000, "3 min 05 s"),
            (7_380_000, "2 h 03 min"),
        ] {
            assert_eq!(readable_millis(millis), text);
        }
    }
}
