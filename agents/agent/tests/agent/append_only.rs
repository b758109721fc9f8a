//! The append-only attribute that an agent of root sets where possible: tests check it, and remove it again.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

/// Whether a file has the attribute.
pub(crate) fn is_append_only(path: &Path) -> bool {
    let flags = ioctl_getflags(File::open(path).unwrap());
    flags.is_ok_and(|flags| flags.contains(IFlags::APPEND))
}

/// Removes the attribute, for tests that change the contents of the spool, and so that temporary folders can be
/// removed.
pub(crate) fn allow_changes(path: &Path) {
    if is_append_only(path) {
        let file = File::open(path).unwrap();
        let flags = ioctl_getflags(&file).unwrap();
        ioctl_setflags(&file, flags - IFlags::APPEND).unwrap();
    }
}

/// The same for all files below a folder.
pub(crate) fn allow_changes_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => allow_changes_below(&entry.path()),
            Ok(kind) if kind.is_file() => allow_changes(&entry.path()),
            _ => {}
        }
    }
}

/// Whether this process can set the attribute on files in this folder.
pub(crate) fn can_be_append_only(folder: PathBuf) -> bool {
    let file = tempfile::tempfile_in(folder).unwrap();
    ioctl_getflags(&file).is_ok_and(|flags| ioctl_setflags(&file, flags | IFlags::APPEND).is_ok())
}
