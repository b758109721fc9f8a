//! The append-only attribute of files. Only root may set it, and not on every file system: where it cannot be had, things go on
//! without.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use recording::{Cause, Shortfall, ShortfallKind};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::io::Errno;

/// Sets it: then nobody can change or cut off what is written. False if that is not possible.
pub(crate) fn set(file: &File) -> io::Result<bool> {
    let Some(flags) = find_flags(file)? else { return Ok(false) };
    match ioctl_setflags(file, flags | IFlags::APPEND) {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::ACCESS) => Ok(false),
        Err(error) if is_unsupported(error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether it is set.
pub(crate) fn is_set(file: &File) -> io::Result<bool> {
    Ok(find_flags(file)?.is_some_and(|flags| flags.contains(IFlags::APPEND)))
}

/// What a recording lacks if its person can write to its spool, and one of the files has not the attribute.
pub(crate) fn lacking(files: &[File]) -> Option<Shortfall> {
    let lacks = files.iter().any(|file| !is_set(file).unwrap_or_default());
    lacks.then(|| {
        let reason = "the recorded user can change what is in the spool: it cannot be made append-only here";
        Shortfall::new(ShortfallKind::DegradedMode, Cause::new("spool_not_append_only"), reason)
    })
}

/// Clears it, if it is set.
pub(crate) fn take_off(file: &File) -> io::Result<()> {
    match find_flags(file)? {
        Some(flags) if flags.contains(IFlags::APPEND) => Ok(ioctl_setflags(file, flags - IFlags::APPEND)?),
        _ => Ok(()),
    }
}

/// Takes it off the files in a folder: with it they could be neither removed nor renamed.
pub(crate) fn take_off_files_in(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            take_off(&File::open(entry.path())?)?;
        }
    }
    Ok(())
}

fn find_flags(file: &File) -> io::Result<Option<IFlags>> {
    match ioctl_getflags(file) {
        Ok(flags) => Ok(Some(flags)),
        Err(error) if is_unsupported(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_unsupported(error: Errno) -> bool {
    [Errno::NOTTY, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].contains(&error)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_written_stays_until_it_is_taken_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut file = fs::OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
        file.write_all(b"one").unwrap();
        let set_here = set(&file).unwrap();
        assert_eq!(is_set(&file).unwrap(), set_here);
        file.write_all(b"two").unwrap();
        // On other file systems it has no effect.
        assert_eq!(file.set_len(1).is_err(), set_here);
        assert_eq!(fs::remove_file(&path).is_err(), set_here);
        if set_here {
            take_off_files_in(folder.path()).unwrap();
            assert!(!is_set(&file).unwrap());
            file.set_len(1).unwrap();
            fs::remove_file(&path).unwrap();
        }
        take_off(&file).unwrap();
    }
}
