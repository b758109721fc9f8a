//! Takes the terminals away that people have around their recorded sessions.
//!
//! A recorded command has a terminal of its own, which the recorder made. Around it is another one: the terminal that sshd, a
//! terminal emulator or `tmux` gave the person, on which the session's client shows what is recorded. That outer terminal
//! belongs to the person. If it stayed theirs, any process of theirs could stop the client, open the terminal by its name, and
//! run a shell in the same window that nobody records. So the agent takes it for the length of the session: it makes itself the
//! owner, with a mode that lets nobody open it. What is open stays open, so that the client goes on, and so does whoever had
//! it open before: the kernel checks permissions when a file is opened, and `/proc/PID/fd` opens it anew. The client lets no
//! process of its user near its descriptors (it is not dumpable). Where the client is the login's first process, nobody else
//! has any.
//!
//! **Which terminals.** Nobody hands one over. The agent looks up what the kernel says of the process that asks: its standard
//! descriptors and its controlling terminal. Only a slave of a pseudo-terminal in the agent's own `/dev/pts` is taken, opened
//! by its own name there (never through a name or descriptor of that process), if it is the very file that the process has
//! (file system, inode and device), and if its owner is that process's user. So nobody can make the agent change a file that is
//! not their own terminal; and what they can make it change, they get back.
//!
//! **Giving back.** A terminal is given back when the last session that it was taken for has ended: its recorder, whose end the
//! agent sees whatever ended it. Where the client leads the terminal's session, as a login shell does, it has to be gone, too:
//! otherwise whoever stops it while the recording ends would have the window. It is a process of the person's, which may begin
//! session after session and never end. So what is kept for it is one entry of each terminal, however many sessions it began,
//! and one thread waits for all of them (`leaders.rs`).
//!
//! What was taken is noted in a file first. An agent that was killed finds it there at its next
//! start, and gives back what no living recorder's session needs. Terminals do not survive a restart of the machine, so the
//! note is for one boot, and needs no stable storage.
//!
//! **Never another's.** The number of a terminal that is gone is given to the next login, with the same inode number. And sshd
//! takes a login's terminal back itself. So a terminal is given back only if it is still exactly as it was left: owner, mode,
//! and the time of the last change of those, which no one else can set. Otherwise it is left alone.

mod leaders;

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use recording::{CaptureNote, TerminalSessionToken};
use rustix::fd::AsRawFd as _;
use rustix::fs::{Mode, OFlags, fstatfs, major, minor};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::leaders::Watch;
use super::peer::{Peer, PeerTerminal, PeerTerminals};
use super::recorder_process::{RecorderNote, boot_id};
use crate::durable;
use crate::state_directory::{PRIVATE_MODE, StateDirectory};

/// What is taken, in the state directory.
const FILE: &str = "outer-terminals.json";
/// The mode of a terminal that is taken. No living terminal of anybody has it.
const TAKEN_MODE: u32 = 0;
const PERMISSIONS: u32 = 0o7777;
/// Of the slaves of pseudo-terminals; their minor numbers are their names.
const SLAVE_MAJOR: u32 = 136;
/// Of file systems of pseudo-terminals (`linux/magic.h`).
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// The outer terminals that are taken.
pub(super) struct OuterTerminals {
    file: PathBuf,
    /// Who owns what is taken: the user of this process.
    user_id: u32,
    taken: Mutex<Vec<Taken>>,
    /// Who waits for the ends of leaders.
    watch: Watch,
    /// Changes when sessions have ended that needed some.
    left: watch::Sender<()>,
}

/// The file that terminals are, among all of this boot that exist at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    file_system: u64,
    inode: u64,
    device: u64,
}

/// One that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Taken {
    node: Node,
    owner: u32,
    group: u32,
    mode: u32,
    /// When it was taken, by the clock of its file system (seconds and nanoseconds). An agent that was killed between the two
    /// has not noted it.
    changed: Option<(i64, i64)>,
    sessions: Vec<Holder>,
    /// Clients that lead the session of this terminal, or did, and began sessions that have ended. Each is here once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leaders: Vec<RecorderNote>,
    /// How many sessions that need it are only about to begin.
    #[serde(skip)]
    beginning: usize,
}

/// A session that one was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Holder {
    session: TerminalSessionToken,
    /// The client, where it leads the session of that terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leader: Option<RecorderNote>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    boot_id: String,
    terminals: Vec<Taken>,
}

/// What was taken for a session that is about to begin. It is given back when this is dropped, unless the session has begun.
pub(super) struct TakenForSession<'t> {
    terminals: &'t OuterTerminals,
    /// With the times of the changes: a pseudo-terminal that is gone may have the same node as the next one.
    nodes: Vec<(Node, Option<(i64, i64)>)>,
    leader: Option<RecorderNote>,
    /// The session, once it is noted.
    session: Option<TerminalSessionToken>,
    /// The person can open a terminal of theirs that could not be taken.
    is_open: bool,
}

impl TakenForSession<'_> {
    /// What the recording says of it.
    pub(super) fn note(&self) -> Option<CaptureNote> {
        self.is_open.then_some(CaptureNote::OuterTerminalByName)
    }

    /// Notes the session, before its recorder begins: an agent that is killed from then on finds at its next start whether it
    /// needs them.
    pub(super) fn note_for(&mut self, session: &TerminalSessionToken) {
        let mut taken = self.terminals.lock();
        for terminal in taken.iter_mut().filter(|terminal| self.has(terminal)) {
            terminal.beginning = terminal.beginning.saturating_sub(1);
            terminal.sessions.push(Holder { session: session.clone(), leader: self.leader.clone() });
        }
        if !self.nodes.is_empty() {
            self.terminals.try_store(&taken);
        }
        drop(taken);
        self.session = Some(session.clone());
    }

    /// The session that is noted has begun, and needs them until its recorder ends.
    pub(super) fn has_begun(mut self) {
        self.nodes.clear();
    }

    fn has(&self, terminal: &Taken) -> bool {
        self.nodes.contains(&(terminal.node, terminal.changed))
    }
}

impl Drop for TakenForSession<'_> {
    fn drop(&mut self) {
        if self.nodes.is_empty() {
            return;
        }
        let mut taken = self.terminals.lock();
        for terminal in taken.iter_mut().filter(|terminal| self.has(terminal)) {
            match &self.session {
                Some(session) => terminal.sessions.retain(|holder| holder.session != *session),
                None => terminal.beginning = terminal.beginning.saturating_sub(1),
            }
        }
        if !self.terminals.give_back_unneeded(&mut taken) && self.session.is_some() {
            self.terminals.try_store(&taken);
        }
    }
}

impl OuterTerminals {
    /// With what an earlier agent of this boot has taken. What cannot be read is not given back.
    pub(super) fn load(directory: &StateDirectory) -> Self {
        let file = directory.file(FILE);
        let of_this_boot = durable::find_json::<Document>(&file)
            .map(|found| found.filter(|document| boot_id().is_ok_and(|id| id == document.boot_id)));
        let taken = of_this_boot.unwrap_or_else(|error| {
            tracing::warn!("which terminals are taken cannot be read in {}: {error}", file.display());
            None
        });
        let taken = taken.map(|document| document.terminals).unwrap_or_default();
        let user_id = rustix::process::geteuid().as_raw();
        OuterTerminals {
            file,
            user_id,
            taken: Mutex::new(taken),
            watch: Watch::default(),
            left: watch::Sender::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the terminals of a process that is about to be recorded at one. `may`: this process has the capabilities for it.
    pub(super) fn take(&self, peer: &Peer, may: bool) -> TakenForSession<'_> {
        let PeerTerminals { found, unseen } = peer.terminals();
        let why_open = match unseen {
            Some(error) => Some(error.to_string()),
            // Somebody else shows it on a terminal, and hands the connection on.
            None => found.is_empty().then(|| "the process that asks has none".to_owned()),
        };
        if let Some(why) = &why_open {
            tracing::info!(user_id = peer.user_id, "the terminal around a session cannot be seen: {why}");
        }
        let mut result = self.take_these(peer.user_id, found, peer.leader_note(), may);
        result.is_open |= why_open.is_some();
        result
    }

    fn take_these(
        &self,
        user_id: u32,
        terminals: Vec<PeerTerminal>,
        leader: Option<RecorderNote>,
        may: bool,
    ) -> TakenForSession<'_> {
        let mut result =
            TakenForSession { terminals: self, nodes: Vec::new(), leader, session: None, is_open: false };
        let mut taken = self.lock();
        for terminal in terminals {
            match self.take_one(&mut taken, user_id, terminal, may) {
                Ok(node) => {
                    for terminal in taken.iter_mut().filter(|terminal| Some(terminal.node) == node) {
                        if !result.has(terminal) {
                            terminal.beginning += 1;
                            result.nodes.push((terminal.node, terminal.changed));
                        }
                    }
                }
                Err(why) => {
                    tracing::info!(user_id, "the terminal around a session is not taken: {why}");
                    result.is_open = true;
                }
            }
        }
        drop(taken);
        result
    }

    /// Takes one. `None` where it is not the person's.
    fn take_one(
        &self,
        taken: &mut Vec<Taken>,
        user_id: u32,
        of_peer: PeerTerminal,
        may: bool,
    ) -> Result<Option<Node>, String> {
        let terminal = match Terminal::open(of_peer.device) {
            Ok(Some(terminal)) if of_peer.is(&terminal) => terminal,
            // Of another instance, or of another kind.
            Ok(_) if of_peer.owner.is_none_or(|owner| owner == user_id) => {
                return Err("it is none of this instance's pseudo-terminals".to_owned());
            }
            Ok(_) => return Ok(None),
            Err(error) => return Err(format!("it cannot be looked at: {error}")),
        };
        if let Some(place) = taken.iter().position(|known| known.node == terminal.node) {
            if self.is_as_left(&taken[place], &terminal) {
                return Ok((taken[place].owner == user_id).then_some(terminal.node));
            }
            // It is another's by now, or was taken back.
            taken.remove(place);
        }
        if terminal.owner != user_id {
            return Ok(None);
        }
        if !may {
            return Err("this needs CAP_CHOWN and CAP_FOWNER".to_owned());
        }
        let Terminal { node, owner, group, mode, .. } = terminal;
        let (sessions, leaders) = (Vec::new(), Vec::new());
        taken.push(Taken { node, owner, group, mode, changed: None, sessions, leaders, beginning: 0 });
        // What is not noted would stay taken for ever if this process were killed now.
        let changed = self.store(taken).and_then(|()| terminal.take(self.user_id));
        match changed {
            Ok(changed) => {
                if let Some(known) = taken.last_mut() {
                    known.changed = Some(changed);
                }
                self.try_store(taken);
                Ok(Some(node))
            }
            Err(error) => {
                taken.pop();
                let _ = terminal.give(owner, group, mode);
                self.try_store(taken);
                Err(error.to_string())
            }
        }
    }

    /// A session's recorder has ended: nobody needs its terminals any longer for it.
    pub(super) fn give_back(self: &Arc<Self>, session: &TerminalSessionToken) {
        self.give_back_unless(|needed| needed != session);
    }

    /// Gives back what only sessions have that do not need it.
    pub(super) fn give_back_unless(self: &Arc<Self>, needs: impl Fn(&TerminalSessionToken) -> bool) {
        let mut taken = self.lock();
        if taken.is_empty() {
            return;
        }
        let mut any_ended = false;
        for terminal in taken.iter_mut() {
            let (kept, ended): (Vec<Holder>, Vec<Holder>) =
                terminal.sessions.drain(..).partition(|holder| needs(&holder.session));
            terminal.sessions = kept;
            any_ended |= !ended.is_empty();
            for leader in ended.into_iter().filter_map(|holder| holder.leader) {
                if !terminal.leaders.contains(&leader) {
                    terminal.leaders.push(leader);
                }
            }
        }
        self.watch_leaders(&mut taken);
        if !self.give_back_unneeded(&mut taken) && any_ended {
            self.try_store(&taken);
        }
        drop(taken);
        self.left.send_replace(());
    }

    /// Waits until nothing is kept for this session itself. Another one may need the same terminal still.
    pub(super) async fn left_by(&self, session: &TerminalSessionToken) {
        let mut left = self.left.subscribe();
        while self.needs_any(session) && left.changed().await.is_ok() {}
    }

    fn needs_any(&self, session: &TerminalSessionToken) -> bool {
        self.lock().iter().any(|terminal| terminal.sessions.iter().any(|holder| holder.session == *session))
    }

    /// Whether there were any, so that what is left was noted.
    fn give_back_unneeded(&self, taken: &mut Vec<Taken>) -> bool {
        let before = taken.len();
        taken.retain(|known| {
            let is_needed = known.beginning > 0 || !known.sessions.is_empty() || !known.leaders.is_empty();
            if !is_needed {
                let given = Terminal::open(known.node.device).and_then(|terminal| {
                    let still = terminal.filter(|terminal| self.is_as_left(known, terminal));
                    still.map_or(Ok(()), |terminal| terminal.give(known.owner, known.group, known.mode))
                });
                if let Err(error) = given {
                    tracing::warn!(user_id = known.owner, "a terminal cannot be given back: {error}");
                }
            }
            is_needed
        });
        let any = taken.len() != before;
        if any {
            self.try_store(taken);
        }
        any
    }

    fn is_as_left(&self, known: &Taken, terminal: &Terminal) -> bool {
        terminal.node == known.node
            && (terminal.owner, terminal.mode) == (self.user_id, TAKEN_MODE)
            && known.changed.is_none_or(|changed| changed == terminal.changed)
    }

    fn store(&self, taken: &[Taken]) -> io::Result<()> {
        if taken.is_empty() {
            return durable::remove(&self.file);
        }
        let document = Document { boot_id: boot_id()?, terminals: taken.to_vec() };
        let bytes = serde_json::to_vec(&document).map_err(io::Error::other)?;
        // Not on stable storage: a machine that starts again has no such terminals.
        let new = self.file.with_extension("new");
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(PRIVATE_MODE).open(&new)?;
        // One that was left over has its own.
        file.set_permissions(Permissions::from_mode(PRIVATE_MODE))?;
        file.write_all(&bytes)?;
        fs::rename(new, &self.file)
    }

    fn try_store(&self, taken: &[Taken]) {
        if let Err(error) = self.store(taken) {
            tracing::warn!("which terminals are taken cannot be noted in {}: {error}", self.file.display());
        }
    }
}

/// A slave of a pseudo-terminal in this instance's `/dev/pts`, held by a descriptor that can do nothing else: whatever happens
/// to its name, it is this file that is looked at and changed.
struct Terminal {
    file: File,
    node: Node,
    owner: u32,
    group: u32,
    mode: u32,
    changed: (i64, i64),
}

impl Terminal {
    /// The terminal of this device; `None` where there is none.
    fn open(device: u64) -> io::Result<Option<Self>> {
        if major(device) != SLAVE_MAJOR {
            return Ok(None);
        }
        let path = format!("/dev/pts/{}", minor(device));
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        let is_slave = metadata.file_type().is_char_device() && metadata.rdev() == device;
        if !is_slave || fstatfs(&file)?.f_type != DEVPTS_MAGIC {
            return Ok(None);
        }
        let node = Node { file_system: metadata.dev(), inode: metadata.ino(), device };
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let mode = metadata.mode() & PERMISSIONS;
        Ok(Some(Terminal { file, node, owner: metadata.uid(), group: metadata.gid(), mode, changed }))
    }

    /// The name here of the descriptor: one of this kind is changed by that.
    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        fs::set_permissions(self.path(), Permissions::from_mode(mode))
    }

    fn set_owner(&self, owner: u32, group: u32) -> io::Result<()> {
        std::os::unix::fs::chown(self.path(), Some(owner), Some(group))
    }

    /// Makes it this user's alone. Returns the time of that change. If this process is killed meanwhile, it is left to somebody
    /// who can change its mode again, or as it is noted.
    fn take(&self, user_id: u32) -> io::Result<(i64, i64)> {
        self.set_mode(TAKEN_MODE)?;
        self.set_owner(user_id, self.group)?;
        // The owner could change the mode again until then.
        if self.file.metadata()?.mode() & PERMISSIONS != TAKEN_MODE {
            self.set_mode(TAKEN_MODE)?;
        }
        let metadata = self.file.metadata()?;
        Ok((metadata.ctime(), metadata.ctime_nsec()))
    }

    /// Makes it its owner's again, who has it from the first step on and could do the second.
    fn give(&self, owner: u32, group: u32, mode: u32) -> io::Result<()> {
        let now = self.file.metadata()?;
        if (now.uid(), now.gid()) != (owner, group) {
            self.set_owner(owner, group)?;
        }
        self.set_mode(mode)
    }
}

impl PeerTerminal {
    /// Whether this is that terminal. Of a controlling terminal the kernel says only the device.
    fn is(&self, terminal: &Terminal) -> bool {
        let Node { file_system, inode, device } = terminal.node;
        self.device == device && self.file.is_none_or(|file| file == (file_system, inode))
    }
}

#[cfg(test)]
mod tests;
