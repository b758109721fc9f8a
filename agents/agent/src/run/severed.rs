//! Removes files whose descriptors others hold. The recorded person's process has the descriptor of its spool. If the
//! file were only removed, that process could let it grow unseen until the disk is full.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

/// Removes a file, gives its space back and, where this process and the file system can, stops every write to what is left of it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let Some(file) = open(path)? else { return Ok(()) };
    fs::remove_file(path)?;
    end(&file)
}

/// Puts another file in its place, and does the same with what was there.
pub(super) fn replace(path: &Path, by: &Path) -> io::Result<()> {
    let before = open(path)?;
    fs::rename(by, path)?;
    before.map_or(Ok(()), |file| end(&file))
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn end(file: &File) -> io::Result<()> {
    // First to be immutable, then to be emptied, would not do: nobody can empty such a file.
    file.set_len(0)?;
    // Space behind the end is given back too where nothing was before it.
    if let Ok(flags) = ioctl_getflags(file) {
        // Only root may, and not every file system knows it.
        let _ = ioctl_setflags(file, flags | IFlags::IMMUTABLE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_is_removed_takes_no_space_and_grows_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut held = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        held.write_all(&[1; 100_000]).unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(held.metadata().unwrap().blocks(), 0);
        let immutable = ioctl_getflags(&held).is_ok_and(|flags| flags.contains(IFlags::IMMUTABLE));
        assert_eq!(held.write_all(b"more").is_err(), immutable);
    }
}
