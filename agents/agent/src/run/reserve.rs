//! Reserves space while there is enough. When the disk is full, what was recorded can still be cut: each segment must
//! lie on the disk before it is offered, and only its delivery frees the spool it was made of.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::fs::FallocateFlags;

use crate::durable;
use crate::faults::may_fail;
use crate::state_directory::{PRIVATE_MODE, StateDirectory};

const RESERVE: &str = "reserve";
/// Room for any segment.
const MOST_BYTES: u64 = agent_protocol::MAXIMUM_OBJECT_BYTES;
/// Which part of the least free space is set aside.
const SHARE: u64 = 8;

/// The space set aside.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: Mutex<bool>,
}

impl Reserve {
    /// For a spool that takes new sessions while so much is free.
    pub(super) fn new(directory: &StateDirectory, minimum_free_bytes: u64) -> Self {
        let bytes = (minimum_free_bytes / SHARE).min(MOST_BYTES);
        Reserve { path: directory.file(RESERVE), bytes, held: Mutex::new(false) }
    }

    /// Sets the space aside, if that is not done and there is enough.
    pub(super) fn hold(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if *held || self.bytes == 0 {
            return;
        }
        match self.allocate() {
            Ok(()) => *held = true,
            Err(error) => {
                tracing::warn!("no space can be reserved for a full disk: {error}");
                // A part of it helps nobody.
                let _ = durable::remove(&self.path);
            }
        }
    }

    fn allocate(&self) -> io::Result<()> {
        may_fail()?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(PRIVATE_MODE).open(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            // Where space cannot be set aside, none is.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the space back, to be used now.
    pub(super) fn release(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match durable::remove(&self.path) {
            Ok(()) if *held => {
                tracing::warn!("the disk is full: the reserved space is used to deliver what was recorded");
                *held = false;
            }
            Ok(()) => {}
            Err(error) => tracing::error!("the reserved space cannot be freed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn space_is_held_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::create(&folder.path().join("state")).unwrap();
        let reserve = Reserve::new(&directory, 8 * 1024 * 1024);
        reserve.hold();
        reserve.hold();
        let metadata = std::fs::metadata(directory.file(RESERVE)).unwrap();
        assert_eq!(metadata.len(), 1024 * 1024);
        assert!(metadata.blocks() * 512 >= 1024 * 1024);
        reserve.release();
        reserve.release();
        assert!(!directory.file(RESERVE).exists());
        Reserve::new(&directory, 0).hold();
        assert!(!directory.file(RESERVE).exists());
    }
}
