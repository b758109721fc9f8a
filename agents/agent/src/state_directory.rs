//! The state directory: where everything of the agent lies, and the lock that keeps two agents apart.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use agent_protocol::local::SOCKET_NAME;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};

/// Passable but not listable: people who record must reach the socket and the signed configuration. The spool and the keys are their
/// owner's alone.
const STATE_MODE: u32 = 0o711;
/// For what is secret or evidence.
pub(crate) const PRIVATE_MODE: u32 = 0o600;
/// For what a person's `record` reads itself.
pub(crate) const PUBLIC_MODE: u32 = 0o644;
const PRIVATE_FOLDER_MODE: u32 = 0o700;

/// A state directory.
#[derive(Debug, Clone)]
pub(crate) struct StateDirectory {
    path: PathBuf,
}

/// Held while an agent uses its state directory.
#[derive(Debug)]
pub(crate) struct StateLock(#[allow(dead_code)] File); // held, never read

impl StateDirectory {
    pub(crate) fn at(path: &Path) -> Self {
        StateDirectory { path: path.to_owned() }
    }

    /// Makes it, with the spool, and gives both their modes.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let directory = StateDirectory::at(path);
        let make = |folder: &Path, mode: u32| {
            DirBuilder::new().recursive(true).mode(mode).create(folder)?;
            fs::set_permissions(folder, fs::Permissions::from_mode(mode))
        };
        make(path, STATE_MODE)
            .and_then(|()| make(&directory.spool(), PRIVATE_FOLDER_MODE))
            .map_err(|error| format!("the state directory {} cannot be used: {error}", path.display()))?;
        Ok(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.path.join("spool")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps other agents away as long as the lock lives.
    pub(crate) fn lock(&self) -> Result<StateLock, String> {
        let path = self.file("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PRIVATE_MODE)
            .open(&path)
            .map_err(|error| format!("{} cannot be opened: {error}", path.display()))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(StateLock(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(format!("another hansard-agent is running on {}; stop it first", self.path.display()))
            }
            Err(error) => Err(format!("{} cannot be locked: {error}", path.display())),
        }
    }

    /// A path of the socket that is short enough for any state directory, and the descriptor it goes through.
    pub(crate) fn socket(&self) -> io::Result<(OwnedFd, PathBuf)> {
        let folder =
            rustix::fs::open(&self.path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_NAME}", folder.as_raw_fd()));
        Ok((folder, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_cannot_share_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::create(&folder.path().join("state")).unwrap();
        let held = directory.lock().unwrap();
        assert!(directory.lock().unwrap_err().contains("another hansard-agent is running"));
        drop(held);
        directory.lock().unwrap();
    }
}
