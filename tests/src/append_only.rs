//! An agent of root may leave spools that can only be appended to; temporary folders with such files could not be
//! removed.

use std::fs::File;
use std::path::Path;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

/// Removes the attribute from all files below a folder that have it.
pub(crate) fn take_off_below(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => take_off_below(&path),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|extension| extension == "spool") => {
                let Ok(file) = File::open(&path) else { continue };
                if let Ok(flags) = ioctl_getflags(&file)
                    && flags.contains(IFlags::APPEND)
                {
                    let _ = ioctl_setflags(&file, flags - IFlags::APPEND);
                }
            }
            _ => {}
        }
    }
}
