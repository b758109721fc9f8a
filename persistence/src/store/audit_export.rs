//! Exporting: every row and every anchor as a line of a file (`audit::log`).
//!
//! Each control plane exports the rows of its own writer, those of earlier starts on the same folder, and those of
//! writers that have no folder of their own: `hansard admin`, control planes that export nothing, and rows that are
//! older than exports. With several replicas each row is therefore in the files of one of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use domain::Timestamp;
use sea_orm::DatabaseTransaction;

use super::Store;
use super::audit_kept::KeptTo;
use super::audit_pruned::ReadDays;
use super::begun_anew::begun_anew;
use super::blocking::blocking;
use crate::StoreError;
use crate::audit::days::Day;
use crate::audit::line::ExportedLine;
use crate::audit::log::{AuditLog, AuditLogError};
use crate::error::COMMIT;
use crate::rows::audit_export_rows::{self, ExportedRange, LineKind};
use crate::rows::audit_writer_rows::{Exported, ExportedWriter};
use crate::rows::{audit_anchor_rows, audit_rows, audit_writer_rows};

/// How many rows are read, written and made durable at once.
const BATCH: u64 = 1_000;
/// The same for anchors, which are longer.
const ANCHOR_BATCH: u64 = 100;

/// The state of the exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditExport {
    /// Nothing is exported.
    Off,
    /// The last round wrote everything.
    Current,
    /// The last round failed; the rows are in the database and will follow.
    Behind,
}

/// Why a round of exports did not write everything.
#[derive(Debug, thiserror::Error)]
pub enum AuditExportError {
    /// The database reported an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files reported an error.
    #[error(transparent)]
    Log(#[from] AuditLogError),
}

#[derive(Debug, Default)]
pub(super) struct Exports {
    pub(super) log: OnceLock<Arc<Mutex<AuditLog>>>,
    one_at_a_time: tokio::sync::Mutex<()>,
    /// What was written to files and is not yet noted in the database.
    unnoted: Mutex<Vec<ExportedRange>>,
    behind: AtomicBool,
    pub(super) kept: KeptTo,
    /// What was read in files of rows that were pruned.
    pub(super) read_days: ReadDays,
    /// The last writer of which it was proven what may be pruned, or tried.
    pub(super) last_proven: Mutex<String>,
}

impl Store {
    /// Opens the folder that audit rows are exported to. To be called once, before the first row is written.
    ///
    /// # Errors
    /// [`AuditExportError::Log`]: another control plane exports there, or it cannot be read or written.
    pub async fn open_audit_log(&self, folder: &Path) -> Result<(), AuditExportError> {
        let folder = folder.to_owned();
        let log = blocking(move || AuditLog::open(&folder)).await??;
        // A caller that opens a second folder continues with the first.
        let _ = self.inner.audit.origin.set(log.origin().to_owned());
        let _ = self.inner.exports.log.set(Arc::new(Mutex::new(log)));
        Ok(())
    }

    /// Returns when something was written since it last returned.
    pub async fn audit_written(&self) {
        self.inner.audit.written.notified().await;
    }

    /// The state of the exports.
    #[must_use]
    pub fn audit_export(&self) -> AuditExport {
        let exports = &self.inner.exports;
        let behind = exports.behind.load(Ordering::Relaxed) || exports.kept.is_behind();
        match (exports.log.get(), behind) {
            (_, true) => AuditExport::Behind,
            (None, false) => AuditExport::Off,
            (Some(_), false) => AuditExport::Current,
        }
    }

    /// Writes what is not yet in the files, and returns how many lines that was. Idempotent; the next round makes up for
    /// a failed one.
    ///
    /// # Errors
    /// [`AuditExportError`]; what was written before the error stays.
    pub async fn export_audit(&self, now: Timestamp) -> Result<u64, AuditExportError> {
        let exports = &self.inner.exports;
        let Some(log) = exports.log.get() else { return Ok(0) };
        let _turn = exports.one_at_a_time.lock().await;
        let exported = self.export_to(log, now).await;
        exports.behind.store(exported.is_err(), Ordering::Relaxed);
        exported
    }

    async fn export_to(&self, log: &Arc<Mutex<AuditLog>>, now: Timestamp) -> Result<u64, AuditExportError> {
        let connections = &self.inner.connections;
        let origin = locked(log, |log| log.origin().to_owned());
        if audit_writer_rows::any_without_origin(connections.reader()).await? {
            begun_anew(connections, || audit_writer_rows::take_on(connections.writer(), &origin)).await?;
        }
        // Read before the rows: whatever these anchors refer to is committed, and is therefore in the files before them.
        let writers = audit_writer_rows::to_export(connections.reader(), &origin).await?;
        let lines = self.export_writers(log, &writers, now).await;
        // Also when the export failed half-way: what was written is noted.
        self.note_exports(&origin, now).await?;
        let lines = lines?;
        self.finish(log, &writers, now).await?;
        Ok(lines)
    }

    async fn export_writers(
        &self,
        log: &Arc<Mutex<AuditLog>>,
        writers: &[ExportedWriter],
        now: Timestamp,
    ) -> Result<u64, AuditExportError> {
        let mut lines = 0;
        for writer in writers {
            lines += self.export_events(log, writer, now).await?;
        }
        for writer in writers {
            lines += self.export_anchors(log, writer, now).await?;
        }
        Ok(lines)
    }

    /// Notes what was written to which file, so that the check can report it as missing there.
    async fn note_exports(&self, origin: &str, now: Timestamp) -> Result<(), StoreError> {
        let unnoted = &self.inner.exports.unnoted;
        let ranges = unnoted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if ranges.is_empty() {
            return Ok(());
        }
        let (connections, ranges) = (&self.inner.connections, &ranges);
        let note = |transaction: DatabaseTransaction| async move {
            for range in ranges {
                audit_export_rows::note(&transaction, origin, range, now).await?;
            }
            transaction.commit().await.map_err(StoreError::at(COMMIT))
        };
        begun_anew(connections, || connections.write(note)).await?;
        // Only one round runs at a time: nobody has added to it.
        unnoted.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn wrote(&self, writer: &ExportedWriter, kind: LineKind, day: Day, first: u64, last: u64) {
        let mut unnoted = self.inner.exports.unnoted.lock().unwrap_or_else(PoisonError::into_inner);
        unnoted.push(ExportedRange { day, writer_id: writer.writer_id.clone(), kind, first, last });
    }

    async fn export_events(
        &self,
        log: &Arc<Mutex<AuditLog>>,
        writer: &ExportedWriter,
        now: Timestamp,
    ) -> Result<u64, AuditExportError> {
        let (mut after, mut lines) = (position(log, writer).events, 0);
        // Rows after the head that was read are left to the next round, or one writer could keep all others waiting.
        while after < writer.head.events {
            let rows = match self.inner.audit.recent.take_after(&writer.writer_id, after, BATCH) {
                Some(rows) => rows,
                None => {
                    let reader = self.inner.connections.reader();
                    audit_rows::of_writer(reader, &writer.writer_id, column(after), BATCH).await?
                }
            };
            let Some(last) = rows.last().map(|row| row.sequence) else { break };
            lines += rows.len() as u64;
            let first = rows.first().map_or(last, |row| row.sequence);
            let day = write(log, rows.into_iter().map(ExportedLine::Event).collect(), now).await?;
            self.wrote(writer, LineKind::Event, day, first, last);
            after = last;
        }
        Ok(lines)
    }

    async fn export_anchors(
        &self,
        log: &Arc<Mutex<AuditLog>>,
        writer: &ExportedWriter,
        now: Timestamp,
    ) -> Result<u64, AuditExportError> {
        let (mut after, mut lines) = (position(log, writer).anchors, 0);
        while after < writer.head.anchors {
            let reader = self.inner.connections.reader();
            let mut rows =
                audit_anchor_rows::of_writer(reader, &writer.writer_id, column(after), ANCHOR_BATCH).await?;
            rows.retain(|anchor| anchor.number <= writer.head.anchors);
            let Some(last) = rows.last().map(|row| row.number) else { break };
            lines += rows.len() as u64;
            let first = rows.first().map_or(last, |row| row.number);
            let day = write(log, rows.into_iter().map(ExportedLine::Anchor).collect(), now).await?;
            self.wrote(writer, LineKind::Anchor, day, first, last);
            after = last;
        }
        Ok(lines)
    }

    /// Finished writers that were exported completely are not visited again.
    async fn finish(
        &self,
        log: &Arc<Mutex<AuditLog>>,
        writers: &[ExportedWriter],
        now: Timestamp,
    ) -> Result<(), AuditExportError> {
        let whole = |writer: &&ExportedWriter| {
            let position = position(log, writer);
            writer.closed && position.events >= writer.head.events && position.anchors >= writer.head.anchors
        };
        let finished: Vec<_> = writers.iter().filter(whole).collect();
        if finished.is_empty() {
            return Ok(());
        }
        for writer in &finished {
            let position = position(log, writer);
            let connections = &self.inner.connections;
            let writer_id = &writer.writer_id;
            begun_anew(connections, || {
                audit_writer_rows::exported(connections.writer(), writer_id, position, now)
            })
            .await?;
        }
        let finished: BTreeSet<String> = finished.iter().map(|writer| writer.writer_id.clone()).collect();
        let log = Arc::clone(log);
        Ok(blocking(move || locked(&log, |log| log.settle(|writer_id| !finished.contains(writer_id))))
            .await??)
    }
}

/// How far a writer was exported: according to the files, or to the database where the files no longer remember it.
pub(super) fn position(log: &Arc<Mutex<AuditLog>>, writer: &ExportedWriter) -> Exported {
    let of_files = locked(log, |log| log.position(&writer.writer_id));
    Exported {
        events: of_files.events.max(writer.exported.events),
        anchors: of_files.anchors.max(writer.exported.anchors),
    }
}

async fn write(
    log: &Arc<Mutex<AuditLog>>,
    lines: Vec<ExportedLine>,
    now: Timestamp,
) -> Result<Day, AuditExportError> {
    let log = Arc::clone(log);
    Ok(blocking(move || locked(&log, |log| log.append(&lines, now))).await??)
}

pub(super) fn locked<L, T>(log: &Mutex<L>, work: impl FnOnce(&mut L) -> T) -> T {
    // Lengths and positions change only after a batch is complete, so a panic elsewhere leaves nothing half-done.
    work(&mut log.lock().unwrap_or_else(PoisonError::into_inner))
}

fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
