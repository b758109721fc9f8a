//! What is known of a session: requests without an answer, and files that are open.

use std::collections::{BTreeMap, HashMap};

use recording::events::fact::{
    Change, Direction, Fact, FileChange, FileTransfer, Outcome, Path, Side, Target,
};

use super::Wrong;
use super::content::{Closing, OpenFile};
use super::fields::Attributes;
use crate::hashing::Room;

/// The most requests that may wait for an answer. Clients that ask for a whole file at once have some ten thousand.
pub(super) const MOST_PENDING: usize = 65_536;
/// The most handles that may be open. OpenSSH's server has as many as it may open files.
pub(super) const MOST_HANDLES: usize = 4_096;
/// The longest handle that a server may give.
pub(super) const LONGEST_HANDLE: usize = 256;
/// What requests without an answer, and open files, may keep in texts.
const MOST_KEPT_BYTES: usize = 8 * 1024 * 1024;
/// What a request with a text costs besides that.
const REQUEST_BYTES: usize = 512;
/// What may be kept of content that came too early.
const EARLY_CONTENT_BYTES: usize = 8 * 1024 * 1024;

/// Which file, since handles can be given again.
pub(super) type FileNumber = u64;

/// A request that has no answer yet.
pub(super) enum Pending {
    Open(Box<Opening>),
    OpenFolder,
    Close(Option<FileNumber>),
    /// `None`: the handle is not one that the server gave.
    Read {
        file: Option<FileNumber>,
        offset: u64,
        length: u32,
    },
    Write {
        file: Option<FileNumber>,
    },
    Sync {
        file: Option<FileNumber>,
    },
    FileSize {
        file: Option<FileNumber>,
    },
    PathSize {
        path: Vec<u8>,
    },
    Change(Box<PendingChange>),
    Names,
    /// Any answer but a handle or content.
    Extended,
    /// Only success or failure.
    Other,
}

pub(super) struct Opening {
    pub(super) path: Vec<u8>,
    pub(super) flags: u32,
    pub(super) mode: Option<String>,
}

pub(super) struct PendingChange {
    pub(super) change: FileChange,
    /// The file whose content it changes without passing it.
    pub(super) of_file: Option<FileNumber>,
}

/// The content that is passing in one direction.
#[derive(Clone, Copy)]
pub(super) struct Passing {
    pub(super) file: FileNumber,
    pub(super) offset: u64,
}

pub(super) struct Session {
    /// The version that the client offered.
    pub(super) offered: Option<u32>,
    /// The version that both speak.
    pub(super) version: Option<u32>,
    pending: HashMap<u32, Pending>,
    kept_bytes: usize,
    handles: HashMap<Vec<u8>, Option<FileNumber>>,
    files: BTreeMap<FileNumber, OpenFile>,
    next_file: FileNumber,
    pub(super) writing: Option<Passing>,
    pub(super) reading: Option<Passing>,
    /// The last path whose size the server said.
    last_size: Option<(Vec<u8>, u64)>,
    room: Room,
    told_files: u64,
}

impl Session {
    pub(super) fn new() -> Self {
        Session {
            offered: None,
            version: None,
            pending: HashMap::new(),
            kept_bytes: 0,
            handles: HashMap::new(),
            files: BTreeMap::new(),
            next_file: 0,
            writing: None,
            reading: None,
            last_size: None,
            room: Room::new(EARLY_CONTENT_BYTES),
            told_files: 0,
        }
    }

    pub(super) fn files(&self) -> u64 {
        self.told_files
    }

    /// The file of a handle; `None` if the server did not give it, or gave it for a folder.
    pub(super) fn file_of(&self, handle: &[u8]) -> Option<FileNumber> {
        self.handles.get(handle).copied().flatten()
    }

    pub(super) fn file(&mut self, number: Option<FileNumber>) -> Option<&mut OpenFile> {
        self.files.get_mut(&number?)
    }

    /// Takes a handle out of use.
    pub(super) fn close(&mut self, handle: &[u8]) -> Option<FileNumber> {
        let number = self.handles.remove(handle).flatten();
        if let Some(file) = self.file(number) {
            file.closing = Closing::Asked;
        }
        number
    }

    /// Notes a request.
    pub(super) fn ask(&mut self, id: u32, pending: Pending) -> Result<(), Wrong> {
        if self.pending.len() >= MOST_PENDING {
            return Err("more requests wait for an answer than are followed");
        }
        let kept = pending.kept_bytes();
        if self.kept_bytes + kept > MOST_KEPT_BYTES {
            return Err("more requests with paths wait for an answer than are followed");
        }
        if let Pending::Read { file, .. } | Pending::Write { file } = &pending
            && let Some(file) = self.file(*file)
        {
            file.unanswered = file.unanswered.saturating_add(1);
        }
        self.kept_bytes += kept;
        match self.pending.insert(id, pending) {
            None => Ok(()),
            Some(_) => Err("a request has the number of one that is not answered"),
        }
    }

    /// The request that an answer is for. It is answered now.
    pub(super) fn answered(&mut self, id: u32) -> Result<Pending, Wrong> {
        let pending = self.pending.remove(&id).ok_or("an answer is for no request")?;
        self.kept_bytes -= pending.kept_bytes();
        Ok(pending)
    }

    /// The request that an answer is for.
    pub(super) fn pending(&self, id: u32) -> Result<&Pending, Wrong> {
        self.pending.get(&id).ok_or("an answer is for no request")
    }

    /// The server opened a file or, without what was asked for, a folder.
    pub(super) fn opened(&mut self, handle: &[u8], opening: Option<Opening>) -> Result<(), Wrong> {
        if handle.len() > LONGEST_HANDLE
            || self.handles.len() >= MOST_HANDLES
            || self.files.len() >= 2 * MOST_HANDLES
        {
            return Err("a handle is longer, or there are more of them, than is followed");
        }
        let number = opening.map(|opening| {
            let size = self.last_size.take().filter(|(path, _)| *path == opening.path).map(|(_, size)| size);
            let file = OpenFile::new(Path::of(&opening.path), opening.flags, opening.mode, size);
            self.kept_bytes += file.kept_bytes();
            let number = self.next_file;
            self.next_file += 1;
            self.files.insert(number, file);
            number
        });
        if self.kept_bytes > MOST_KEPT_BYTES {
            return Err("more files with long paths are open than are followed");
        }
        match self.handles.insert(handle.to_vec(), number) {
            None => Ok(()),
            Some(_) => Err("the server gives a handle that is in use"),
        }
    }

    /// The file could not be opened.
    pub(super) fn not_opened(
        &mut self,
        opening: Opening,
        result: Outcome,
        reason: String,
        facts: &mut Vec<Fact>,
    ) {
        let writes = opening.flags & super::content::WRITE != 0;
        self.told_files += 1;
        facts.push(Fact::TransferFile(FileTransfer {
            path: Path::of(&opening.path),
            direction: if writes { Direction::Upload } else { Direction::Download },
            size: 0,
            sha256: None,
            hash_of: None,
            result,
            reason: Some(reason),
            name: None,
            mode: opening.mode,
        }));
    }

    pub(super) fn path_has_size(&mut self, path: Vec<u8>, size: u64) {
        self.last_size = Some((path, size));
    }

    /// A request about the file's content is answered.
    pub(super) fn content_answered(&mut self, number: Option<FileNumber>, facts: &mut Vec<Fact>) {
        if let Some(file) = self.file(number) {
            file.unanswered = file.unanswered.saturating_sub(1);
        }
        self.tell_if_done(number, facts);
    }

    /// Tells of a file when it is closed and nothing about it is unanswered.
    pub(super) fn tell_if_done(&mut self, number: Option<FileNumber>, facts: &mut Vec<Fact>) {
        let Some(number) = number else { return };
        let is_done = |file: &OpenFile| file.closing == Closing::Closed && file.unanswered == 0;
        let is_passing = [self.writing, self.reading]
            .iter()
            .any(|passing| passing.is_some_and(|passing| passing.file == number));
        if !is_passing
            && self.files.get(&number).is_some_and(is_done)
            && let Some(file) = self.files.remove(&number)
        {
            self.kept_bytes -= file.kept_bytes();
            self.told_files += file.into_facts(&mut self.room, facts);
        }
    }

    /// Takes content that passes in this direction.
    pub(super) fn content(&mut self, side: Side, bytes: &[u8]) {
        let passing = match side {
            Side::Client => &mut self.writing,
            Side::Command => &mut self.reading,
        };
        let Some(passing) = passing else { return };
        let Passing { file, offset } = *passing;
        passing.offset = offset.saturating_add(bytes.len() as u64);
        if let Some(file) = self.files.get_mut(&file) {
            match side {
                Side::Client => file.writes(offset, bytes, &mut self.room),
                Side::Command => file.reads(offset, bytes, &mut self.room),
            }
        }
    }

    /// A packet's content has passed.
    pub(super) fn content_ends(&mut self, side: Side, facts: &mut Vec<Fact>) {
        match side {
            Side::Client => {
                let passed = self.writing.take();
                self.tell_if_done(passed.map(|passed| passed.file), facts);
            }
            Side::Command => {
                if let Some(passed) = self.reading.take() {
                    self.content_answered(Some(passed.file), facts);
                }
            }
        }
    }

    /// The session has ended: what is open was never closed, and what waits was never answered.
    pub(super) fn end(&mut self, facts: &mut Vec<Fact>) {
        (self.writing, self.reading) = (None, None);
        let mut pending: Vec<_> = self.pending.drain().collect();
        pending.sort_by_key(|(id, _)| *id);
        for file in std::mem::take(&mut self.files).into_values() {
            self.told_files += file.into_facts(&mut self.room, facts);
        }
        let unanswered = || "it was never answered".to_owned();
        for (_, pending) in pending {
            match pending {
                Pending::Open(opening) => self.not_opened(*opening, Outcome::Unfinished, unanswered(), facts),
                Pending::Change(pending) => facts.push(Fact::FileChange(FileChange {
                    result: Outcome::Unfinished,
                    reason: Some(unanswered()),
                    ..pending.change
                })),
                _ => {}
            }
        }
    }
}

impl Pending {
    fn kept_bytes(&self) -> usize {
        match self {
            Pending::Open(opening) => REQUEST_BYTES + opening.path.len(),
            Pending::PathSize { path } => REQUEST_BYTES + path.len(),
            Pending::Change(pending) => {
                let path = &pending.change.path;
                let target = pending.change.to.as_ref();
                let text = |text: &str, bytes: Option<&String>| text.len() + bytes.map_or(0, String::len);
                REQUEST_BYTES
                    + text(&path.path, path.path_bytes.as_ref())
                    + target.map_or(0, |target| text(&target.to, target.to_bytes.as_ref()))
            }
            _ => 0,
        }
    }
}

/// A change that has no answer yet.
pub(super) fn change(change: Change, path: &[u8], to: Option<&[u8]>, attributes: Attributes) -> FileChange {
    FileChange {
        change,
        path: Path::of(path),
        to: to.map(Target::of),
        mode: attributes.mode(),
        size: attributes.size,
        owner: attributes.owner.map(|(owner, _)| owner),
        group: attributes.owner.map(|(_, group)| group),
        modified: attributes.modified.map(u64::from),
        bytes: None,
        result: Outcome::Ok,
        reason: None,
    }
}
