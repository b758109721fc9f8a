//! What must be known of exported rows before they are removed from the database: that the files hold each of them, and
//! that they form the chain up to a place for which a signed anchor vouches.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use super::chain::{Link, next_link};
use super::days::Day;
use super::line::ExportedLine;
use super::log::LINE_LIMIT;

/// The rows of a writer that are looked for in the files: those after one link of its chain, through another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) after: Link,
    pub(crate) last: Link,
}

/// The first and the last row of a stretch that each day's file holds.
pub(crate) type OfDays = BTreeMap<Day, (u64, u64)>;

/// What the files hold of a stretch.
#[derive(Debug)]
pub(crate) struct Held {
    reached: Link,
    last: Link,
    /// Why the rows after `reached` do not count.
    fault: Option<String>,
    pub(crate) of_days: OfDays,
}

impl Held {
    fn of(stretch: Stretch) -> Self {
        Self { reached: stretch.after, last: stretch.last, fault: None, of_days: BTreeMap::new() }
    }

    /// What is wrong, if the files do not hold the whole stretch.
    pub(crate) fn fault(&self) -> Option<String> {
        match &self.fault {
            Some(fault) => Some(fault.clone()),
            None if self.reached == self.last => None,
            None if self.reached.sequence == self.last.sequence => {
                Some(format!("the files hold another row {} than the anchors speak of", self.last.sequence))
            }
            None => Some(format!("row {} is in no file", self.reached.sequence + 1)),
        }
    }

    fn is_settled(&self) -> bool {
        self.fault.is_some() || self.reached.sequence >= self.last.sequence
    }
}

/// Reads files in the order of their names until they were found to hold each stretch, or not to.
///
/// # Errors
/// A file cannot be read, or a line is none of an audit log; the error names the file.
pub(crate) fn look_in_files(
    files: &[PathBuf],
    stretches: &BTreeMap<String, Stretch>,
) -> io::Result<BTreeMap<String, Held>> {
    let mut held: BTreeMap<String, Held> =
        stretches.iter().map(|(writer_id, stretch)| (writer_id.clone(), Held::of(*stretch))).collect();
    for (place, file) in files.iter().enumerate() {
        if held.values().all(Held::is_settled) {
            break;
        }
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        let Some(day) = file.file_name().and_then(|name| Day::of_file(name.to_str()?)) else { continue };
        read_file(File::open(file).map_err(named)?, place + 1 == files.len(), &day, &mut held)
            .map_err(named)?;
    }
    Ok(held)
}

/// The links of these rows, one of each writer, as far as files hold them. Lines that are none of an audit log are left
/// out: that check is another one's.
///
/// # Errors
/// A file cannot be read; the error names it.
pub(crate) fn links_in_files(
    files: &[PathBuf],
    places: &BTreeMap<String, u64>,
) -> io::Result<BTreeMap<String, Link>> {
    let mut links = BTreeMap::new();
    let mut text = Vec::new();
    for file in files {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        let mut reader = BufReader::with_capacity(1 << 16, File::open(file).map_err(named)?);
        loop {
            if links.len() == places.len() {
                return Ok(links);
            }
            text.clear();
            if reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut text).map_err(named)? == 0 {
                break;
            }
            if let Some(ExportedLine::Event(event)) = ExportedLine::parse(&text)
                && places.get(&event.writer_id) == Some(&event.sequence)
                && let Some(link) = event.link()
            {
                links.entry(event.writer_id).or_insert(link);
            }
        }
    }
    Ok(links)
}

fn read_file(file: File, newest: bool, day: &Day, held: &mut BTreeMap<String, Held>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let read = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut text)?;
        // The newest line of the newest file may be in the making.
        if read == 0 || (newest && text.last() != Some(&b'\n')) {
            break;
        }
        let event = match ExportedLine::parse(&text) {
            Some(ExportedLine::Event(event)) => event,
            Some(ExportedLine::Anchor(_)) => continue,
            None => {
                let why = format!("line {number} is no whole line of an audit log");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        };
        let Some(of) = held.get_mut(&event.writer_id).filter(|of| !of.is_settled()) else { continue };
        if event.sequence <= of.reached.sequence {
            continue;
        }
        if event.sequence > of.reached.sequence + 1 {
            of.fault = Some(format!("row {} is in no file", of.reached.sequence + 1));
            continue;
        }
        let link = next_link(of.reached, &event.event);
        if event.link() != Some(link) {
            of.fault = Some(format!("row {} was changed in {}", link.sequence, day.file_name()));
            continue;
        }
        of.reached = link;
        of.of_days.entry(day.clone()).or_insert((link.sequence, link.sequence)).1 = link.sequence;
    }
    Ok(())
}
