//! A file that is open: what of its content passed in each direction, and whether that is the whole file.

use recording::events::fact::{Direction, Fact, FileTransfer, HashOf, Outcome, Path};

use crate::hashing::{ContentHashing, Room};

pub(super) const READ: u32 = 0x01;
pub(super) const WRITE: u32 = 0x02;
pub(super) const APPEND: u32 = 0x04;
pub(super) const CREATE: u32 = 0x08;
pub(super) const TRUNCATE: u32 = 0x10;
pub(super) const EXCLUSIVE: u32 = 0x20;

/// A file that is open, or was closed and has requests without an answer.
pub(super) struct OpenFile {
    path: Path,
    flags: u32,
    mode: Option<String>,
    /// Requests about its content that are not answered.
    pub(super) unanswered: u32,
    pub(super) closing: Closing,
    read: Content,
    written: Content,
    /// The size that the server says it has.
    said_size: Option<u64>,
    /// The first place of which the server says that it is behind the file's end.
    ends_at: Option<u64>,
    /// The size to which it was cut after writing.
    cut_to: Option<u64>,
    /// Something was done to it that its written content does not show.
    is_altered: bool,
    failure: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closing {
    Open,
    Asked,
    Closed,
}

struct Content(Option<ContentHashing>);

impl Content {
    fn take(&mut self, offset: u64, bytes: &[u8], room: &mut Room) {
        self.0.get_or_insert_with(ContentHashing::new).take(offset, bytes, room);
    }
}

impl OpenFile {
    pub(super) fn new(path: Path, flags: u32, mode: Option<String>, said_size: Option<u64>) -> Self {
        OpenFile {
            path,
            flags,
            mode,
            unanswered: 0,
            closing: Closing::Open,
            read: Content(None),
            written: Content(None),
            said_size,
            ends_at: None,
            cut_to: None,
            is_altered: false,
            failure: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it keeps in texts.
    pub(super) fn kept_bytes(&self) -> usize {
        self.path.path.len() + self.path.path_bytes.as_ref().map_or(0, String::len)
    }

    pub(super) fn reads(&mut self, offset: u64, bytes: &[u8], room: &mut Room) {
        self.read.take(offset, bytes, room);
    }

    pub(super) fn writes(&mut self, offset: u64, bytes: &[u8], room: &mut Room) {
        // What is written behind its end says nothing of where the end is.
        self.cut_to = None;
        self.written.take(offset, bytes, room);
    }

    pub(super) fn ends_at(&mut self, offset: u64) {
        self.ends_at = Some(self.ends_at.map_or(offset, |known| known.min(offset)));
    }

    pub(super) fn has_size(&mut self, size: u64) {
        self.said_size = Some(size);
    }

    /// It was cut or extended to this size.
    pub(super) fn is_cut_to(&mut self, size: u64) {
        let written = self.written.0.as_ref().map_or(0, ContentHashing::passed_bytes);
        if size == 0 && written == 0 {
            self.flags |= TRUNCATE;
        } else {
            self.cut_to = Some(size);
        }
    }

    /// Bytes got into it that did not pass.
    pub(super) fn is_altered(&mut self) {
        self.is_altered = true;
    }

    pub(super) fn fails(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }

    /// It was empty when writing began.
    fn began_empty(&self) -> bool {
        self.flags & TRUNCATE != 0 || self.flags & (CREATE | EXCLUSIVE) == CREATE | EXCLUSIVE
    }

    fn written_is_whole(&self, up_to: u64) -> bool {
        let ends_there = match self.cut_to {
            Some(size) => size == up_to,
            None => self.began_empty(),
        };
        ends_there && !self.is_altered && self.flags & APPEND == 0
    }

    fn read_is_whole(&self, up_to: u64) -> bool {
        self.ends_at == Some(up_to) || self.said_size == Some(up_to)
    }

    /// The events about it, when nothing more can come. One for each direction in which content passed, or could have.
    pub(super) fn into_facts(mut self, room: &mut Room, facts: &mut Vec<Fact>) -> u64 {
        let is_closed = self.closing == Closing::Closed && self.unanswered == 0;
        let reads = self.flags & READ != 0;
        let may_write = self.flags & WRITE != 0;
        let wrote = self.written.0.is_some();
        let has_read = self.read.0.is_some();
        let mut count = 0;
        for (direction, is_told) in [
            (Direction::Upload, wrote || may_write && !(reads && has_read)),
            (Direction::Download, has_read || reads && !may_write),
        ] {
            if !is_told {
                continue;
            }
            let content = match direction {
                Direction::Upload => self.written.0.take(),
                Direction::Download => self.read.0.take(),
            };
            let mut content = content.unwrap_or_else(ContentHashing::new);
            let whole = content.whole_up_to().filter(|up_to| match direction {
                Direction::Upload => self.written_is_whole(*up_to),
                Direction::Download => self.read_is_whole(*up_to),
            });
            let result = match (&self.failure, is_closed) {
                (Some(_), _) => Outcome::Failed,
                (None, true) => Outcome::Ok,
                (None, false) => Outcome::Unfinished,
            };
            let file_hash = whole.and_then(|_| content.file_hash()).filter(|_| result == Outcome::Ok);
            let reason = match result {
                Outcome::Ok => None,
                Outcome::Failed => self.failure.clone(),
                Outcome::Unfinished => Some("it was never closed".to_owned()),
            };
            facts.push(Fact::TransferFile(FileTransfer {
                path: self.path.clone(),
                direction,
                size: content.passed_bytes(),
                hash_of: Some(if file_hash.is_some() { HashOf::File } else { HashOf::Passed }),
                sha256: Some(file_hash.unwrap_or_else(|| content.passed_hash())),
                result,
                reason,
                name: None,
                mode: self.mode.clone().filter(|_| direction == Direction::Upload),
            }));
            content.give_up_the_file(room);
            count += 1;
        }
        count
    }
}
