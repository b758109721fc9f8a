//! The folder store's blocking half.
//!
//! Every path is walked from the root's descriptor one component at a time, never through a symbolic link, so that
//! neither a name nor a planted link leads out of the root.
//!
//! A write consists of: a file in the store's folder of unfinished writes, its bytes, fsync, a hard link under the
//! object's name (which fails when the name is taken: this makes it put-once), removal of the first name, fsync of the
//! object's folder. A reader sees either nothing or everything. The writer holds a lock on its unfinished file, which
//! ends with the process: an unlocked file in this folder is a leftover. There is one such folder, at the root and so
//! outside every bucket, rather than a temporary name beside each object, so that looking for leftovers does not require
//! walking over every object. Earlier versions had one in each bucket; what they left there is still found.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    Access, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, accessat, flock, fstatvfs, linkat, mkdirat,
    openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::PutOutcome;

/// The folder of unfinished writes, directly below the root. No component of an object's name may be this word: earlier
/// versions kept such a folder in each bucket, and its leftovers are removed.
pub(super) const UNFINISHED: &str = ".hansard-unfinished";
const FOLDER_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::from_bits_retain(0o600);
const OTHER_FILE_SYSTEM: &str =
    "it lies on another file system than the store's root, where unfinished writes are";
/// How many folders are remembered as durable; beyond that, all are checked again.
const MOST_DURABLE_FOLDERS: usize = 10_000;

/// An error that is not yet tied to an object.
#[derive(Debug)]
pub(super) enum Fault {
    NotFound,
    OtherBytes,
    Unusable { why: &'static str },
    TooLong { most: usize },
    OutsideRange { range: Range<u64>, length: u64 },
    Io { step: &'static str, source: io::Error },
}

pub(super) fn fault(step: &'static str) -> impl FnOnce(Errno) -> Fault {
    move |errno| match errno {
        Errno::NOENT => Fault::NotFound,
        Errno::LOOP | Errno::NOTDIR => Fault::Unusable { why: "a part of it is a file or a symbolic link" },
        Errno::NAMETOOLONG => Fault::Unusable { why: "it is longer than the file system allows" },
        Errno::XDEV => Fault::Unusable { why: OTHER_FILE_SYSTEM },
        errno => Fault::Io { step, source: errno.into() },
    }
}

fn io_fault(step: &'static str) -> impl FnOnce(io::Error) -> Fault {
    move |source| Fault::Io { step, source }
}

pub(super) struct FolderIo {
    root: File,
    /// The folders that this process knows to be durable, by their paths. The lock is held while folders are made and
    /// fsynced into their parents: a write that finds a folder made by another write must not finish before that folder
    /// is durable.
    durable_folders: Mutex<HashSet<String>>,
}

impl FolderIo {
    pub(super) fn open(root: &Path) -> Result<Self, Fault> {
        make_durable_folder(root).map_err(io_fault("make"))?;
        let root = File::open(root).map_err(io_fault("open"))?;
        if !root.metadata().map_err(io_fault("open"))?.is_dir() {
            return Err(Fault::Io { step: "open", source: Errno::NOTDIR.into() });
        }
        Ok(Self { root, durable_folders: Mutex::default() })
    }

    pub(super) fn put_once(&self, path: &[&str], bytes: &[u8]) -> Result<PutOutcome, Fault> {
        let (name, folders) = path.split_last().ok_or(Fault::Unusable { why: "it is empty" })?;
        let folder = self.make_folders(folders)?;
        // Usually the object is new, but a repeated upload is not worth a second file.
        if let Some(outcome) = compare(&folder, name, bytes)? {
            return Ok(outcome);
        }
        let unfinished = Unfinished::write(self.make_folders(&[UNFINISHED])?, bytes)?;
        match linkat(&unfinished.folder, unfinished.name.as_str(), &folder, *name, AtFlags::empty()) {
            Ok(()) => {
                drop(unfinished);
                sync(&folder)?;
                Ok(PutOutcome::Stored)
            }
            Err(Errno::EXIST) => {
                drop(unfinished);
                compare(&folder, name, bytes)?
                    .ok_or_else(|| Fault::Io { step: "write", source: Errno::NOENT.into() })
            }
            Err(errno) => Err(fault("name")(errno)),
        }
    }

    pub(super) fn read(&self, path: &[&str], most: usize) -> Result<Vec<u8>, Fault> {
        let file = self.open_object(path)?;
        let length = file.metadata().map_err(io_fault("read"))?.len();
        let length =
            usize::try_from(length).ok().filter(|length| *length <= most).ok_or(Fault::TooLong { most })?;
        let mut bytes = Vec::with_capacity(length);
        // The file may grow meanwhile: other programs that write to the folder need not write only once.
        file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(io_fault("read"))?;
        if bytes.len() > most { Err(Fault::TooLong { most }) } else { Ok(bytes) }
    }

    pub(super) fn read_range(&self, path: &[&str], range: Range<u64>) -> Result<Vec<u8>, Fault> {
        let file = self.open_object(path)?;
        let length = file.metadata().map_err(io_fault("read"))?.len();
        if range.start > range.end || range.end > length {
            return Err(Fault::OutsideRange { range, length });
        }
        let wanted = usize::try_from(range.end - range.start)
            .map_err(|_| Fault::OutsideRange { range: range.clone(), length })?;
        let mut bytes = vec![0; wanted];
        file.read_exact_at(&mut bytes, range.start).map_err(io_fault("read"))?;
        Ok(bytes)
    }

    pub(super) fn length(&self, path: &[&str]) -> Result<u64, Fault> {
        Ok(self.open_object(path)?.metadata().map_err(io_fault("read"))?.len())
    }

    pub(super) fn delete(&self, path: &[&str]) -> Result<(), Fault> {
        let (name, folders) = path.split_last().ok_or(Fault::NotFound)?;
        let folder = self.open_folders(folders).map_err(absent_if_unusable)?;
        let is_object = statat(&folder, *name, AtFlags::SYMLINK_NOFOLLOW).map_err(fault("delete"))?;
        if FileType::from_raw_mode(is_object.st_mode) != FileType::RegularFile {
            return Err(Fault::NotFound);
        }
        unlinkat(&folder, *name, AtFlags::empty()).map_err(fault("delete"))?;
        sync(&folder)
    }

    /// Checks whether objects can be written below a folder, which need not exist yet. It writes nothing itself: only
    /// the first write reveals a full disk.
    pub(super) fn check_writable(&self, path: &[&str]) -> Result<(), Fault> {
        let longest = fstatvfs(&self.root).map_err(fault("look at"))?.f_namemax;
        if path.iter().any(|component| component.len() as u64 > longest) {
            return Err(fault("look at")(Errno::NAMETOOLONG));
        }
        match open_folder(&self.root, UNFINISHED) {
            Ok(unfinished) => check_access(&unfinished)?,
            Err(Errno::NOENT) => check_access(&self.root)?,
            Err(errno) => {
                return Err(Fault::Io {
                    step: "open the folder of unfinished writes of",
                    source: errno.into(),
                });
            }
        }
        let mut folder = open_folder(&self.root, ".").map_err(fault("open"))?;
        for component in path {
            folder = match open_folder(&folder, component) {
                Ok(inner) => inner,
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(fault("open")(errno)),
            };
        }
        let device = |folder: &File| statat(folder, ".", AtFlags::empty()).map(|stat| stat.st_dev);
        if device(&folder).map_err(fault("look at"))? != device(&self.root).map_err(fault("look at"))? {
            return Err(Fault::Unusable { why: OTHER_FILE_SYSTEM });
        }
        check_access(&folder)
    }

    /// Removes unfinished writes whose writers are gone; returns how many.
    pub(super) fn remove_leftovers(&self) -> Result<usize, Fault> {
        let mut removed = self.remove_leftovers_in(&[UNFINISHED])?;
        for bucket in names_in(&self.root)? {
            removed += self.remove_leftovers_in(&[&bucket, UNFINISHED])?;
            // A folder of an earlier version. A process of that version that runs beside this one may still have its
            // writes there, and creates it again.
            if let Ok(bucket) = self.open_folders(&[&bucket]) {
                let _ = unlinkat(&bucket, UNFINISHED, AtFlags::REMOVEDIR);
            }
        }
        Ok(removed)
    }

    fn remove_leftovers_in(&self, path: &[&str]) -> Result<usize, Fault> {
        let folder = match self.open_folders(path) {
            Ok(folder) => folder,
            Err(Fault::NotFound | Fault::Unusable { .. }) => return Ok(0),
            Err(fault) => return Err(fault),
        };
        let mut removed = 0;
        for name in names_in(&folder)? {
            let Some(file) = open_regular(&folder, &name)? else { continue };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                unlinkat(&folder, name.as_str(), AtFlags::empty()).map_err(fault("clean up"))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn open_object(&self, path: &[&str]) -> Result<File, Fault> {
        let (name, folders) = path.split_last().ok_or(Fault::NotFound)?;
        let folder = self.open_folders(folders).map_err(absent_if_unusable)?;
        open_regular(&folder, name)?.ok_or(Fault::NotFound)
    }

    pub(super) fn open_folders(&self, path: &[&str]) -> Result<File, Fault> {
        let mut folder = open_folder(&self.root, ".").map_err(fault("open"))?;
        for component in path {
            folder = open_folder(&folder, component).map_err(fault("open"))?;
        }
        Ok(folder)
    }

    fn make_folders(&self, path: &[&str]) -> Result<File, Fault> {
        let mut durable = self.durable_folders.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() > MOST_DURABLE_FOLDERS {
            durable.clear();
        }
        let mut folder = open_folder(&self.root, ".").map_err(fault("open"))?;
        let mut walked = String::new();
        for component in path {
            walked.push('/');
            walked.push_str(component);
            let inner = match open_folder(&folder, component) {
                Ok(inner) if durable.contains(&walked) => inner,
                // The process that made the folder may have died before it was durable.
                Ok(inner) => {
                    sync(&folder)?;
                    inner
                }
                Err(Errno::NOENT) => {
                    match mkdirat(&folder, *component, FOLDER_MODE) {
                        // Another process may have made it between the two calls.
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(fault("make a folder for")(errno)),
                    }
                    sync(&folder)?;
                    open_folder(&folder, component).map_err(fault("open"))?
                }
                Err(errno) => return Err(fault("open")(errno)),
            };
            if !durable.contains(&walked) {
                durable.insert(walked.clone());
            }
            folder = inner;
        }
        Ok(folder)
    }
}

/// An unfinished write. Dropping it removes its first name; a link under another name stays.
struct Unfinished {
    folder: File,
    name: String,
    locked: File,
}

impl Unfinished {
    fn write(folder: File, bytes: &[u8]) -> Result<Self, Fault> {
        let name = domain::identity::random_alphanumeric(20);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, name.as_str(), flags, FILE_MODE).map_err(fault("write"))?;
        let mut unfinished = Self { folder, name, locked: File::from(file) };
        flock(&unfinished.locked, FlockOperation::NonBlockingLockExclusive).map_err(fault("write"))?;
        unfinished.locked.write_all(bytes).map_err(io_fault("write"))?;
        unfinished.locked.sync_all().map_err(io_fault("write"))?;
        Ok(unfinished)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What cannot be removed now is a leftover for the next start.
        let _ = unlinkat(&self.folder, self.name.as_str(), AtFlags::empty());
    }
}

/// Makes a folder with all missing folders above it, each fsynced into its parent.
fn make_durable_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    make_durable_folder(above)?;
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        // Another process may have made it just now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    File::open(above)?.sync_all()
}

pub(super) fn open_folder(parent: &File, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty()).map(File::from)
}

/// Checks that this process may make files in a folder: its rights, and whether the file system accepts writes at all.
fn check_access(folder: &File) -> Result<(), Fault> {
    accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(fault("write below"))
}

/// Opens a regular file; `None` when it is anything else or does not exist.
fn open_regular(folder: &File, name: &str) -> Result<Option<File>, Fault> {
    // Without NONBLOCK, opening a planted pipe would block for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            let is_file = file.metadata().map_err(io_fault("read"))?.is_file();
            Ok(is_file.then_some(file))
        }
        Err(Errno::NOENT | Errno::LOOP | Errno::NAMETOOLONG) => Ok(None),
        Err(errno) => Err(fault("open")(errno)),
    }
}

/// Whether the name is taken, and by which bytes. The same bytes are reported only once they are durable: the write that
/// brought them may still be in progress.
fn compare(folder: &File, name: &str, bytes: &[u8]) -> Result<Option<PutOutcome>, Fault> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(fault("read")(errno)),
        Ok(_) => {}
    }
    let Some(file) = open_regular(folder, name)? else {
        return Err(Fault::Unusable { why: "a folder or a symbolic link has its name" });
    };
    let length = file.metadata().map_err(io_fault("read"))?.len();
    if length != bytes.len() as u64 {
        return Err(Fault::OtherBytes);
    }
    let mut stored = Vec::with_capacity(bytes.len());
    file.take(length + 1).read_to_end(&mut stored).map_err(io_fault("read"))?;
    if stored != bytes {
        return Err(Fault::OtherBytes);
    }
    sync(folder)?;
    Ok(Some(PutOutcome::AlreadyThere))
}

fn sync(folder: &File) -> Result<(), Fault> {
    folder.sync_all().map_err(io_fault("make durable"))
}

/// To a reader, an object below a file is as absent as any other.
fn absent_if_unusable(fault: Fault) -> Fault {
    match fault {
        Fault::Unusable { .. } => Fault::NotFound,
        other => other,
    }
}

/// The names directly in a folder, except those that are not UTF-8, which are not ours.
pub(super) fn names_in(folder: &File) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(fault("list"))? {
        let entry = entry.map_err(fault("list"))?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_owned()),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_stood_there_before_is_made_durable_once() {
        let root = tempfile::tempdir().unwrap();
        // The state that a process leaves when it dies between making the folder and its fsync.
        std::fs::create_dir_all(root.path().join("bucket/a")).unwrap();
        let io = FolderIo::open(root.path()).unwrap();
        let durable = || {
            let mut folders: Vec<_> = io.durable_folders.lock().unwrap().iter().cloned().collect();
            folders.sort();
            folders
        };
        assert!(durable().is_empty(), "what was found is not trusted");
        io.put_once(&["bucket", "a", "b", "object"], b"x").unwrap();
        let expected = ["/.hansard-unfinished", "/bucket", "/bucket/a", "/bucket/a/b"];
        assert_eq!(durable(), expected);
        io.put_once(&["bucket", "a", "b", "other"], b"y").unwrap();
        assert_eq!(durable(), expected);
    }
}
