//! The folder of exported files: one line for each row of the audit trail and each anchor (`line`), in one file for each
//! UTC day on which lines are written, `events-YYYY-MM-DD.log`, with `events.log` as a link to the newest. Only the
//! owner has access to the folder (0700) and the files (0600). No file is ever removed or changed here.
//!
//! The files themselves tell what was exported. `.export-state` says how far they had been read when it was written, and
//! is only a short cut: what follows is read again at the start, and without it everything is. A last line that was cut
//! off is removed, and its row is written again. Each batch is on stable storage (fdatasync) before the next one begins,
//! so that a loss of power costs at most one batch, which the database still has.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use domain::Timestamp;
use rustix::fs::{FlockOperation, flock};

use super::days::Day;
use super::line::ExportedLine;
use crate::rows::audit_writer_rows::Exported;

const LINK: &str = "events.log";
const LOCK: &str = ".lock";
const STATE: &str = ".export-state";
const STATE_FIRST_LINE: &str = "hansard-audit-export-v1";
/// How many bytes may follow the place noted in the state before the state is written again.
const STATE_EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// Why a folder cannot receive exported files.
#[derive(Debug, thiserror::Error)]
pub enum AuditLogError {
    /// Another process writes to it.
    #[error("another control plane exports its audit trail to {}; each needs a folder of its own", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The file system reported an error.
    #[error("the audit files in {} cannot be {step}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What was being done.
        step: &'static str,
        /// The error.
        #[source]
        source: io::Error,
    },
}

/// The open folder. Its lock is held as long as the value exists.
#[derive(Debug)]
pub(crate) struct AuditLog {
    folder: PathBuf,
    origin: String,
    newest: Option<Newest>,
    positions: BTreeMap<String, Exported>,
    state_at: Option<(String, u64)>,
    _lock: File,
}

/// A folder of exported files, as a check finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFolder {
    /// The files, the oldest first.
    pub files: Vec<PathBuf>,
    /// The id that the folder was given, if it is still recorded there.
    pub(crate) origin: Option<String>,
}

impl AuditFolder {
    /// Looks into a folder; a folder that does not exist has no files.
    ///
    /// # Errors
    /// The folder cannot be read; the error names it.
    pub fn look(folder: &Path) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            entries => entries.map_err(named)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(named)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("events-") && name.ends_with(".log") {
                files.push(path);
            }
        }
        files.sort();
        Ok(Self { files, origin: State::read(folder).map(|state| state.origin) })
    }

    /// Files that were named individually.
    #[must_use]
    pub fn of_files(files: &[PathBuf]) -> Self {
        Self { files: files.to_vec(), origin: None }
    }
}

/// The content of `.export-state`.
#[derive(Debug, Default)]
struct State {
    origin: String,
    at: Option<(String, u64)>,
    positions: BTreeMap<String, Exported>,
}

impl State {
    /// A state that makes no sense counts as missing.
    fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(STATE)).ok()?;
        let mut lines = text.lines();
        if lines.next() != Some(STATE_FIRST_LINE) || !text.ends_with("\nend\n") {
            return None;
        }
        let mut state = Self::default();
        for line in lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["origin", origin] => state.origin = origin.to_owned(),
                ["file", name, offset] => {
                    state.at = offset.parse().ok().map(|offset| (name.to_owned(), offset));
                }
                ["writer", writer_id, events, anchors] => {
                    if let (Ok(events), Ok(anchors)) = (events.parse(), anchors.parse()) {
                        state.positions.insert(writer_id.to_owned(), Exported { events, anchors });
                    }
                }
                _ => {}
            }
        }
        Some(state).filter(|state| !state.origin.is_empty())
    }
}

/// The file that lines are appended to.
#[derive(Debug)]
struct Newest {
    name: String,
    file: File,
    /// The length up to which it holds complete lines that are known to be stored.
    length: u64,
}

impl AuditLog {
    /// Opens the folder, creates it if it does not exist, and finds out what it holds.
    pub(crate) fn open(folder: &Path) -> Result<Self, AuditLogError> {
        let failed = |step| move |source| AuditLogError::Io { folder: folder.to_owned(), step, source };
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("kept"))?;
        }
        let lock = private().open(folder.join(LOCK)).map_err(failed("locked"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => AuditLogError::InUse { folder: folder.to_owned() },
            error => failed("locked")(error.into()),
        })?;
        let State { origin, at, positions } = State::read(folder).unwrap_or_default();
        let mut log =
            Self { folder: folder.to_owned(), origin, newest: None, positions, state_at: at, _lock: lock };
        log.read_files().map_err(failed("read"))?;
        if log.origin.is_empty() {
            let mut id = [0_u8; 16];
            SystemRandom::new().fill(&mut id).expect("the operating system's random source works");
            log.origin = hex::encode(id);
        }
        log.save_state().map_err(failed("written"))?;
        Ok(log)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The id of the folder.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// How far a writer was exported, according to the files.
    pub(crate) fn position(&self, writer_id: &str) -> Exported {
        self.positions.get(writer_id).copied().unwrap_or_default()
    }

    /// Writes lines, all of them or none, and returns the day whose file they are in. They are on stable storage when it
    /// returns.
    pub(crate) fn append(&mut self, lines: &[ExportedLine], now: Timestamp) -> Result<Day, AuditLogError> {
        self.try_append(lines, now).map_err(|source| AuditLogError::Io {
            folder: self.folder.clone(),
            step: "written",
            source,
        })?;
        let newest = self.newest.as_ref().and_then(|newest| Day::of_file(&newest.name));
        Ok(newest.unwrap_or_else(|| Day::of(now)))
    }

    /// Forgets the writers that are not in `open`, and writes the state.
    pub(crate) fn settle(&mut self, open: impl Fn(&str) -> bool) -> Result<(), AuditLogError> {
        self.positions.retain(|writer_id, _| open(writer_id));
        self.save_state().map_err(|source| AuditLogError::Io {
            folder: self.folder.clone(),
            step: "written",
            source,
        })
    }

    fn try_append(&mut self, lines: &[ExportedLine], now: Timestamp) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.turn_to(now)?;
        let text: String = lines.iter().map(ExportedLine::to_text).collect();
        let newest = self.newest.as_mut().expect("turned to above");
        // Shorter: the file was truncated, as logrotate does. Longer: a batch that failed half-way.
        let length = newest.file.metadata()?.len().min(newest.length);
        newest.file.set_len(length)?;
        newest.file.write_all_at(text.as_bytes(), length)?;
        newest.file.sync_data()?;
        newest.length = length + text.len() as u64;
        for line in lines {
            advance(&mut self.positions, line);
        }
        let newest = self.newest.as_ref().expect("turned to above");
        let far = self.state_at.as_ref().is_none_or(|(name, offset)| {
            *name != newest.name || newest.length.saturating_sub(*offset) > STATE_EVERY_BYTES
        });
        if far { self.save_state() } else { Ok(()) }
    }

    /// Makes the file of the day the newest one. The day never goes back, even if a clock does.
    fn turn_to(&mut self, now: Timestamp) -> io::Result<()> {
        let today = Day::of(now).file_name();
        let name = match &self.newest {
            Some(newest) if newest.name >= today => newest.name.clone(),
            _ => today,
        };
        let path = self.folder.join(&name);
        let is_there = self
            .newest
            .as_ref()
            .is_some_and(|newest| newest.name == name && same_file(&newest.file, &path).unwrap_or(false));
        if is_there {
            return Ok(());
        }
        let file = private().open(&path)?;
        let length = file.metadata()?.len();
        self.newest = Some(Newest { name: name.clone(), file, length });
        // A rename replaces the link in one step: a reader who follows it finds a file at any moment.
        let new_link = self.folder.join(".events.log.new");
        match fs::remove_file(&new_link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(&name, &new_link)?;
        fs::rename(&new_link, self.folder.join(LINK))?;
        File::open(&self.folder)?.sync_all()
    }

    fn save_state(&mut self) -> io::Result<()> {
        let mut text = format!("{STATE_FIRST_LINE}\norigin {}\n", self.origin);
        let at = self.newest.as_ref().map(|newest| (newest.name.clone(), newest.length));
        if let Some((name, offset)) = &at {
            text.push_str(&format!("file {name} {offset}\n"));
        }
        for (writer_id, Exported { events, anchors }) in &self.positions {
            text.push_str(&format!("writer {writer_id} {events} {anchors}\n"));
        }
        text.push_str("end\n");
        let partial = self.folder.join(".export-state.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, self.folder.join(STATE))?;
        self.state_at = at;
        Ok(())
    }

    /// Reads what the files hold beyond the state, and truncates the newest after its last complete line.
    fn read_files(&mut self) -> io::Result<()> {
        let mut names: Vec<String> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| Day::of_file(name).is_some()));
        }
        names.sort();
        let length_of = |name: &str| fs::metadata(self.folder.join(name)).map(|metadata| metadata.len());
        let known = self.state_at.clone().filter(|(name, offset)| {
            names.contains(name) && length_of(name).is_ok_and(|length| length >= *offset)
        });
        if known.is_none() {
            // The positions may refer to files that no longer exist. They are kept all the same, because what was
            // exported once is not exported again only because somebody archived the files.
            tracing::debug!(folder = %self.folder.display(), "all audit files are read to find out what was exported");
        }
        let Some(newest) = names.last().cloned() else { return Ok(()) };
        for name in names {
            let from = match &known {
                Some((at, _)) if name < *at => continue,
                Some((at, offset)) if name == *at => *offset,
                _ => 0,
            };
            let whole = self.read_file(&name, from)?;
            if name == newest {
                let path = self.folder.join(&name);
                let file = private().open(&path)?;
                if file.metadata()?.len() > whole {
                    tracing::warn!(file = %path.display(), "the last line was torn; it is written again");
                    file.set_len(whole)?;
                    file.sync_all()?;
                }
                self.newest = Some(Newest { name, file, length: whole });
            }
        }
        Ok(())
    }

    /// Takes note of the lines from a place on; returns the place behind the last valid line.
    fn read_file(&mut self, name: &str, from: u64) -> io::Result<u64> {
        let mut file = File::open(self.folder.join(name))?;
        file.seek(SeekFrom::Start(from))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (mut whole, mut at, mut text) = (from, from, Vec::new());
        loop {
            text.clear();
            let read = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut text)?;
            if read == 0 {
                return Ok(whole);
            }
            at += read as u64;
            if text.last() != Some(&b'\n') {
                continue;
            }
            if let Some(line) = ExportedLine::parse(&text) {
                advance(&mut self.positions, &line);
                whole = at;
            }
        }
    }
}

/// Longer lines are not ours: an anchor names at most 500 other writers, and no text of an event is longer than a call.
pub(crate) const LINE_LIMIT: u64 = 4 * 1024 * 1024;

fn advance(positions: &mut BTreeMap<String, Exported>, line: &ExportedLine) {
    match line {
        ExportedLine::Event(event) => {
            let position = positions.entry(event.writer_id.clone()).or_default();
            position.events = position.events.max(event.sequence);
        }
        ExportedLine::Anchor(anchor) => {
            let position = positions.entry(anchor.writer_id.clone()).or_default();
            position.anchors = position.anchors.max(anchor.number);
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    // A file is never created through a link that somebody else planted.
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    options.read(true).write(true).create(true).mode(0o600).custom_flags(nofollow);
    options
}

fn same_file(file: &File, path: &Path) -> io::Result<bool> {
    let (open, there) = (file.metadata()?, fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (there.dev(), there.ino()))
}
