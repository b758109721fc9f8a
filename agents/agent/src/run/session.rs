//! A session in the spool: `spool/<token>/` with `start.json`, the spools of its streams, cut segments, and at the end the manifest.

mod cut_record;
mod export;
mod folder;
mod for_recorder;
mod leave;
mod manifest;
mod note;
mod progress;
mod refusals;
mod stream_spool;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use agent_protocol::capture::SpoolName;
use agent_protocol::recorder::CommandNote;
use recording::{SealedBy, Start, TerminalSessionToken};
use tokio::sync::Notify;

use crate::faults::may_fail;
use crate::state_directory::PRIVATE_MODE;
use crate::{append_only, durable};

use folder::{DONE_PREFIX, allocated_bytes, erase_folder};
use manifest::MANIFEST;
use note::NOTE;
use refusals::Refusals;
use stream_spool::SEGMENTS;

pub(super) use cut_record::CutRecord;
pub(crate) use export::{Export, export};
pub(super) use folder::{DAMAGED_PREFIX, TakenUp, list, take_up};
pub(crate) use folder::{WaitingSession, list_spool, waiting_sessions};
pub(super) use leave::{Successor, when_leave_comes};
pub(super) use note::Note;
pub(super) use progress::Progress;
pub(super) use refusals::TRY_QUARANTINED_EVERY;
pub(crate) use refusals::forget_refusals;
pub(super) use stream_spool::StreamSpool;

const START: &str = "start.json";

/// A session in the spool.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) start: Start,
    pub(super) start_document: Vec<u8>,
    pub(super) note: Note,
    folder: PathBuf,
    /// One for each of its streams; there is at least one.
    pub(super) spools: Vec<StreamSpool>,
    progress: Mutex<Progress>,
    /// The process of the command, once its recorder has noted it.
    command_note: OnceLock<CommandNote>,
    /// The leave to seal it that this agent has, if another one recorded it.
    leave: OnceLock<SealedBy>,
    /// Told when there is such leave.
    leave_came: Notify,
    /// Told when there is more to deliver.
    pub(super) changed: Arc<Notify>,
    /// Told when somebody wants it to be tried at once.
    pub(super) retry: Notify,
    /// Told when more of its spools is acknowledged.
    pub(super) acknowledged_more: Notify,
}

/// Makes a folder with a session's documents and its empty spools, and gives it its name when everything is on the disk.
fn make_folder(
    new: &Path,
    folder: &Path,
    names: &[SpoolName],
    documents: [(&str, &Vec<u8>); 2],
) -> io::Result<Vec<File>> {
    may_fail()?;
    let mut folders = DirBuilder::new();
    folders.mode(0o700).create(new)?;
    may_fail()?;
    folders.create(new.join(SEGMENTS))?;
    for (name, bytes) in documents {
        may_fail()?;
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(PRIVATE_MODE).open(new.join(name))?;
        may_fail()?;
        file.write_all(bytes)?;
        may_fail()?;
        file.sync_all()?;
    }
    let files: Vec<File> =
        names.iter().map(|name| StreamSpool::create(new, name)).collect::<io::Result<_>>()?;
    durable::sync_folder(new)?;
    may_fail()?;
    fs::rename(new, folder)?;
    durable::sync_folder(folder.parent().unwrap_or(folder))?;
    Ok(files)
}

impl Session {
    /// Makes a new session's folder and gives its empty spools, in the order of the note, open for appending and, where that can be
    /// had, open to nothing else.
    pub(super) fn create(spool: &Path, start: Start, note: Note) -> io::Result<(Session, Vec<File>)> {
        let names = note.spool_names().map_err(io::Error::other)?;
        let start_document = start.to_document();
        let folder = spool.join(start.recording.as_str());
        let new = spool.join(format!("{}{}", durable::TEMPORARY_PREFIX, start.recording));
        let files = make_folder(
            &new,
            &folder,
            &names,
            [(START, &start_document), (NOTE, &serde_json::to_vec(&note)?)],
        );
        // Whatever is left of it would have its number, which the next one gets.
        let files = files
            .inspect_err(|_| [&new, &folder].into_iter().for_each(|left| drop(fs::remove_dir_all(left))))?;
        // Only now: a folder that was never begun must be easy to remove.
        for file in &files {
            if let Err(error) = append_only::set(file) {
                tracing::warn!(session = %start.recording, "the spool cannot be made append-only: {error}");
            }
        }
        let changed = Arc::<Notify>::default();
        let spools = names.iter().map(|name| StreamSpool::new(&folder, name, Arc::clone(&changed))).collect();
        let session = Session::of(start, start_document, note, folder, (spools, changed));
        Ok((session, files))
    }

    /// Of which nothing is delivered, as far as is known. `changed` is told by its spools.
    fn of(
        start: Start,
        start_document: Vec<u8>,
        note: Note,
        folder: PathBuf,
        (spools, changed): (Vec<StreamSpool>, Arc<Notify>),
    ) -> Session {
        Session {
            start,
            start_document,
            note,
            folder,
            spools,
            progress: Mutex::default(),
            command_note: OnceLock::new(),
            leave: OnceLock::new(),
            leave_came: Notify::new(),
            changed,
            retry: Notify::new(),
            acknowledged_more: Notify::new(),
        }
    }

    /// Reads a session that an earlier agent left.
    pub(super) fn open(folder: &Path) -> Result<Session, String> {
        let cannot =
            |name: &str, why: String| format!("{} cannot be read: {why}", folder.join(name).display());
        let start_document =
            fs::read(folder.join(START)).map_err(|error| cannot(START, error.to_string()))?;
        let start = Start::parse(&start_document).map_err(|error| cannot(START, crate::chain(&error)))?;
        let note: Note = durable::find_json(&folder.join(NOTE))
            .and_then(|note| note.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|error| cannot(NOTE, error.to_string()))?;
        let names = note.spool_names().map_err(|error| cannot(NOTE, error.to_string()))?;
        let changed = Arc::<Notify>::default();
        let spools = names
            .iter()
            .map(|name| StreamSpool::open(folder, name, Arc::clone(&changed)))
            .collect::<io::Result<_>>()
            .map_err(|error| cannot(SEGMENTS, error.to_string()))?;
        let session = Session::of(start, start_document, note, folder.to_owned(), (spools, changed));
        let sealed = session.find_manifest().map_err(|error| cannot(MANIFEST, error.to_string()))?.is_some();
        // Every start tries again what was refused before, unless it is in quarantine.
        let refusals = session.find_refusals();
        let mut progress = session.progress();
        progress.refusals_written = refusals.as_ref().map(Refusals::refused_for).unwrap_or_default();
        (progress.sealed, progress.refusals) = (sealed, refusals);
        drop(progress);
        Ok(session)
    }

    pub(super) fn token(&self) -> &TerminalSessionToken {
        &self.start.recording
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many segments were cut of all its spools.
    pub(super) fn segments(&self) -> u32 {
        self.spools.iter().map(|spool| spool.progress().segments).sum()
    }

    /// How much room everything of it takes.
    pub(super) fn spool_bytes(&self) -> u64 {
        allocated_bytes(&self.folder)
    }

    /// Erases a session that is delivered whole. One whose spool was damaged is set aside instead, with its folder.
    pub(super) fn erase(&self, set_aside: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let Some(spool) = self.folder.parent() else { return Ok(()) };
        match append_only::take_off_files_in(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            taken_off => taken_off?,
        }
        for spool in &self.spools {
            if spool.cut_records()?.iter().any(|record| record.damaged) {
                return set_aside(&self.folder);
            }
        }
        let done = spool.join(format!("{DONE_PREFIX}{}", self.token()));
        match fs::rename(&self.folder, &done) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        durable::sync_folder(spool)?;
        erase_folder(&done)
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::capture::SegmenterState;
    use recording::{
        AccountId, AgentId, CaptureKind, Compressor, CutPolicy, InstanceId, Micros, Recorder, SealingKey,
        SegmentCutter, TerminalSize, Timestamp,
    };

    use super::*;

    fn start() -> Start {
        Start {
            format: recording::DocumentFormat::V1,
            recording: TerminalSessionToken::generate(),
            kind: CaptureKind::Terminal,
            account: AccountId::parse("1000000000000001").unwrap(),
            instance: InstanceId::parse("i-one").unwrap(),
            agent: AgentId::generate(),
            agent_sealing_key: SealingKey::generate().public_key(),
            agent_recording_number: 1,
            previous_manifest: None,
            configuration_revision: 0,
            recorder: Recorder::SameUser,
            notes: vec![],
            failure_policy: None,
            delivery_mode: None,
            started_at: Timestamp::from_millis(0),
            terminal: Some(TerminalSize { columns: 80, rows: 24 }),
            command: None,
            claimed_user: None,
            term: None,
            shell: None,
            agent_version: None,
        }
    }

    /// A session with one segment that is cut.
    fn with_segment(spool: &Path) -> (Session, CutRecord) {
        let note = Note {
            kind: "terminal".into(),
            spools: vec![],
            start_boottime_micros: 0,
            user_id: None,
            recorder: None,
            configuration: None,
            failure_policy: None,
        };
        let (session, _) = Session::create(spool, start(), note).unwrap();
        let mut cutter = SegmentCutter::new(&session.start, &session.start_document, CutPolicy::default());
        cutter.push_output(Micros::new(1), b"x");
        let segment = cutter.cut(&mut Compressor::new().unwrap()).unwrap().unwrap();
        let record = CutRecord {
            stream: segment.header.stream,
            entry: segment.entry(),
            chain_before: segment.header.chain_before,
            spool_end: 18,
            state: SegmenterState::of(cutter.state()).unwrap(),
            exit: None,
            last_gap: None,
            damaged: false,
            distrusted: None,
            last_record: None,
        };
        session.spools[0].keep_segment(&segment.bytes, &record).unwrap();
        (session, record)
    }

    #[test]
    fn an_acknowledged_segment_is_done_with_although_its_spool_cannot_be_freed() {
        let spool = tempfile::tempdir().unwrap();
        let (session, record) = with_segment(spool.path());
        // A folder in its place cannot be opened for writing by anyone.
        append_only::take_off_files_in(&session.folder).unwrap();
        let spool = &session.spools[0];
        fs::remove_file(spool.path()).unwrap();
        fs::create_dir(spool.path()).unwrap();
        spool.erase_segment(&record).unwrap();
        assert_eq!(spool.progress().acknowledged, 1);
        assert!(spool.segment_bytes(&record).is_err());
    }
}
