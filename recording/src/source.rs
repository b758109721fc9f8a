//! The source of a recording's objects.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, FileType};
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::layout::{EvidenceName, ObjectName};
use crate::not_evidence::NotEvidence;
use crate::start::MAX_DOCUMENT_BYTES;

/// What lies in a recording's folder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The names of all objects below the folder, in any order.
    pub objects: Vec<ObjectName>,
    /// What can be no object: links, pipes, odd names, other folders.
    pub foreign: NotEvidence,
}

impl Listing {
    /// A folder with these objects and nothing else.
    #[must_use]
    pub fn of_objects(objects: Vec<ObjectName>) -> Self {
        Self { objects, foreign: NotEvidence::default() }
    }
}

/// The objects of one recording, by the part of their names below its folder.
pub trait ObjectSource {
    /// What lies in the recording's folder.
    ///
    /// # Errors
    /// It cannot be listed.
    fn list(&self) -> io::Result<Listing>;

    /// The bytes of an object.
    ///
    /// # Errors
    /// It cannot be read; [`io::ErrorKind::NotFound`] when it is not there, [`io::ErrorKind::InvalidData`] when its
    /// store says that its bytes are not those that were accepted.
    fn read(&self, name: &ObjectName) -> io::Result<Vec<u8>>;
}

/// Objects in memory.
#[derive(Debug, Default, Clone)]
pub struct MemorySource {
    /// The objects by name.
    pub objects: BTreeMap<ObjectName, Vec<u8>>,
}

impl ObjectSource for MemorySource {
    fn list(&self) -> io::Result<Listing> {
        Ok(Listing::of_objects(self.objects.keys().cloned().collect()))
    }

    fn read(&self, name: &ObjectName) -> io::Result<Vec<u8>> {
        self.objects.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Objects in a folder of the file system.
#[derive(Debug, Clone)]
pub struct FolderSource {
    folder: PathBuf,
}

impl FolderSource {
    /// The objects in this folder and the folders below it.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn entries(
        &self,
        below: &str,
    ) -> io::Result<impl Iterator<Item = io::Result<(DirEntry, FileType)>> + use<>> {
        let path = self.folder.join(below);
        let about = move |error: io::Error| named(&path, &error);
        let entries = fs::read_dir(self.folder.join(below)).map_err(&about)?;
        Ok(entries.map(move |entry| {
            entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind))).map_err(&about)
        }))
    }

    /// Adds what lies in a folder of the recording. Where none of it is an object of one, the folder is foreign as a whole.
    fn list_folder(&self, folder: &str, listing: &mut Listing) -> io::Result<()> {
        let mut found = Listing::default();
        let mut foreign = Vec::new();
        let mut is_evidence = false;
        for entry in self.entries(folder)? {
            let (entry, kind) = entry?;
            match file_below(Some(folder), &entry.file_name(), kind) {
                Ok(name) => {
                    is_evidence |= EvidenceName::parse(name.as_str()).is_some()
                        || EvidenceName::is_reserved(name.as_str());
                    found.objects.push(name);
                }
                Err(shown) => foreign.push(shown),
            }
        }
        if is_evidence {
            listing.objects.append(&mut found.objects);
            foreign.into_iter().for_each(|shown| listing.foreign.add(shown));
        } else {
            listing.foreign.add(format!("{folder} ({FOLDER})"));
        }
        Ok(())
    }
}

const FOLDER: &str = "a folder";

/// The folder of what is derived from evidence: anybody may add to it, and it is not listed.
const DERIVED: &str = "derived";

/// The name of a file as an object; of anything else, what it is. Nothing is opened and no link is followed: it could lead
/// out of the folder, and a pipe has no end.
fn file_below(folder: Option<&str>, name: &OsStr, kind: FileType) -> Result<ObjectName, String> {
    let below = |name: &str| folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"));
    let text = name.to_str().map(below);
    let what = if kind.is_file() {
        match text.as_deref().map(ObjectName::parse) {
            Some(Ok(name)) => return Ok(name),
            _ => "a name that no object has",
        }
    } else if kind.is_dir() {
        FOLDER
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    // What is not UTF-8 is shown with its bytes escaped.
    let shown = text.unwrap_or_else(|| below(format!("{name:?}").trim_matches('"')));
    Err(format!("{shown} ({what})"))
}

/// An error with the path that it is about.
fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl ObjectSource for FolderSource {
    /// The files that can be objects. Objects lie in the folder or one below it that is a stream's or has a reserved name;
    /// deeper ones, and other folders, are foreign and not entered.
    fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in self.entries("")? {
            let (entry, kind) = entry?;
            let name = entry.file_name();
            match name.to_str() {
                Some(DERIVED) if kind.is_dir() => {}
                Some(folder) if kind.is_dir() && EvidenceName::is_folder(folder) => {
                    self.list_folder(folder, &mut listing)?;
                }
                _ => match file_below(None, &name, kind) {
                    Ok(name) => listing.objects.push(name),
                    Err(shown) => listing.foreign.add(shown),
                },
            }
        }
        Ok(listing)
    }

    /// The bytes of a file; of one that is longer than any object of a recording only as many as show that.
    fn read(&self, name: &ObjectName) -> io::Result<Vec<u8>> {
        let path = self.folder.join(name.as_str());
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(named(&path, &io::Error::new(io::ErrorKind::NotFound, "it is not a file")));
        }
        let file = fs::File::open(path)?;
        let mut bytes = Vec::new();
        file.take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_lists_and_reads_what_lies_in_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("terminal")).unwrap();
        fs::write(folder.path().join("start.json"), b"{}").unwrap();
        fs::write(folder.path().join("terminal/000000.cast.zst"), b"abc").unwrap();
        let source = FolderSource::new(folder.path());
        let mut names = source.list().unwrap().objects;
        names.sort();
        let names: Vec<_> = names.iter().map(ObjectName::as_str).collect();
        assert_eq!(names, ["start.json", "terminal/000000.cast.zst"]);
        let segment = ObjectName::parse("terminal/000000.cast.zst").unwrap();
        assert_eq!(source.read(&segment).unwrap(), b"abc");
        let missing = ObjectName::parse("terminal/000001.cast.zst").unwrap();
        assert_eq!(source.read(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_no_object_is_set_aside_and_never_opened() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for made in
            ["terminal/deeper", "derived/0000-1", "photos", "lost+found", "manifest-0001.json", "heads"]
        {
            fs::create_dir_all(at(made)).unwrap();
        }
        for made in
            ["terminal/000000.cast.zst", "terminal/deeper/start.json", "derived/0000-1/index", "heads/x"]
        {
            fs::write(at(made), b"abc").unwrap();
        }
        fs::write(at("notes.txt"), b"").unwrap();
        fs::write(at("photos/1.jpg"), b"").unwrap();
        fs::write(at("a\u{1b}[2Jb"), b"").unwrap();
        fs::write(folder.path().join(OsStr::from_bytes(b"n\xe9")), b"").unwrap();
        symlink("/etc/hostname", at("start.json")).unwrap();
        symlink("/nonexistent", at("terminal/000001.cast.zst")).unwrap();
        symlink(folder.path(), at("events")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(at("manifest-0000.json")).status().unwrap();
        assert!(pipe.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("s")).unwrap();

        let source = FolderSource::new(folder.path());
        let mut listing = source.list().unwrap();
        listing.objects.sort();
        let names: Vec<_> = listing.objects.iter().map(ObjectName::as_str).collect();
        assert_eq!(names, ["notes.txt", "terminal/000000.cast.zst"]);
        let foreign: Vec<_> = listing.foreign.names().collect();
        let expected = [
            "a\u{1b}[2Jb (a name that no object has)",
            "events (a symbolic link)",
            "heads (a folder)",
            "lost+found (a folder)",
            "manifest-0000.json (a pipe)",
            "manifest-0001.json (a folder)",
            "n\\xE9 (a name that no object has)",
            "photos (a folder)",
            "s (a socket)",
            "start.json (a symbolic link)",
            "terminal/000001.cast.zst (a symbolic link)",
            "terminal/deeper (a folder)",
        ];
        assert_eq!(foreign, expected);
        // A reader that knows the name by other means does not wait for a pipe either.
        for name in ["start.json", "manifest-0000.json", "manifest-0001.json"] {
            let error = source.read(&ObjectName::parse(name).unwrap()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        }
    }

    #[test]
    fn the_folder_that_cannot_be_listed_is_named() {
        let error = FolderSource::new("/nonexistent/recording").list().unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/recording"), "{error}");
    }
}
