//! Where a recording's objects are read from.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use crate::layout::ObjectName;

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
    /// It cannot be read; [`io::ErrorKind::NotFound`] when it is not there.
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
}

impl ObjectSource for FolderSource {
    fn list(&self) -> io::Result<Vec<ObjectName>> {
        todo!()
    }

    fn read(&self, _name: &ObjectName) -> io::Result<Vec<u8>> {
        todo!("{:?}", self.folder)
    }
}
