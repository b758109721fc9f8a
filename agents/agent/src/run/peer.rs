//! The process that asks for a session, as the kernel says who it is.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;

use agent_protocol::processes::ProcessFacts;
use agent_protocol::recorder::TerminalIdentity;
use nix::sys::socket::{getsockopt, sockopt};
use recording::CaptureNote;
use rustix::fs::major;

use super::recorder_process::{RecorderNote, RecorderProcess};

/// As many ancestors as are looked at: far more than any process has.
const MOST_ANCESTORS: usize = 4096;

/// The major number of `/dev/null` and its like, which are no terminals.
const MEMORY_MAJOR: u32 = 1;

/// A terminal that a process has, as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PeerTerminal {
    pub(super) device: u64,
    /// The file system and the inode of one that it has open.
    pub(super) file: Option<(u64, u64)>,
    /// The owner of one that it has open.
    pub(super) owner: Option<u32>,
}

/// The terminals that a process has.
#[derive(Debug)]
pub(super) struct PeerTerminals {
    pub(super) found: Vec<PeerTerminal>,
    /// Why this process may not look at all of them.
    pub(super) unseen: Option<io::Error>,
}

/// A process at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) process_id: i32,
    pub(super) user_id: u32,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> io::Result<Peer> {
        let credentials = getsockopt(stream, sockopt::PeerCredentials)?;
        if credentials.pid() <= 0 {
            return Err(io::Error::other("it is in a PID namespace that the agent cannot see"));
        }
        Ok(Peer { process_id: credentials.pid(), user_id: credentials.uid() })
    }

    /// Whether all of its standard descriptors are this terminal. What it could print anywhere else, the recording of that
    /// terminal does not see.
    pub(super) fn is_on(&self, terminal: TerminalIdentity) -> bool {
        (0..=2).all(|descriptor| {
            // An agent that may not look cannot say, and then it is not.
            let metadata = fs::metadata(format!("/proc/{}/fd/{descriptor}", self.process_id));
            metadata.is_ok_and(|metadata| {
                TerminalIdentity { file_system: metadata.dev(), device: metadata.rdev() } == terminal
            })
        })
    }

    /// The terminals among its standard descriptors, and then its controlling terminal, too.
    pub(super) fn terminals(&self) -> PeerTerminals {
        let mut found: Vec<PeerTerminal> = Vec::new();
        let mut unseen = None;
        for descriptor in 0..=2 {
            let metadata = match fs::metadata(format!("/proc/{}/fd/{descriptor}", self.process_id)) {
                Ok(metadata) => metadata,
                // One that is closed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    unseen = Some(error);
                    continue;
                }
            };
            if metadata.file_type().is_char_device() && major(metadata.rdev()) != MEMORY_MAJOR {
                let file = Some((metadata.dev(), metadata.ino()));
                let owner = Some(metadata.uid());
                found.push(PeerTerminal { device: metadata.rdev(), file, owner });
            }
        }
        if found.is_empty() && unseen.is_none() {
            return PeerTerminals { found, unseen };
        }
        let controlling = ProcessFacts::find(self.process_id).ok().flatten().map(|facts| facts.terminal);
        // A process elsewhere may have a terminal of the same number that is another.
        let elsewhere = self.foreign_namespaces().contains(&CaptureNote::OtherMountNamespace);
        if let Some(device) = controlling.filter(|device| *device != 0 && !elsewhere)
            && found.iter().all(|known| known.device != device)
        {
            found.push(PeerTerminal { device, file: None, owner: None });
        }
        found.dedup();
        PeerTerminals { found, unseen }
    }

    /// What finds it again, if it leads the session of its terminal: the kernel hangs that up when it ends.
    pub(super) fn leader_note(&self) -> Option<RecorderNote> {
        let facts = ProcessFacts::find(self.process_id).ok().flatten()?;
        let leads = facts.session == self.process_id && facts.terminal != 0;
        leads
            .then(|| RecorderProcess::of(self.process_id).ok().map(|process| process.note().clone()))
            .flatten()
    }

    /// The process and its ancestors, nearest first, by their numbers and start times. Each was the parent of the one
    /// before at the time it was looked at.
    pub(super) fn line(&self) -> io::Result<Vec<(i32, u64)>> {
        let mut line = Vec::new();
        let mut process_id = self.process_id;
        while process_id > 0 && line.len() < MOST_ANCESTORS {
            let Some(facts) = ProcessFacts::find(process_id)? else { break };
            // A parent began before its child; one that did not has the number of a parent that has ended.
            let last: Option<&(i32, u64)> = line.last();
            if last.is_some_and(|(_, start_ticks)| *start_ticks < facts.start_ticks) {
                break;
            }
            line.push((process_id, facts.start_ticks));
            process_id = facts.parent;
        }
        Ok(line)
    }

    /// In which namespaces it is that are not those of the system. They are compared with the first process's, because a
    /// service manager may give the agent some of its own; with this process's where that one may not be looked at.
    pub(super) fn foreign_namespaces(&self) -> Vec<CaptureNote> {
        [
            ("mnt", CaptureNote::OtherMountNamespace),
            ("pid", CaptureNote::OtherPidNamespace),
            ("user", CaptureNote::OtherUserNamespace),
        ]
        .into_iter()
        .filter(|(name, _)| {
            let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/{name}"));
            // An agent that may not look cannot say.
            let system = of("1").or_else(|_| of("self"));
            matches!((of(&self.process_id.to_string()), system), (Ok(theirs), Ok(system)) if theirs != system)
        })
        .map(|(_, note)| note)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_asks_is_known_by_its_connection_and_so_are_its_ancestors() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = Peer::of(&ours).unwrap();
        assert_eq!(peer.process_id, i32::try_from(std::process::id()).unwrap());
        assert_eq!(peer.user_id, rustix::process::geteuid().as_raw());
        let line = peer.line().unwrap();
        assert_eq!(line[0].0, peer.process_id);
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
        assert_eq!(line[1].0, parent);
        assert_eq!(peer.foreign_namespaces(), []);
    }
}
