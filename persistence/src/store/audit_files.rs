//! The comparison of what the database says was exported with the files that are there. It finds files that are gone or
//! have lost some of their lines, which the files alone cannot show.

use std::collections::{BTreeMap, BTreeSet};

use crate::pool::Reading;
use domain::Timestamp;

use super::Store;
use crate::StoreError;
use crate::audit::chain::Link;
use crate::audit::days::{ArchivedDays, Day, is_archived};
use crate::audit::ranges::Ranges;
use crate::audit::verify::{ANCHORED_WITHIN_MILLIS, AuditFault, CheckedFiles, Findings, Present};
use crate::rows::audit_export_rows::{ExportedRange, LineKind};
use crate::rows::audit_writer_rows::WriterExport;
use crate::rows::{audit_anchor_rows, audit_export_rows, audit_rows, audit_writer_rows};

const BATCH: u64 = 1_000;

/// What the database says was exported, read at one moment: everything that is read before the files must be in them.
#[derive(Debug, Default)]
pub struct AuditExports {
    writers: Vec<WriterExport>,
    /// What was written to which file, for each writer in its own folder.
    ranges: BTreeMap<(String, LineKind), Vec<ExportedRange>>,
}

/// What an operator says is not available.
#[derive(Debug, Clone, Copy, Default)]
pub struct PutAway<'a> {
    /// Days whose files were archived.
    pub archived: &'a [ArchivedDays],
    /// Ids of folders that are elsewhere, such as those of other replicas.
    pub elsewhere: &'a [String],
}

impl Store {
    /// Reads what was exported. To be called before the files are read.
    ///
    /// # Errors
    /// [`StoreError::CorruptRow`], [`StoreError::Unavailable`].
    pub async fn audit_exports(&self) -> Result<AuditExports, StoreError> {
        let snapshot = self.inner.connections.begin_snapshot().await?;
        let mut exports = AuditExports::default();
        let mut last = String::new();
        loop {
            let page = audit_writer_rows::exports_after(&snapshot, &last, BATCH).await?;
            let Some(newest) = page.last() else { break };
            last = newest.writer_id.clone();
            exports.writers.extend(page);
        }
        let origin_of: BTreeMap<&str, &str> = exports
            .writers
            .iter()
            .filter_map(|writer| Some((writer.writer_id.as_str(), writer.origin.as_deref()?)))
            .collect();
        let origins: BTreeSet<&str> = origin_of.values().copied().collect();
        for origin in origins {
            let mut last: Option<ExportedRange> = None;
            loop {
                let page = audit_export_rows::of_origin(&snapshot, origin, last.as_ref(), BATCH).await?;
                let Some(newest) = page.last() else { break };
                last = Some(newest.clone());
                for range in page {
                    // If a writer was exported again, its present folder counts.
                    if origin_of.get(range.writer_id.as_str()) == Some(&origin) {
                        let key = (range.writer_id.clone(), range.kind);
                        exports.ranges.entry(key).or_default().push(range);
                    }
                }
            }
        }
        // The transaction only read.
        snapshot.end().await?;
        Ok(exports)
    }
}

/// The files, what should be in them, and what need not be.
pub(super) struct Files<'a> {
    pub(super) checked: &'a CheckedFiles,
    pub(super) exports: &'a AuditExports,
    pub(super) put_away: PutAway<'a>,
    /// The newest time in the whole trail.
    pub(super) newest: i64,
    /// The last row of each writer that was pruned: the rows up to there are only in files.
    pub(super) pruned: &'a BTreeMap<String, Link>,
}

impl Files<'_> {
    /// Reports what was exported and is not there.
    pub(super) async fn check(
        &self,
        snapshot: &Reading<'_>,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let at_hand = self.origins_at_hand();
        let mut elsewhere: BTreeMap<&str, u64> = BTreeMap::new();
        for writer in &self.exports.writers {
            match writer.origin.as_deref() {
                Some(origin) if at_hand.contains(origin) => {
                    self.writer(snapshot, writer, LineKind::Event, findings).await?;
                    self.writer(snapshot, writer, LineKind::Anchor, findings).await?;
                }
                Some(origin) if self.put_away.elsewhere.iter().any(|known| known == origin) => {}
                Some(origin) => *elsewhere.entry(origin).or_default() += 1,
                None if writer.finished => {
                    let why =
                        "the database says that this writer was exported whole, and to no folder".to_owned();
                    findings.add(Some(&writer.writer_id), 0, AuditFault::NotInFiles { through: 0 }, why);
                }
                // The next control plane takes the writer on.
                None => {}
            }
        }
        self.pruned_of_nobody(findings);
        for (origin, writers) in elsewhere {
            let why = format!(
                "{writers} writers were exported to a folder with the id {origin} that is not at hand; if it is another \
                 replica's, or was put away: --elsewhere {origin}"
            );
            findings.add(None, writers, AuditFault::Elsewhere, why);
        }
        Ok(())
    }

    /// Reports rows that were pruned and are in no file, of writers that are no longer written down.
    fn pruned_of_nobody(&self, findings: &mut Findings) {
        let known: BTreeSet<&String> = self.exports.writers.iter().map(|writer| &writer.writer_id).collect();
        let nothing = Present::default();
        for (writer_id, last) in self.pruned.iter().filter(|(writer_id, _)| !known.contains(writer_id)) {
            let present = self.checked.present(writer_id, LineKind::Event).unwrap_or(&nothing);
            for (first, through) in present.missing(1, last.sequence) {
                let why = format!("{} pruned, and in no file", numbers(LineKind::Event, first, through));
                findings.add(Some(writer_id), first, AuditFault::NotInFiles { through }, why);
            }
        }
    }

    /// The folders that these files belong to: according to the folder itself, and according to the database for the
    /// writers found there. Where neither source is left, every folder counts, so that an emptied folder does not
    /// pass for one that was never written to.
    fn origins_at_hand(&self) -> BTreeSet<&str> {
        let in_files = |writer: &&WriterExport| self.checked.holds(&writer.writer_id);
        let writers = &self.exports.writers;
        let of_writers = writers.iter().filter(in_files).filter_map(|writer| writer.origin.as_deref());
        let at_hand: BTreeSet<&str> = self.checked.origin().into_iter().chain(of_writers).collect();
        if at_hand.is_empty() {
            return writers.iter().filter_map(|writer| writer.origin.as_deref()).collect();
        }
        at_hand
    }

    async fn writer(
        &self,
        snapshot: &Reading<'_>,
        writer: &WriterExport,
        kind: LineKind,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let writer_id = writer.writer_id.as_str();
        let nothing = Present::default();
        let present = self.checked.present(writer_id, kind).unwrap_or(&nothing);
        let mut dated = Ranges::default();
        for range in self.exports.ranges.get(&(writer_id.to_owned(), kind)).into_iter().flatten() {
            dated.add_range(range.first, range.last);
            if self.is_put_away(&range.day) {
                continue;
            }
            for (first, through) in present.missing_of(&range.day, range.first, range.last) {
                let elsewhere = present.missing(first, through).is_empty();
                let why = self.missing_in(&range.day, kind, (first, through), elsewhere);
                findings.add(Some(writer_id), first, AuditFault::NotInFiles { through }, why);
            }
        }
        let (exported, head) = match kind {
            LineKind::Event => {
                // What was pruned had been exported, whatever the database says.
                let pruned = self.pruned.get(writer_id).map_or(0, |link| link.sequence);
                (writer.exported.events.max(pruned), audit_rows::last_sequence(snapshot, writer_id).await?)
            }
            LineKind::Anchor => {
                let last = audit_anchor_rows::last(snapshot, writer_id).await?;
                (writer.exported.anchors, last.map_or(0, |anchor| anchor.number))
            }
        };
        // For rows exported by an earlier version, and for the last batch before a kill, no file is known.
        for (first, last) in dated.missing(1, exported.max(head)) {
            for (first, through) in present.missing(first, last) {
                let times = match kind {
                    LineKind::Event => audit_rows::times(snapshot, writer_id, first, through).await?,
                    LineKind::Anchor => audit_anchor_rows::times(snapshot, writer_id, first, through).await?,
                };
                let numbers = numbers(kind, first, through);
                if first <= exported {
                    if times.is_none_or(|(from, until)| !self.all_put_away(from, until)) {
                        let why = format!("{numbers} exported, and in no file");
                        findings.add(Some(writer_id), first, AuditFault::NotInFiles { through }, why);
                    }
                } else if times
                    .is_some_and(|(from, _)| from < self.newest.saturating_sub(ANCHORED_WITHIN_MILLIS))
                {
                    let why =
                        format!("{numbers} not exported yet, though more than an hour older than the newest");
                    findings.add(Some(writer_id), first, AuditFault::NotExported { through }, why);
                }
            }
        }
        Ok(())
    }

    /// Whether an operator says that the file of a day was archived, and it is indeed not there. A file that is there is
    /// checked in any case.
    fn is_put_away(&self, day: &Day) -> bool {
        is_archived(self.put_away.archived, day) && !self.checked.has_file_of(day)
    }

    fn all_put_away(&self, from: i64, until: i64) -> bool {
        let (mut day, last) = (Day::of(Timestamp::from_millis(from)), Day::of(Timestamp::from_millis(until)));
        while self.is_put_away(&day) {
            if day >= last {
                return true;
            }
            match day.next() {
                Some(next) => day = next,
                None => return false,
            }
        }
        false
    }

    fn missing_in(&self, day: &Day, kind: LineKind, (first, through): (u64, u64), elsewhere: bool) -> String {
        let (file, day_text) = (day.file_name(), day.as_str());
        let numbers = numbers(kind, first, through);
        if elsewhere {
            return format!("{numbers} exported to {file}, and found in another file");
        }
        match self.checked.has_file_of(day) {
            true => format!("{numbers} exported to {file}, and no longer in it"),
            false => format!(
                "{numbers} exported to {file}, which is missing; if it was put away: --archived {day_text}"
            ),
        }
    }
}

/// The beginning of a sentence.
fn numbers(kind: LineKind, first: u64, through: u64) -> String {
    let what = match kind {
        LineKind::Event => "row",
        LineKind::Anchor => "anchor",
    };
    match first == through {
        true => format!("{what} {first} was"),
        false => format!("{what}s {first} to {through} were"),
    }
}
