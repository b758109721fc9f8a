//! What a server answers.

use recording::events::fact::{Change, Fact, FileChange, Outcome};

use super::Wrong;
use super::content::Closing;
use super::fields::Fields;
use super::session::{LONGEST_HANDLE, Passing, Pending, PendingChange, Session};

const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRS: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

const OK: u32 = 0;
const EOF: u32 = 1;

/// The versions of the protocol whose packets are alike.
const VERSIONS: std::ops::RangeInclusive<u32> = 3..=6;

const OTHER_ANSWER: Wrong = "an answer is of another kind than its request";

fn status(code: u32) -> String {
    let known = match code {
        EOF => "end of file",
        2 => "no such file",
        3 => "permission denied",
        4 => "failure",
        5 => "bad message",
        6 => "no connection",
        7 => "connection lost",
        8 => "operation unsupported",
        _ => return format!("status {code}"),
    };
    known.to_owned()
}

impl Session {
    /// How many bytes of an answer are needed, as far as what is there says.
    pub(super) fn wanted_of_reply(&self, packet: &[u8], length: usize) -> Result<usize, Wrong> {
        match packet.first() {
            None => Ok(1),
            Some(&(VERSION | NAME | EXTENDED_REPLY)) => Ok(5),
            Some(&(STATUS | DATA)) => Ok(9),
            Some(&ATTRS) => Ok(length.min(17)),
            Some(&HANDLE) if length <= 9 + LONGEST_HANDLE => Ok(length),
            Some(&HANDLE) => Err("a handle is longer than any"),
            Some(_) => Err("an answer has a type that there is not"),
        }
    }

    /// Takes an answer. What is returned are bytes of content that follow.
    pub(super) fn reply(
        &mut self,
        packet: &[u8],
        rest: usize,
        facts: &mut Vec<Fact>,
    ) -> Result<usize, Wrong> {
        let mut fields = Fields(packet);
        let kind = fields.byte()?;
        if kind == VERSION {
            let (version, offered) = (fields.number()?, self.offered);
            if self.version.is_some() || offered.is_none_or(|offered| version > offered) {
                return Err("the server begins without being asked to");
            }
            if !VERSIONS.contains(&version) {
                return Err("the server speaks a version that is not known");
            }
            self.version = Some(version);
            return Ok(0);
        }
        if self.version.is_none() {
            return Err("the server does not begin as with SFTP");
        }
        let id = fields.number()?;
        match kind {
            STATUS => {
                let code = fields.number()?;
                let pending = self.answered(id)?;
                self.status(pending, code, facts)?;
            }
            HANDLE => {
                let handle = fields.text()?;
                match self.answered(id)? {
                    Pending::Open(opening) => self.opened(handle, Some(*opening))?,
                    Pending::OpenFolder => self.opened(handle, None)?,
                    _ => return Err(OTHER_ANSWER),
                }
            }
            DATA => {
                let content = fields.number()? as usize;
                if content > rest {
                    return Err("an answer is shorter than its content");
                }
                let Pending::Read { file, offset, length } = *self.pending(id)? else {
                    return Err(OTHER_ANSWER);
                };
                let Some(file) = file else {
                    return Err("the server reads from a handle that it did not give");
                };
                if content > length as usize {
                    return Err("an answer has more content than was asked for");
                }
                self.answered(id)?;
                self.reading = Some(Passing { file, offset });
                return Ok(content);
            }
            NAME => match self.answered(id)? {
                Pending::Names | Pending::Extended => {}
                _ => return Err(OTHER_ANSWER),
            },
            ATTRS => {
                // A size stands first, in every version.
                let size = match fields.number()? & 1 {
                    1 if self.version == Some(3) => Some(fields.long()?),
                    _ => None,
                };
                match self.answered(id)? {
                    Pending::FileSize { file } => {
                        if let (Some(file), Some(size)) = (self.file(file), size) {
                            file.has_size(size);
                        }
                    }
                    Pending::PathSize { path } => {
                        if let Some(size) = size {
                            self.path_has_size(path, size);
                        }
                    }
                    _ => return Err(OTHER_ANSWER),
                }
            }
            EXTENDED_REPLY => {
                let Pending::Extended = self.answered(id)? else { return Err(OTHER_ANSWER) };
            }
            _ => return Err("an answer has a type that there is not"),
        }
        Ok(0)
    }

    fn status(&mut self, pending: Pending, code: u32, facts: &mut Vec<Fact>) -> Result<(), Wrong> {
        let is_ok = code == OK;
        match pending {
            Pending::Open(_) | Pending::OpenFolder | Pending::Read { .. } | Pending::Names if is_ok => {
                return Err("a request is done without what it asked for");
            }
            Pending::Open(opening) => self.not_opened(*opening, Outcome::Failed, status(code), facts),
            Pending::Close(number) => {
                if let Some(file) = self.file(number) {
                    file.closing = Closing::Closed;
                    if !is_ok {
                        file.fails(status(code));
                    }
                }
                self.tell_if_done(number, facts);
            }
            Pending::Read { file, offset, .. } => {
                if let Some(open) = self.file(file) {
                    if code == EOF {
                        open.ends_at(offset);
                    } else {
                        open.fails(status(code));
                    }
                }
                self.content_answered(file, facts);
            }
            Pending::Write { file: None } if is_ok => {
                return Err("the server takes content for a handle that it did not give");
            }
            Pending::Write { file } => {
                if let Some(open) = self.file(file)
                    && !is_ok
                {
                    open.fails(status(code));
                }
                self.content_answered(file, facts);
            }
            Pending::Sync { file } => {
                if let Some(open) = self.file(file)
                    && !is_ok
                {
                    open.fails(format!("it could not be brought to the disk: {}", status(code)));
                }
            }
            Pending::Change(pending) => {
                let PendingChange { change, of_file } = *pending;
                if let Some(open) = self.file(of_file) {
                    match (change.change, change.size) {
                        (Change::Copy, _) => open.is_altered(),
                        (_, Some(size)) if is_ok => open.is_cut_to(size),
                        _ => {}
                    }
                }
                let (result, reason) =
                    if is_ok { (Outcome::Ok, None) } else { (Outcome::Failed, Some(status(code))) };
                facts.push(Fact::FileChange(FileChange { result, reason, ..change }));
            }
            Pending::OpenFolder
            | Pending::FileSize { .. }
            | Pending::PathSize { .. }
            | Pending::Names
            | Pending::Extended
            | Pending::Other => {}
        }
        Ok(())
    }
}
