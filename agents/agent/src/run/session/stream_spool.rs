//! One stream of a session while it lies here: its spool, and the segments that were cut of it. They are kept until they are
//! acknowledged, then erased with what of the spool they were made of.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_protocol::capture::SpoolName;
use recording::Stream;
use rustix::fs::FallocateFlags;
use tokio::sync::Notify;

use super::cut_record::CutRecord;
use crate::faults::may_fail;
use crate::state_directory::PRIVATE_MODE;
use crate::{append_only, durable};

pub(super) const SPOOL_EXTENSION: &str = "spool";
pub(super) const SEGMENTS: &str = "segments";
/// The stream whose segments lie in [`SEGMENTS`] itself, as they did when there was no other; the others have folders there.
const FIRST_STREAM: Stream = Stream::Terminal;
/// How much of an append-only spool must be delivered before it is opened up, for a moment, to give the space back.
const OPEN_UP_FOR_BYTES: u64 = 4 * 1024 * 1024;

/// How far a stream is.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct StreamProgress {
    /// Segments cut.
    pub(in crate::run) segments: u32,
    /// Segments acknowledged, and so erased here.
    pub(in crate::run) acknowledged: u32,
    /// Some of the spool could not be read.
    pub(in crate::run) damaged: bool,
    /// Why the spool is not believed.
    pub(in crate::run) distrusted: Option<String>,
    /// Up to where the spool has been erased.
    punched: u64,
    /// Where in the spool the last acknowledged segment ends.
    acknowledged_end: u64,
    /// Up to where everything in the spool is cut, but for the beginning of a character whose rest is not there.
    cut_end: u64,
}

impl StreamProgress {
    /// How much of the spool the control plane has stored. What waits for the rest of a character counts as stored with
    /// what stands before it: it shows nothing.
    pub(super) fn acknowledged_bytes(&self) -> u64 {
        if self.acknowledged == self.segments {
            self.acknowledged_end.max(self.cut_end)
        } else {
            self.acknowledged_end
        }
    }

    /// Notes that everything up to here is cut. False if that is no news.
    pub(in crate::run) fn note_cut_end(&mut self, offset: u64) -> bool {
        std::mem::replace(&mut self.cut_end, offset) != offset
    }
}

/// A stream's spool and segments.
#[derive(Debug)]
pub(in crate::run) struct StreamSpool {
    name: SpoolName,
    path: PathBuf,
    segments: PathBuf,
    progress: Mutex<StreamProgress>,
    /// The session's: told when there is more to deliver.
    changed: Arc<Notify>,
}

impl StreamSpool {
    /// Makes an empty spool in a session's new folder, open for appending.
    pub(super) fn create(folder: &Path, name: &SpoolName) -> io::Result<File> {
        let segments = segments_folder(folder, name);
        may_fail()?;
        DirBuilder::new().mode(0o700).recursive(true).create(segments)?;
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(PRIVATE_MODE).open(spool_path(folder, name))
    }

    /// One that nothing was cut of yet.
    pub(super) fn new(folder: &Path, name: &SpoolName, changed: Arc<Notify>) -> Self {
        StreamSpool {
            name: name.clone(),
            path: spool_path(folder, name),
            segments: segments_folder(folder, name),
            progress: Mutex::default(),
            changed,
        }
    }

    /// One that an earlier agent left.
    pub(super) fn open(folder: &Path, name: &SpoolName, changed: Arc<Notify>) -> io::Result<Self> {
        let spool = Self::new(folder, name, changed);
        let records = spool.cut_records()?;
        let acknowledged = records.iter().take_while(|record| !spool.segment_path(record).exists()).count();
        *spool.progress() = StreamProgress {
            segments: count(records.len()),
            acknowledged: count(acknowledged),
            damaged: records.last().is_some_and(|record| record.damaged),
            distrusted: records.last().and_then(|record| record.distrusted.clone()),
            punched: 0,
            acknowledged_end: acknowledged.checked_sub(1).map_or(0, |last| records[last].spool_end),
            cut_end: 0,
        };
        Ok(spool)
    }

    pub(in crate::run) fn name(&self) -> &SpoolName {
        &self.name
    }

    pub(in crate::run) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::run) fn progress(&self) -> MutexGuard<'_, StreamProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segment_path(&self, record: &CutRecord) -> PathBuf {
        self.segments.join(format!("{:06}{}", record.entry.number, record.stream.extension()))
    }

    fn cut_record_path(&self, number: u32) -> PathBuf {
        self.segments.join(format!("{number:06}.json"))
    }

    /// The record of one cut segment.
    pub(in crate::run) fn cut_record(&self, number: u32) -> io::Result<CutRecord> {
        durable::find_json(&self.cut_record_path(number))?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The records of all segments cut so far, in order.
    pub(in crate::run) fn cut_records(&self) -> io::Result<Vec<CutRecord>> {
        let mut records = Vec::new();
        while let Some(record) = durable::find_json(&self.cut_record_path(count(records.len())))? {
            records.push(record);
        }
        Ok(records)
    }

    /// Keeps a segment: its bytes first, so that a record always has its bytes until they are acknowledged. What was granted once is
    /// never cut anew, because only what has a record is offered.
    pub(in crate::run) fn keep_segment(&self, bytes: &[u8], record: &CutRecord) -> io::Result<()> {
        let number = record.entry.number;
        durable::write(&self.segment_path(record), bytes, PRIVATE_MODE)?;
        durable::write_json(&self.cut_record_path(number), record, PRIVATE_MODE)?;
        self.progress().segments = number + 1;
        self.changed.notify_one();
        Ok(())
    }

    /// A kept segment's bytes.
    pub(in crate::run) fn segment_bytes(&self, record: &CutRecord) -> io::Result<Vec<u8>> {
        fs::read(self.segment_path(record))
    }

    /// Erases what was acknowledged: the segment, and the spool that went into it.
    pub(in crate::run) fn erase_segment(&self, record: &CutRecord) -> io::Result<()> {
        durable::remove(&self.segment_path(record))?;
        // From here on there is nothing to deliver it from again, whatever becomes of the spool.
        let mut progress = self.progress();
        progress.acknowledged = record.entry.number + 1;
        progress.acknowledged_end = record.spool_end;
        drop(progress);
        if record.damaged {
            return Ok(());
        }
        if let Err(error) = self.punch(record.erasable_bytes()) {
            tracing::warn!(
                "delivered bytes of {} stay until the session's end: {error}",
                self.path.display()
            );
        }
        Ok(())
    }

    /// Gives back the space of the spool's beginning. A file that can only be appended to has to be opened up for that, so there it
    /// is done rarely.
    fn punch(&self, bytes: u64) -> io::Result<()> {
        may_fail()?;
        let spool = File::open(&self.path)?;
        let append_only = append_only::is_set(&spool)?;
        let punched = self.progress().punched;
        let least = if append_only { OPEN_UP_FOR_BYTES } else { 1 };
        if bytes < punched.saturating_add(least) {
            return Ok(());
        }
        if append_only {
            append_only::take_off(&spool)?;
        }
        let writable = OpenOptions::new().write(true).open(&self.path);
        let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let done = writable.and_then(|writable| match rustix::fs::fallocate(&writable, holes, 0, bytes) {
            // Where files cannot have holes, the spool goes at the session's end.
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            punched => Ok(punched?),
        });
        if append_only {
            append_only::set(&spool)?;
        }
        done?;
        self.progress().punched = bytes;
        Ok(())
    }
}

fn spool_path(folder: &Path, name: &SpoolName) -> PathBuf {
    folder.join(format!("{name}.{SPOOL_EXTENSION}"))
}

fn segments_folder(folder: &Path, name: &SpoolName) -> PathBuf {
    let segments = folder.join(SEGMENTS);
    if name.as_str() == FIRST_STREAM.name() { segments } else { segments.join(name.as_str()) }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
