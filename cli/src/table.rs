//! Tables for people: columns aligned by display width, cells sanitised.

use std::borrow::Cow;
use std::time::Duration;

use domain::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use recording::sanitise::sanitised;

/// The columns of a terminal between two columns of a table.
const GAP: usize = 2;

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new(heading: &'static [&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. A cell that is missing is empty; cells beyond the heading are not shown.
    pub(crate) fn row<I: Into<String>>(&mut self, cells: impl IntoIterator<Item = I>) {
        let cells = cells.into_iter().map(|cell| sanitised(&cell.into()).into_owned());
        self.rows.push(cells.take(self.heading.len()).collect());
    }

    /// The table without those of these columns that say nothing in any row: their cells are empty, or `-`.
    pub(crate) fn without_silent(self, columns: &[&str]) -> Self {
        let is_silent = |at: usize| {
            self.rows.iter().all(|row| row.get(at).is_none_or(|cell| matches!(cell.as_str(), "" | "-")))
        };
        let silent = |at: &usize| columns.contains(&self.heading[*at]) && is_silent(*at);
        let left_out: Vec<_> = (0..self.heading.len()).filter(silent).map(|at| self.heading[at]).collect();
        self.without(&left_out)
    }

    /// The table without these columns.
    pub(crate) fn without(mut self, columns: &[&str]) -> Self {
        let kept: Vec<usize> =
            (0..self.heading.len()).filter(|at| !columns.contains(&self.heading[*at])).collect();
        self.heading = kept.iter().map(|at| self.heading[*at]).collect();
        for row in &mut self.rows {
            *row = kept.iter().filter_map(|at| row.get_mut(*at).map(std::mem::take)).collect();
        }
        self
    }

    /// Whether it has this column.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.heading.contains(&column)
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The whole table, with a line feed after each line and no space at a line's end.
    pub(crate) fn to_text(&self) -> String {
        self.with_widths(&self.widths())
    }

    /// The same in so many columns of a terminal: where it is wider, the widest of the columns named here give way, none
    /// further than to the width beside its name. What is cut ends in `…`.
    pub(crate) fn to_text_within(&self, columns: usize, yielding: &[(&str, usize)]) -> String {
        let mut widths = self.widths();
        let least =
            |at: usize| yielding.iter().find(|(name, _)| *name == self.heading[at]).map(|(_, least)| *least);
        while widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) > columns {
            let wide = (0..widths.len()).filter(|at| least(*at).is_some_and(|least| widths[*at] > least));
            let Some(widest) = wide.max_by_key(|at| widths[*at]) else { break };
            widths[widest] -= 1;
        }
        self.with_widths(&widths)
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heading.iter().map(|name| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        widths
    }

    fn with_widths(&self, widths: &[usize]) -> String {
        let mut text = String::new();
        write_row(&mut text, widths, self.heading.iter().copied());
        for row in &self.rows {
            write_row(&mut text, widths, row.iter().map(String::as_str));
        }
        text
    }
}

fn write_row<'a>(text: &mut String, widths: &[usize], cells: impl Iterator<Item = &'a str>) {
    let start = text.len();
    for (width, cell) in widths.iter().zip(cells) {
        if text.len() > start {
            text.extend(std::iter::repeat_n(' ', GAP));
        }
        let cell = cut(cell, *width);
        text.push_str(&cell);
        text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width())));
    }
    text.truncate(start + text[start..].trim_end_matches(' ').len());
    text.push('\n');
}

/// As much of a cell as so many columns of a terminal show.
fn cut(cell: &str, width: usize) -> Cow<'_, str> {
    if cell.width() <= width {
        return cell.into();
    }
    let mut shown = String::new();
    for character in cell.chars() {
        shown.push(character);
        // One column is for the mark.
        if shown.width() >= width {
            shown.pop();
            break;
        }
    }
    format!("{}…", shown.trim_end_matches(' ')).into()
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

/// A length of time in a column: `0:12`, `3:05`, `12:13:20`.
pub(crate) fn clock_length(millis: i64) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    }
}

/// A time of the API in a column: `11-30 03:05` in the year before `now`, and else the day. What is no time stays as it is.
pub(crate) fn short_time(text: &str, now: Timestamp) -> String {
    const RECENT: Duration = Duration::from_secs(300 * 86_400);
    let (Ok(at), Some((day, time))) = (Timestamp::parse_rfc3339(text), text.split_once('T')) else {
        return text.to_owned();
    };
    if at >= now.minus(RECENT) && at <= now.plus(RECENT) {
        format!("{} {}", &day[5..], &time[..5])
    } else {
        day.to_owned()
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
    fn a_column_that_says_nothing_can_be_left_out() {
        let table = || {
            let mut table = Table::new(&["NAME", "MISSING", "WAITING"]);
            table.row(["a", "-", ""]);
            table.row(["b", "-"]);
            table
        };
        assert_eq!(table().without_silent(&["MISSING", "WAITING"]).to_text(), "NAME\na\nb\n");
        let mut speaking = table();
        speaking.row(["c", "-", "3"]);
        assert_eq!(
            speaking.without_silent(&["MISSING", "WAITING"]).to_text(),
            "NAME  WAITING\na\nb\nc     3\n"
        );
    }

    #[test]
    fn the_widest_columns_give_way_down_to_their_least_width() {
        let mut table = Table::new(&["TOKEN", "REASON", "NAME"]);
        table.row(["12345678", "a long reason of many words", "日本日本"]);
        let text = table.to_text_within(28, &[("REASON", 6), ("NAME", 6)]);
        assert_eq!(text, "TOKEN     REASON    NAME\n12345678  a long…   日本日本\n");
        let text = table.to_text_within(1, &[("REASON", 6), ("NAME", 5)]);
        assert_eq!(text, "TOKEN     REASON  NAME\n12345678  a lon…  日本…\n");
        assert_eq!(table.to_text_within(80, &[("REASON", 6)]), table.to_text());
    }

    #[test]
    fn columns_of_times_are_narrow() {
        for (millis, text) in [(-1, "0:00"), (12_345, "0:12"), (185_000, "3:05"), (44_000_000, "12:13:20")] {
            assert_eq!(clock_length(millis), text);
        }
        let now = Timestamp::parse_rfc3339("2026-11-30T12:00:00Z").unwrap();
        for (text, short) in [
            ("2026-11-30T03:05:59Z", "11-30 03:05"),
            ("2026-11-30T03:05:59.123Z", "11-30 03:05"),
            ("2023-04-10T12:41:28Z", "2023-04-10"),
            ("Z", "Z"),
        ] {
            assert_eq!(short_time(text, now), short);
        }
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
