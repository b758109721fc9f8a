//! What a client asks for.

use recording::events::fact::{Change, Fact, FileChange, Target};

use super::Wrong;
use super::content::{APPEND, CREATE, EXCLUSIVE, READ, TRUNCATE, WRITE};
use super::fields::{Attributes, Fields};
use super::session::{FileNumber, LONGEST_HANDLE, Opening, Passing, Pending, PendingChange, Session, change};

const INIT: u8 = 1;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ_CONTENT: u8 = 5;
const WRITE_CONTENT: u8 = 6;
const LSTAT: u8 = 7;
const FSTAT: u8 = 8;
const SETSTAT: u8 = 9;
const FSETSTAT: u8 = 10;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const REMOVE: u8 = 13;
const MKDIR: u8 = 14;
const RMDIR: u8 = 15;
const REALPATH: u8 = 16;
const STAT: u8 = 17;
const RENAME: u8 = 18;
const READLINK: u8 = 19;
const SYMLINK: u8 = 20;
const LINK: u8 = 21;
const BLOCK: u8 = 22;
const UNBLOCK: u8 = 23;
const EXTENDED: u8 = 200;

/// The bytes of a write before its handle, and between handle and content.
const BEFORE_HANDLE: usize = 9;
const BEFORE_CONTENT: usize = 12;

impl Session {
    /// How many bytes of a request are needed, as far as what is there says.
    pub(super) fn wanted_of_request(&self, packet: &[u8], length: usize) -> Result<usize, Wrong> {
        match packet {
            [] => Ok(1),
            [WRITE_CONTENT, ..] => {
                let Some(handle) = packet.get(BEFORE_HANDLE - 4..BEFORE_HANDLE) else {
                    return Ok(BEFORE_HANDLE);
                };
                let handle = Fields(handle).number()? as usize;
                if handle > LONGEST_HANDLE {
                    return Err("a handle is longer than any");
                }
                Ok(BEFORE_HANDLE + handle + BEFORE_CONTENT)
            }
            [INIT, ..] => Ok(5),
            [OPEN..=LINK | EXTENDED | BLOCK | UNBLOCK, ..] => Ok(length),
            _ => Err("a request has a type that there is not"),
        }
    }

    /// Takes a request. What is returned are bytes of content that follow.
    pub(super) fn request(
        &mut self,
        packet: &[u8],
        rest: usize,
        _facts: &mut Vec<Fact>,
    ) -> Result<usize, Wrong> {
        let mut fields = Fields(packet);
        let kind = fields.byte()?;
        if kind == INIT {
            if self.offered.is_some() {
                return Err("the client begins a second time");
            }
            self.offered = Some(fields.number()?);
            return Ok(0);
        }
        if self.offered.is_none() {
            return Err("the client does not begin as with SFTP");
        }
        let id = fields.number()?;
        let pending = match kind {
            OPEN => self.open(&mut fields)?,
            CLOSE => Pending::Close(self.close(fields.text()?)),
            READ_CONTENT => {
                let file = self.file_of(fields.text()?);
                Pending::Read { file, offset: fields.long()?, length: fields.number()? }
            }
            WRITE_CONTENT => {
                let file = self.file_of(fields.text()?);
                let offset = fields.long()?;
                let content = fields.number()? as usize;
                if content > rest {
                    return Err("a write is shorter than its content");
                }
                self.ask(id, Pending::Write { file })?;
                self.writing = file.map(|file| Passing { file, offset });
                return Ok(content);
            }
            STAT | LSTAT => Pending::PathSize { path: fields.text()?.to_vec() },
            FSTAT => Pending::FileSize { file: self.file_of(fields.text()?) },
            SETSTAT => {
                let path = fields.text()?;
                of_path(change(Change::Attributes, path, None, self.attributes(&mut fields)?))
            }
            FSETSTAT => {
                let file = self.file_of(fields.text()?);
                let attributes = self.attributes(&mut fields)?;
                self.of_file(file, Change::Attributes, attributes)
            }
            OPENDIR => {
                fields.text()?;
                Pending::OpenFolder
            }
            READDIR | REALPATH | READLINK => {
                fields.text()?;
                Pending::Names
            }
            REMOVE => of_path(change(Change::Remove, fields.text()?, None, Attributes::default())),
            RMDIR => of_path(change(Change::Rmdir, fields.text()?, None, Attributes::default())),
            MKDIR => {
                let path = fields.text()?;
                of_path(change(Change::Mkdir, path, None, self.attributes(&mut fields)?))
            }
            RENAME => two_paths(Change::Rename, &mut fields)?,
            // OpenSSH's server takes the two the other way round than the draft says.
            SYMLINK => {
                let (to, path) = (fields.text()?, fields.text()?);
                of_path(change(Change::Symlink, path, Some(to), Attributes::default()))
            }
            LINK => {
                let (path, to, is_symbolic) = (fields.text()?, fields.text()?, fields.byte()?);
                if is_symbolic == 0 {
                    of_path(change(Change::Hardlink, to, Some(path), Attributes::default()))
                } else {
                    of_path(change(Change::Symlink, path, Some(to), Attributes::default()))
                }
            }
            EXTENDED => self.extended(&mut fields)?,
            BLOCK | UNBLOCK => Pending::Other,
            _ => return Err("a request has a type that there is not"),
        };
        self.ask(id, pending)?;
        Ok(0)
    }

    /// Attributes as version 3 writes them; those of later versions are not read.
    fn attributes(&self, fields: &mut Fields<'_>) -> Result<Attributes, Wrong> {
        if matches!(self.version, None | Some(3)) {
            Attributes::read(fields)
        } else {
            Ok(Attributes::default())
        }
    }

    fn open(&mut self, fields: &mut Fields<'_>) -> Result<Pending, Wrong> {
        let path = fields.text()?.to_vec();
        let first = fields.number()?;
        let (flags, mode) = if self.version.is_some_and(|version| version >= 5) {
            // What is asked of the file, and how it is to be opened.
            let access = first & 0x03 | (first & 0x04) | if first & 0x04 != 0 { WRITE } else { 0 };
            let opened = match fields.number()? & 0x07 {
                0 => CREATE | EXCLUSIVE,
                1 => CREATE | TRUNCATE,
                3 => CREATE,
                4 => TRUNCATE,
                _ => 0,
            };
            (access & (READ | WRITE | APPEND) | opened, None)
        } else {
            (first, self.attributes(fields)?.mode())
        };
        Ok(Pending::Open(Box::new(Opening { path, flags, mode })))
    }

    /// A change of a file that is open; where there is none, nothing will come of it.
    fn of_file(&mut self, file: Option<FileNumber>, what: Change, attributes: Attributes) -> Pending {
        let Some(open) = self.file(file) else { return Pending::Other };
        let path = open.path().clone();
        let change = FileChange { path, ..change(what, b"", None, attributes) };
        Pending::Change(Box::new(PendingChange { change, of_file: file }))
    }

    fn extended(&mut self, fields: &mut Fields<'_>) -> Result<Pending, Wrong> {
        Ok(match fields.text()? {
            b"posix-rename@openssh.com" => two_paths(Change::Rename, fields)?,
            b"hardlink@openssh.com" => two_paths(Change::Hardlink, fields)?,
            b"lsetstat@openssh.com" => {
                let path = fields.text()?;
                of_path(change(Change::Attributes, path, None, self.attributes(fields)?))
            }
            b"fsync@openssh.com" => Pending::Sync { file: self.file_of(fields.text()?) },
            b"copy-data" => {
                let from = self.file_of(fields.text()?);
                fields.long()?;
                let bytes = fields.long()?;
                let into = self.file_of(fields.text()?);
                let Some(to) = self.file(into).map(|file| file.path().clone()) else {
                    return Ok(Pending::Other);
                };
                let Pending::Change(mut pending) = self.of_file(from, Change::Copy, Attributes::default())
                else {
                    return Ok(Pending::Other);
                };
                pending.change.to = Some(Target { to: to.path, to_bytes: to.path_bytes });
                pending.change.bytes = Some(bytes);
                pending.of_file = into;
                Pending::Change(pending)
            }
            _ => Pending::Extended,
        })
    }
}

fn of_path(change: FileChange) -> Pending {
    Pending::Change(Box::new(PendingChange { change, of_file: None }))
}

fn two_paths(what: Change, fields: &mut Fields<'_>) -> Result<Pending, Wrong> {
    let (path, to) = (fields.text()?, fields.text()?);
    Ok(of_path(change(what, path, Some(to), Attributes::default())))
}
