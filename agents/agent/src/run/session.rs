//! A session in the spool: `spool/<token>/` with `start.json`, the spool of its capture, cut segments, and at the end the manifest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use agent_protocol::configuration::SignedConfiguration;
use agent_protocol::local::{LocalSession, SessionState};
use recording::sealing::SIGNATURE_BYTES;
use recording::{
    ChainValue, CutterState, ExitStatus, SealedManifest, SegmentEntry, Start, TerminalSessionToken,
};
use rustix::fs::FallocateFlags;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::durable;
use crate::state_directory::PRIVATE_MODE;

const START: &str = "start.json";
const NOTE: &str = "session.json";
const SEGMENTS: &str = "segments";
const MANIFEST: &str = "manifest-0000.json";
const SIGNATURE: &str = "manifest-0000.sig";
const REFUSAL: &str = "refused.json";
/// A delivered session's folder is renamed so when some of its spool could not be read: somebody may want to look at the raw bytes.
const DAMAGED_PREFIX: &str = "damaged-";
/// A finished session's folder is renamed so before it is erased: half of a session must never look like one.
const DONE_PREFIX: &str = ".done-";

/// `session.json`: what a later start must know besides `start.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Note {
    /// The kind of capture.
    pub(super) kind: String,
    /// CLOCK_BOOTTIME at time zero. It means something only as long as the recorder lives.
    pub(super) start_boottime_micros: u64,
    /// Whose session it is, as the kernel says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<u32>,
    /// The configuration by which it was begun, as the control plane signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) configuration: Option<SignedConfiguration>,
}

/// What stands beside each cut segment. It outlives the segment's bytes, because the manifest needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CutRecord {
    pub(super) entry: SegmentEntry,
    pub(super) chain_before: ChainValue,
    /// The offset in the spool up to which the segments hold everything.
    pub(super) spool_end: u64,
    /// Where the stream stood after the cut.
    pub(super) state: CutterState,
    /// How the command ended, if that stands in this segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exit: Option<ExitStatus>,
    /// The reason of the last gap so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_gap: Option<String>,
    /// Some of the spool up to here could not be read: it is never erased.
    #[serde(default)]
    pub(super) damaged: bool,
}

/// `refused.json`, for people.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    reason: String,
}

/// How far a session is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Segments cut.
    pub(super) segments: u32,
    /// Segments acknowledged, and so erased here.
    pub(super) acknowledged: u32,
    /// The manifest is made.
    pub(super) sealed: bool,
    /// Why the control plane will not have it.
    pub(super) refused: Option<String>,
    /// What went wrong last, until it goes right.
    pub(super) trouble: Option<String>,
}

/// A session in the spool.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) start: Start,
    pub(super) start_document: Vec<u8>,
    pub(super) note: Note,
    folder: PathBuf,
    progress: Mutex<Progress>,
    /// Told when there is more to deliver.
    pub(super) changed: Notify,
}

impl Session {
    /// Makes a new session's folder and gives its empty spool, open for appending.
    pub(super) fn create(spool: &Path, start: Start, note: Note) -> io::Result<(Session, File)> {
        let start_document = start.to_document();
        let folder = spool.join(start.recording.as_str());
        let new = spool.join(format!("{}{}", durable::TEMPORARY_PREFIX, start.recording));
        let mut folders = DirBuilder::new();
        folders.mode(0o700).create(&new)?;
        folders.create(new.join(SEGMENTS))?;
        let note_document = serde_json::to_vec(&note).map_err(io::Error::other)?;
        for (name, bytes) in [(START, &start_document), (NOTE, &note_document)] {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(PRIVATE_MODE).open(new.join(name))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        let spool_file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(PRIVATE_MODE)
            .open(new.join(spool_name(&note.kind)))?;
        durable::sync_folder(&new)?;
        fs::rename(&new, &folder)?;
        durable::sync_folder(spool)?;
        let progress = Mutex::new(Progress::default());
        let session = Session { start, start_document, note, folder, progress, changed: Notify::new() };
        Ok((session, spool_file))
    }

    /// Reads a session that an earlier agent left.
    pub(super) fn open(folder: &Path) -> Result<Session, String> {
        let cannot =
            |name: &str, why: String| format!("{} cannot be read: {why}", folder.join(name).display());
        let start_document =
            fs::read(folder.join(START)).map_err(|error| cannot(START, error.to_string()))?;
        let start = Start::parse(&start_document).map_err(|error| cannot(START, crate::chain(&error)))?;
        let note = durable::find_json(&folder.join(NOTE))
            .and_then(|note| note.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|error| cannot(NOTE, error.to_string()))?;
        let mut session = Session {
            start,
            start_document,
            note,
            folder: folder.to_owned(),
            progress: Mutex::new(Progress::default()),
            changed: Notify::new(),
        };
        let records = session.cut_records().map_err(|error| cannot(SEGMENTS, error.to_string()))?;
        let acknowledged =
            records.iter().take_while(|record| !session.segment_path(record.entry.number).exists()).count();
        let sealed = session.find_manifest().map_err(|error| cannot(MANIFEST, error.to_string()))?.is_some();
        session.progress = Mutex::new(Progress {
            segments: count(records.len()),
            acknowledged: count(acknowledged),
            sealed,
            ..Progress::default()
        });
        // Every start tries again what was refused before.
        durable::remove(&folder.join(REFUSAL)).map_err(|error| cannot(REFUSAL, error.to_string()))?;
        Ok(session)
    }

    pub(super) fn token(&self) -> &TerminalSessionToken {
        &self.start.recording
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn spool_path(&self) -> PathBuf {
        self.folder.join(spool_name(&self.note.kind))
    }

    fn segment_path(&self, number: u32) -> PathBuf {
        self.folder.join(SEGMENTS).join(format!("{number:06}.cast.zst"))
    }

    fn cut_record_path(&self, number: u32) -> PathBuf {
        self.folder.join(SEGMENTS).join(format!("{number:06}.json"))
    }

    /// The record of one cut segment.
    pub(super) fn cut_record(&self, number: u32) -> io::Result<CutRecord> {
        durable::find_json(&self.cut_record_path(number))?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The records of all segments cut so far, in order.
    pub(super) fn cut_records(&self) -> io::Result<Vec<CutRecord>> {
        let mut records = Vec::new();
        while let Some(record) = durable::find_json(&self.cut_record_path(count(records.len())))? {
            records.push(record);
        }
        Ok(records)
    }

    /// Keeps a segment: its bytes first, so that a record always has its bytes until they are acknowledged. What was granted once is
    /// never cut anew, because only what has a record is offered.
    pub(super) fn keep_segment(&self, bytes: &[u8], record: &CutRecord) -> io::Result<()> {
        let number = record.entry.number;
        durable::write(&self.segment_path(number), bytes, PRIVATE_MODE)?;
        durable::write_json(&self.cut_record_path(number), record, PRIVATE_MODE)?;
        self.progress().segments = number + 1;
        self.changed.notify_one();
        Ok(())
    }

    /// A kept segment's bytes.
    pub(super) fn segment_bytes(&self, number: u32) -> io::Result<Vec<u8>> {
        fs::read(self.segment_path(number))
    }

    /// Erases what was acknowledged: the segment, and the spool that went into it.
    pub(super) fn erase_segment(&self, record: &CutRecord) -> io::Result<()> {
        durable::remove(&self.segment_path(record.entry.number))?;
        // From here on there is nothing to deliver it from again, whatever becomes of the spool.
        self.progress().acknowledged = record.entry.number + 1;
        if record.damaged {
            return Ok(());
        }
        let punched = OpenOptions::new().write(true).open(self.spool_path()).and_then(|spool| {
            let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match rustix::fs::fallocate(&spool, holes, 0, record.spool_end.max(1)) {
                // Where files cannot have holes, the spool goes at the session's end.
                Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
                punched => Ok(punched?),
            }
        });
        if let Err(error) = punched {
            tracing::warn!(session = %self.token(), "delivered bytes of the spool stay until the session's end: {error}");
        }
        Ok(())
    }

    /// The manifest and its signature, once made. Both or none: the signature is written first.
    pub(super) fn find_manifest(&self) -> io::Result<Option<SealedManifest>> {
        let Some(bytes) = durable::find(&self.folder.join(MANIFEST))? else { return Ok(None) };
        let signature: [u8; SIGNATURE_BYTES] = fs::read(self.folder.join(SIGNATURE))?
            .try_into()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the signature has another length"))?;
        Ok(Some(SealedManifest { bytes, signature }))
    }

    /// Keeps the manifest.
    pub(super) fn keep_manifest(&self, sealed: &SealedManifest) -> io::Result<()> {
        durable::write(&self.folder.join(SIGNATURE), &sealed.signature, PRIVATE_MODE)?;
        durable::write(&self.folder.join(MANIFEST), &sealed.bytes, PRIVATE_MODE)
    }

    /// Notes that the control plane will not have it. Nothing is erased.
    pub(super) fn refuse(&self, reason: &str) {
        let refusal = Refusal { reason: reason.to_owned() };
        if let Err(error) = durable::write_json(&self.folder.join(REFUSAL), &refusal, PRIVATE_MODE) {
            tracing::warn!(session = %self.token(), "the refusal could not be noted: {error}");
        }
        self.progress().refused = Some(reason.to_owned());
    }

    /// Notes that the control plane has it after all.
    pub(super) fn accept(&self) {
        if self.progress().refused.take().is_some()
            && let Err(error) = durable::remove(&self.folder.join(REFUSAL))
        {
            tracing::warn!(session = %self.token(), "the refusal could not be taken back: {error}");
        }
    }

    /// Erases a session that is delivered whole, or sets it aside if its spool was damaged.
    pub(super) fn erase(&self) -> io::Result<()> {
        let Some(spool) = self.folder.parent() else { return Ok(()) };
        if self.cut_records()?.iter().any(|record| record.damaged) {
            let aside = spool.join(format!("{DAMAGED_PREFIX}{}", self.token()));
            tracing::warn!(session = %self.token(), "the damaged spool is kept in {}", aside.display());
            fs::rename(&self.folder, aside)?;
            return durable::sync_folder(spool);
        }
        let done = spool.join(format!("{DONE_PREFIX}{}", self.token()));
        match fs::rename(&self.folder, &done) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        durable::sync_folder(spool)?;
        fs::remove_dir_all(&done)
    }

    /// For `status`.
    pub(super) fn describe(&self) -> LocalSession {
        let progress = self.progress().clone();
        let state = if progress.refused.is_some() {
            SessionState::Refused
        } else if progress.sealed {
            SessionState::Delivering
        } else {
            SessionState::Recording
        };
        LocalSession {
            terminal_session_token: self.token().clone(),
            state,
            reason: progress.refused.or(progress.trouble),
            segments: progress.segments,
            acknowledged: progress.acknowledged,
            spool_bytes: allocated_bytes(&self.folder),
        }
    }
}

fn spool_name(kind: &str) -> String {
    format!("{kind}.spool")
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn allocated_bytes(folder: &Path) -> u64 {
    const BLOCK_BYTES: u64 = 512;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some(if metadata.is_dir() {
                allocated_bytes(&entry.path())
            } else {
                metadata.blocks() * BLOCK_BYTES
            })
        })
        .sum()
}

/// What lies in the spool when the agent starts.
pub(super) struct TakenUp {
    pub(super) sessions: Vec<Session>,
    /// What is left alone because it cannot be read, for `status`.
    pub(super) unreadable: Vec<LocalSession>,
}

/// Opens every session in the spool, clears what was never begun or is done, and leaves alone what it cannot read.
pub(super) fn take_up(spool: &Path) -> Result<TakenUp, String> {
    let mut sessions = Vec::new();
    let mut unreadable = Vec::new();
    for folder in folders(spool)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(durable::TEMPORARY_PREFIX) || name.starts_with(DONE_PREFIX) {
            fs::remove_dir_all(&folder)
                .map_err(|error| format!("{} cannot be removed: {error}", folder.display()))?;
            continue;
        }
        if name.starts_with(DAMAGED_PREFIX) {
            continue;
        }
        match Session::open(&folder) {
            Ok(session) if session.token().as_str() == name => sessions.push(session),
            Ok(session) => {
                tracing::error!("{} holds session {}; it is left alone", folder.display(), session.token());
            }
            Err(why) => {
                tracing::error!("{why}; the session is left alone");
                if let Ok(terminal_session_token) = TerminalSessionToken::parse(&name) {
                    unreadable.push(LocalSession {
                        terminal_session_token,
                        state: SessionState::Unreadable,
                        reason: Some(why),
                        segments: 0,
                        acknowledged: 0,
                        spool_bytes: allocated_bytes(&folder),
                    });
                }
            }
        }
    }
    sessions.sort_by_key(|session| session.start.agent_recording_number);
    Ok(TakenUp { sessions, unreadable })
}

/// For `status` while no agent runs: what lies in the spool, by the names of the folders.
pub(crate) fn list_spool(spool: &Path) -> Result<Vec<(TerminalSessionToken, u64)>, String> {
    list(spool, "")
}

/// For `status`: what was delivered although some of its spool could not be read.
pub(super) fn list_damaged(spool: &Path) -> Result<Vec<LocalSession>, String> {
    let sessions = list(spool, DAMAGED_PREFIX)?.into_iter().map(|(token, spool_bytes)| LocalSession {
        state: SessionState::Damaged,
        reason: Some(format!("delivered; what could not be read is kept in {DAMAGED_PREFIX}{token}")),
        terminal_session_token: token,
        segments: 0,
        acknowledged: 0,
        spool_bytes,
    });
    Ok(sessions.collect())
}

fn list(spool: &Path, prefix: &str) -> Result<Vec<(TerminalSessionToken, u64)>, String> {
    Ok(folders(spool)?
        .into_iter()
        .filter_map(|folder| {
            let name = folder.file_name()?.to_string_lossy().into_owned();
            let token = TerminalSessionToken::parse(name.strip_prefix(prefix)?).ok()?;
            Some((token, allocated_bytes(&folder)))
        })
        .collect())
}

/// Whether anything in the spool is a session, or may be one: all that is neither half made nor delivered.
pub(crate) fn waiting_sessions(spool: &Path) -> Result<usize, String> {
    let passing = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        [durable::TEMPORARY_PREFIX, DONE_PREFIX, DAMAGED_PREFIX].iter().any(|prefix| name.starts_with(prefix))
    };
    Ok(folders(spool)?.iter().filter(|folder| !passing(folder)).count())
}

fn folders(spool: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error: io::Error| format!("{} cannot be read: {error}", spool.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(spool).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if entry.file_type().map_err(cannot)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use recording::{
        AccountId, AgentId, Compressor, CutPolicy, InstanceId, Micros, RecordingKind, SealingKey,
        SegmentCutter, TerminalSize, Timestamp,
    };

    use super::*;

    fn start() -> Start {
        Start {
            format: recording::DocumentFormat::V1,
            recording: TerminalSessionToken::generate(),
            kind: RecordingKind::Terminal,
            account: AccountId::parse("1000000000000001").unwrap(),
            instance: InstanceId::parse("i-one").unwrap(),
            agent: AgentId::generate(),
            agent_sealing_key: SealingKey::generate().public_key(),
            agent_recording_number: 1,
            previous_manifest: None,
            configuration_revision: 0,
            started_at: Timestamp::from_millis(0),
            terminal: TerminalSize { columns: 80, rows: 24 },
            command: None,
            claimed_user: None,
            term: None,
            shell: None,
            agent_version: None,
        }
    }

    /// A session with one segment that is cut.
    fn with_segment(spool: &Path) -> (Session, CutRecord) {
        let note =
            Note { kind: "terminal".into(), start_boottime_micros: 0, user_id: None, configuration: None };
        let (session, _) = Session::create(spool, start(), note).unwrap();
        let mut cutter = SegmentCutter::new(&session.start, &session.start_document, CutPolicy::default());
        cutter.push_output(Micros::new(1), b"x");
        let segment = cutter.cut(&mut Compressor::new().unwrap()).unwrap().unwrap();
        let record = CutRecord {
            entry: segment.entry(),
            chain_before: segment.chain_before,
            spool_end: 18,
            state: cutter.state().clone(),
            exit: None,
            last_gap: None,
            damaged: false,
        };
        session.keep_segment(&segment.bytes, &record).unwrap();
        (session, record)
    }

    #[test]
    fn an_acknowledged_segment_is_done_with_although_its_spool_cannot_be_freed() {
        let spool = tempfile::tempdir().unwrap();
        let (session, record) = with_segment(spool.path());
        // A folder in its place cannot be opened for writing by anyone.
        fs::remove_file(session.spool_path()).unwrap();
        fs::create_dir(session.spool_path()).unwrap();
        session.erase_segment(&record).unwrap();
        assert_eq!(session.progress().acknowledged, 1);
        assert!(!session.segment_path(0).exists());
    }
}
