//! The state directory, which holds everything of the agent, and the lock that keeps two agents apart.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use agent_protocol::local::SOCKET_NAME;
use recording::AgentId;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::{append_only, durable, predecessors};

/// The file of the key that seals recordings.
pub(crate) const SEALING_KEY: &str = "sealing.key";
/// The file of the numbers and the last manifest of the agent that is enrolled.
pub(crate) const LEDGER: &str = "ledger.json";

/// Passable but not listable: people who record must reach the socket and the signed configuration. The spool and the keys are their
/// owner's alone.
const STATE_MODE: u32 = 0o711;
/// For what is secret or evidence.
pub(crate) const PRIVATE_MODE: u32 = 0o600;
/// For what a person's `record` reads itself.
pub(crate) const PUBLIC_MODE: u32 = 0o644;
pub(crate) const PRIVATE_FOLDER_MODE: u32 = 0o700;

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

    /// Creates the missing parts of it. Existing parts keep their mode, but nobody else may be able to change them.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let directory = StateDirectory::at(path);
        for (folder, mode) in [(path.to_owned(), STATE_MODE), (directory.spool(), PRIVATE_FOLDER_MODE)] {
            DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(&folder)
                .and_then(|()| fs::metadata(&folder))
                .map_err(|error| format!("the state directory {} cannot be used: {error}", folder.display()))
                .and_then(|metadata| check_owner(&folder, &metadata))?;
        }
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

    /// Makes room for the spool of the agent that is about to be enrolled, and returns where the sessions in it lie now. The keys that
    /// seal them are copied there first.
    pub(crate) fn set_spool_aside(&self, next_agent: &AgentId) -> Result<PathBuf, String> {
        let aside = self.file(&format!("spool-before-{next_agent}"));
        let cannot = |error: io::Error| format!("the spool cannot be set aside: {error}");
        match fs::read(self.file(SEALING_KEY)) {
            Ok(key) => durable::write(&self.spool().join(SEALING_KEY), &key, PRIVATE_MODE).map_err(cannot)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot(error)),
        }
        predecessors::copy_keys(self, &self.spool()).map_err(cannot)?;
        // Sessions are not delivered from there, and must be removable.
        for entry in fs::read_dir(self.spool()).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            if entry.file_type().map_err(cannot)?.is_dir() {
                append_only::take_off_files_in(&entry.path()).map_err(cannot)?;
            }
        }
        fs::rename(self.spool(), &aside).map_err(cannot)?;
        DirBuilder::new().mode(PRIVATE_FOLDER_MODE).create(self.spool()).map_err(cannot)?;
        durable::sync_folder(&self.path).map_err(cannot)?;
        Ok(aside)
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

fn check_owner(folder: &Path, metadata: &fs::Metadata) -> Result<(), String> {
    const OTHERS_MAY_WRITE: u32 = 0o022;
    let (owner, ours) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != ours {
        return Err(format!(
            "{} belongs to user {owner}, and this program runs as user {ours}",
            folder.display()
        ));
    }
    if metadata.mode() & OTHERS_MAY_WRITE != 0 {
        return Err(format!(
            "{} may be changed by others; `chmod go-w` it or choose another",
            folder.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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

    #[test]
    fn a_directory_that_others_can_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let refused = StateDirectory::create(folder.path()).unwrap_err();
        assert!(refused.contains("may be changed by others"), "{refused}");
        let mode = fs::metadata(folder.path()).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o1777, "what is there keeps its mode");
    }
}
