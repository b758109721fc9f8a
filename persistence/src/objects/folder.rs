//! Objects in a folder of this machine.
/// A folder.
#[derive(Debug)]
pub struct FolderObjects;
