//! Rows about recordings that are no longer in the database, read from this store's exported files: whether a recording is
//! missing must not depend on how long rows are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sea_orm::ConnectionTrait;

use super::Inner;
use super::audit_export::locked;
use super::blocking::blocking;
use crate::StoreError;
use crate::audit::chain::ChainedEvent;
use crate::audit::days::Day;
use crate::audit::line::ExportedLine;
use crate::audit::log::LINE_LIMIT;
use crate::audit::ranges::Ranges;
use crate::rows::audit_export_rows::{ExportedRange, LineKind};
use crate::rows::audit_recording_rows::is_about_recordings;
use crate::rows::{audit_export_rows, audit_pruned_rows};

const BATCH: u64 = 1_000;

/// Rows about recordings, of a file of this length.
type OfFile = (u64, Arc<Vec<ChainedEvent>>);

/// What was read of the files of days, because nearly none of them changes any more.
#[derive(Debug, Default)]
pub(super) struct ReadDays(Mutex<BTreeMap<Day, OfFile>>);

/// The rows about recordings that were pruned.
#[derive(Debug, Default)]
pub(super) struct PrunedTrail {
    days: Vec<Arc<Vec<ChainedEvent>>>,
    pruned: BTreeMap<String, u64>,
    /// Whether some of them are in files that are not at hand.
    pub(super) is_partly_elsewhere: bool,
}

impl PrunedTrail {
    pub(super) fn rows(&self) -> impl Iterator<Item = &ChainedEvent> {
        let is_pruned =
            |row: &&ChainedEvent| self.pruned.get(&row.writer_id).is_some_and(|last| row.sequence <= *last);
        self.days.iter().flat_map(|day| day.iter()).filter(is_pruned)
    }
}

impl Inner {
    /// The rows about recordings that were pruned before the moment of this connection.
    pub(super) async fn pruned_about_recordings(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<PrunedTrail, StoreError> {
        let mut trail =
            PrunedTrail { pruned: audit_pruned_rows::all(connection).await?, ..PrunedTrail::default() };
        if trail.pruned.is_empty() {
            return Ok(trail);
        }
        let Some(log) = self.exports.log.get() else {
            trail.is_partly_elsewhere = true;
            return Ok(trail);
        };
        let (folder, origin) = locked(log, |log| (log.folder().to_owned(), log.origin().to_owned()));
        let (mut days, mut held) = (BTreeSet::new(), BTreeMap::<String, Ranges>::new());
        let mut last: Option<ExportedRange> = None;
        loop {
            let page = audit_export_rows::of_origin(connection, &origin, last.as_ref(), BATCH).await?;
            let Some(newest) = page.last() else { break };
            last = Some(newest.clone());
            for range in page.into_iter().filter(|range| range.kind == LineKind::Event) {
                if trail.pruned.get(&range.writer_id).is_some_and(|pruned| range.first <= *pruned) {
                    held.entry(range.writer_id).or_default().add_range(range.first, range.last);
                    days.insert(range.day);
                }
            }
        }
        let nothing = Ranges::default();
        let is_here = |(writer_id, pruned): (&String, &u64)| {
            held.get(writer_id).unwrap_or(&nothing).missing(1, *pruned).is_empty()
        };
        trail.is_partly_elsewhere = !trail.pruned.iter().all(is_here);
        for day in days {
            let known = self.exports.read_days.of(&day);
            let file = folder.join(day.file_name());
            match blocking(move || read_again(&file, known)).await? {
                Ok(read) => {
                    trail.days.push(Arc::clone(&read.1));
                    self.exports.read_days.keep(day, read);
                }
                Err(error) => {
                    let file = day.file_name();
                    tracing::warn!(file, %error, "an audit file with rows that were pruned cannot be read");
                    trail.is_partly_elsewhere = true;
                }
            }
        }
        Ok(trail)
    }
}

impl ReadDays {
    fn of(&self, day: &Day) -> Option<OfFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(day).cloned()
    }

    fn keep(&self, day: Day, read: OfFile) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(day, read);
    }
}

/// Reads a file, unless it is as long as it was. A line that is none of an audit log says nothing here: `hansard audit
/// verify` reports it.
fn read_again(file: &Path, known: Option<OfFile>) -> io::Result<OfFile> {
    let file = File::open(file)?;
    let length = file.metadata()?.len();
    if let Some(known) = known.filter(|(known, _)| *known == length) {
        return Ok(known);
    }
    let mut reader = BufReader::with_capacity(1 << 16, file.take(length));
    let (mut rows, mut text) = (Vec::new(), Vec::new());
    loop {
        text.clear();
        if reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut text)? == 0 {
            return Ok((length, Arc::new(rows)));
        }
        if let Some(ExportedLine::Event(event)) = ExportedLine::parse(&text)
            && is_about_recordings(&event)
        {
            rows.push(event);
        }
    }
}
