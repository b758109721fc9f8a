//! The source of a recording's objects.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use crate::layout::ObjectName;
use crate::start::MAX_DOCUMENT_BYTES;

/// The objects of one recording, by the part of their names below its folder.
pub trait ObjectSource {
    /// The names of all objects below the recording's folder, in any order.
    ///
    /// # Errors
    /// They cannot be listed.
    fn list(&self) -> io::Result<Vec<ObjectName>>;

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
    fn list(&self) -> io::Result<Vec<ObjectName>> {
        Ok(self.objects.keys().cloned().collect())
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

    fn list_below(&self, below: &str, names: &mut Vec<ObjectName>) -> io::Result<()> {
        for entry in fs::read_dir(self.folder.join(below))? {
            let entry = entry?;
            let name = entry.file_name();
            let odd = |what| {
                let path = entry.path();
                io::Error::new(io::ErrorKind::InvalidData, format!("{path:?} {what}"))
            };
            let name = name.to_str().ok_or_else(|| odd("has a name that is not UTF-8"))?;
            let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.list_below(&name, names)?;
            } else if kind.is_file() {
                names.push(ObjectName::parse(&name).map_err(|_| odd("has a name that no object has"))?);
            } else {
                // A link could lead out of the folder.
                return Err(odd("is neither a file nor a folder"));
            }
        }
        Ok(())
    }
}

impl ObjectSource for FolderSource {
    fn list(&self) -> io::Result<Vec<ObjectName>> {
        let mut names = Vec::new();
        self.list_below("", &mut names)?;
        Ok(names)
    }

    /// The bytes of a file; of one that is longer than any object of a recording only as many as show that.
    fn read(&self, name: &ObjectName) -> io::Result<Vec<u8>> {
        let file = fs::File::open(self.folder.join(name.as_str()))?;
        let mut bytes = Vec::new();
        file.take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lists_and_reads_what_lies_in_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("terminal")).unwrap();
        fs::write(folder.path().join("start.json"), b"{}").unwrap();
        fs::write(folder.path().join("terminal/000000.cast.zst"), b"abc").unwrap();
        let source = FolderSource::new(folder.path());
        let mut names = source.list().unwrap();
        names.sort();
        let names: Vec<_> = names.iter().map(ObjectName::as_str).collect();
        assert_eq!(names, ["start.json", "terminal/000000.cast.zst"]);
        let segment = ObjectName::parse("terminal/000000.cast.zst").unwrap();
        assert_eq!(source.read(&segment).unwrap(), b"abc");
        let missing = ObjectName::parse("terminal/000001.cast.zst").unwrap();
        assert_eq!(source.read(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_link_or_an_odd_name_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("start.json")).unwrap();
        let error = FolderSource::new(folder.path()).list().unwrap_err().to_string();
        assert!(error.contains("start.json") && error.contains("neither a file nor a folder"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a\u{1b}[2Jb"), b"").unwrap();
        let error = FolderSource::new(folder.path()).list().unwrap_err().to_string();
        assert!(error.contains("no object has") && !error.contains('\u{1b}'), "{error}");
    }
}
