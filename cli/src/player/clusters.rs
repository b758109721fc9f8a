//! Characters that share a cell: one that takes cells, and marks that take none and join it.
//!
//! A cell of the terminal model holds one character. So a cell with marks holds a character that stands for it, from
//! ranges in which nothing is assigned: it has the cell's width, and the table knows what it stands for.

use std::collections::HashMap;

use unicode_width::UnicodeWidthChar as _;

/// The most characters in a cell. Further marks would only draw over other lines.
const MOST_CHARACTERS: usize = 16;

/// What stands for clusters of one column: the second area for private use.
const NARROW: (u32, u32) = (0x10_0000, 0x10_fffd);

/// What stands for clusters of two columns: the end of a plane that is reserved for wide characters.
const WIDE: (u32, u32) = (0x3_8000, 0x3_fffd);

/// The clusters of a recording, and what stands for them.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    stand_ins: HashMap<String, char>,
    narrow: Vec<String>,
    wide: Vec<String>,
}

impl Clusters {
    /// Whether a character may stand for others. One that was recorded must be stood for itself.
    pub(super) fn is_stand_in(character: char) -> bool {
        let code = u32::from(character);
        [NARROW, WIDE].iter().any(|(first, last)| (*first..=*last).contains(&code))
    }

    /// What the character in a cell stands for, if it does.
    pub(super) fn text(&self, character: char) -> Option<&str> {
        let code = u32::from(character);
        let (clusters, first) = match code {
            _ if (NARROW.0..=NARROW.1).contains(&code) => (&self.narrow, NARROW.0),
            _ if (WIDE.0..=WIDE.1).contains(&code) => (&self.wide, WIDE.0),
            _ => return None,
        };
        clusters.get(usize::try_from(code - first).ok()?).map(String::as_str)
    }

    /// What stands for a recorded character that could be taken for a stand-in.
    pub(super) fn alone(&mut self, character: char) -> Option<char> {
        self.stand_in(character.to_string(), character.width() == Some(2))
    }

    /// What stands for the character of a cell with one more mark; `None` where there is no room for it.
    pub(super) fn joined(&mut self, cell: char, is_wide: bool, mark: char) -> Option<char> {
        let mut cluster = self.text(cell).map_or_else(|| cell.to_string(), str::to_owned);
        if cluster.chars().count() >= MOST_CHARACTERS {
            return None;
        }
        cluster.push(mark);
        self.stand_in(cluster, is_wide)
    }

    fn stand_in(&mut self, cluster: String, is_wide: bool) -> Option<char> {
        if let Some(known) = self.stand_ins.get(&cluster) {
            return Some(*known);
        }
        let (clusters, (first, last)) =
            if is_wide { (&mut self.wide, WIDE) } else { (&mut self.narrow, NARROW) };
        let code = first + u32::try_from(clusters.len()).ok()?;
        let stand_in = char::from_u32(code).filter(|_| code <= last)?;
        clusters.push(cluster.clone());
        self.stand_ins.insert(cluster, stand_in);
        Some(stand_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_others_is_as_wide_as_they_are() {
        for ((first, last), width) in [(NARROW, 1), (WIDE, 2)] {
            for code in first..=last {
                let character = char::from_u32(code).unwrap();
                assert_eq!(character.width(), Some(width), "{code:x}");
                assert!(Clusters::is_stand_in(character));
            }
        }
        assert!(!Clusters::is_stand_in('日') && !Clusters::is_stand_in('\u{f0001}'));
    }

    #[test]
    fn a_cell_takes_some_marks_and_no_more() {
        let mut clusters = Clusters::default();
        let once = clusters.joined('e', false, '\u{301}').unwrap();
        assert_eq!(clusters.text(once), Some("e\u{301}"));
        assert_eq!(clusters.joined('e', false, '\u{301}'), Some(once));
        let mut cell = once;
        while let Some(more) = clusters.joined(cell, false, '\u{302}') {
            cell = more;
        }
        assert_eq!(clusters.text(cell).unwrap().chars().count(), MOST_CHARACTERS);
        assert_eq!(clusters.text('e'), None);
    }

    #[test]
    fn there_is_an_end_to_what_a_recording_can_claim() {
        let mut clusters = Clusters::default();
        let made = (0..u32::from(u16::MAX) * 2)
            .filter(|number| clusters.stand_in(number.to_string(), true).is_some())
            .count();
        assert_eq!(made, (WIDE.1 - WIDE.0 + 1) as usize);
    }
}
