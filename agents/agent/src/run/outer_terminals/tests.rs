use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::pty::OpenptFlags;
use tempfile::TempDir;

use super::*;
use crate::run::recorder_process::RecorderProcess;

/// A user who runs nothing.
const ANA: u32 = 54_330;
/// Another.
const BEN: u32 = 54_331;

/// A terminal with its master: the kernel ends it with that.
struct Window {
    _master: OwnedFd,
    device: u64,
    path: String,
}

impl Window {
    /// Of this user. `None` where only root could give it.
    fn of(user_id: u32) -> Option<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let path = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let device = fs::metadata(&path).unwrap().rdev();
        if let Err(error) = std::os::unix::fs::chown(&path, Some(user_id), None) {
            assert!(!rustix::process::geteuid().is_root(), "{error}");
            return None;
        }
        fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
        Some(Window { _master: master, device, path })
    }

    fn state(&self) -> (u32, u32) {
        let metadata = fs::metadata(&self.path).unwrap();
        (metadata.uid(), metadata.mode() & PERMISSIONS)
    }

    /// As the controlling terminal of a process.
    fn controlling(&self) -> PeerTerminal {
        PeerTerminal { device: self.device, file: None, owner: None }
    }

    /// As a descriptor of a process.
    fn open(&self) -> PeerTerminal {
        let metadata = fs::metadata(&self.path).unwrap();
        let file = Some((metadata.dev(), metadata.ino()));
        PeerTerminal { device: self.device, file, owner: Some(metadata.uid()) }
    }
}

fn of_agent() -> (TempDir, Arc<OuterTerminals>) {
    let folder = tempfile::tempdir().unwrap();
    let directory = StateDirectory::create(&folder.path().join("state")).unwrap();
    let terminals = Arc::new(OuterTerminals::load(&directory));
    (folder, terminals)
}

impl OuterTerminals {
    fn takes(&self, user_id: u32, terminal: PeerTerminal) -> Result<Option<Node>, String> {
        let mut taken = self.lock();
        self.take_one(&mut taken, user_id, terminal, true)
    }

    fn needs(&self, node: Node, session: &TerminalSessionToken) {
        let mut taken = self.lock();
        taken.iter_mut().filter(|known| known.node == node).for_each(|known| {
            known.sessions.push(Holder { session: session.clone(), leader: None });
        });
        self.store(&taken).unwrap();
    }

    /// What is taken for a session that is about to begin in this window.
    fn begins(&self, window: &Window, leader: Option<&RecorderNote>) -> TakenForSession<'_> {
        let begins = self.take_these(ANA, vec![window.open(), window.controlling()], leader.cloned(), true);
        assert!(!begins.is_open);
        begins
    }
}

/// A process with a note that finds it. It ends with the test.
struct Leader(Child, RecorderNote);

impl Leader {
    fn new() -> Self {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = RecorderProcess::of(i32::try_from(child.id()).unwrap()).unwrap();
        Leader(child, process.note().clone())
    }

    fn ends(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !look() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_terminal_is_taken_from_its_owner_alone_until_its_last_session_ends() {
    let Some(window) = Window::of(ANA) else { return };
    let (_folder, terminals) = of_agent();
    assert_eq!(terminals.takes(BEN, window.controlling()), Ok(None));
    assert_eq!(window.state(), (ANA, 0o620));
    let [first, second] = [(); 2].map(|()| TerminalSessionToken::generate());
    for (session, terminal) in [(&first, window.open()), (&second, window.controlling())] {
        let node = terminals.takes(ANA, terminal).unwrap().unwrap();
        terminals.needs(node, session);
        assert_eq!(window.state(), (terminals.user_id, TAKEN_MODE));
    }
    assert_eq!(terminals.takes(BEN, window.controlling()), Ok(None), "it is taken, and was not theirs");
    terminals.give_back(&first);
    assert_eq!(window.state(), (terminals.user_id, TAKEN_MODE));
    terminals.give_back(&second);
    assert_eq!(window.state(), (ANA, 0o620));
    assert!(!terminals.file.exists());
}

#[test]
fn a_terminal_of_another_file_system_or_kind_is_left_alone() {
    let Some(window) = Window::of(ANA) else { return };
    let (_folder, terminals) = of_agent();
    let PeerTerminal { device, file, owner } = window.open();
    let (file_system, inode) = file.unwrap();
    for file in [(file_system + 1, inode), (file_system, inode + 1)] {
        let elsewhere = PeerTerminal { device, file: Some(file), owner };
        assert!(terminals.takes(ANA, elsewhere).unwrap_err().contains("none of this instance's"));
        let of_another = PeerTerminal { owner: Some(BEN), ..elsewhere };
        assert_eq!(terminals.takes(ANA, of_another), Ok(None));
    }
    // A console.
    let console = PeerTerminal { device: rustix::fs::makedev(4, 1), file: None, owner: Some(ANA) };
    assert!(terminals.takes(ANA, console).is_err());
    assert_eq!(window.state(), (ANA, 0o620));
}

#[test]
fn what_is_not_as_it_was_left_is_left_alone() {
    let Some(window) = Window::of(ANA) else { return };
    let (_folder, terminals) = of_agent();
    let session = TerminalSessionToken::generate();
    let node = terminals.takes(ANA, window.open()).unwrap().unwrap();
    terminals.needs(node, &session);
    // As sshd does at the end of a login.
    std::os::unix::fs::chown(&window.path, Some(0), Some(0)).unwrap();
    fs::set_permissions(&window.path, Permissions::from_mode(0o666)).unwrap();
    terminals.give_back(&session);
    assert_eq!(window.state(), (0, 0o666));

    // As the next login's terminal looks, which was taken as well: only the time says that it is another.
    std::os::unix::fs::chown(&window.path, Some(ANA), None).unwrap();
    let node = terminals.takes(ANA, window.open()).unwrap().unwrap();
    terminals.needs(node, &session);
    let mut of_earlier = terminals.lock()[0].clone();
    of_earlier.changed = of_earlier.changed.map(|(seconds, nanoseconds)| (seconds - 1, nanoseconds));
    of_earlier.owner = BEN;
    *terminals.lock() = vec![of_earlier];
    terminals.give_back(&session);
    assert_eq!(window.state(), (terminals.user_id, TAKEN_MODE));
}

#[test]
fn an_agent_that_was_killed_finds_again_what_it_has_taken() {
    let Some(window) = Window::of(ANA) else { return };
    let (folder, terminals) = of_agent();
    let [lives, ended] = [(); 2].map(|()| TerminalSessionToken::generate());
    let node = terminals.takes(ANA, window.open()).unwrap().unwrap();
    terminals.needs(node, &lives);
    terminals.needs(node, &ended);
    let again = || Arc::new(OuterTerminals::load(&StateDirectory::at(&folder.path().join("state"))));
    let next = again();
    next.give_back_unless(|session| *session == lives);
    assert_eq!(window.state(), (terminals.user_id, TAKEN_MODE));
    again().give_back_unless(|_| false);
    assert_eq!(window.state(), (ANA, 0o620));

    // Killed between the note and the taking, and between the taking and the time of it.
    for is_taken in [false, true] {
        terminals.lock().clear();
        let node = terminals.takes(ANA, window.open()).unwrap().unwrap();
        terminals.lock()[0].changed = None;
        terminals.needs(node, &ended);
        if !is_taken {
            std::os::unix::fs::chown(&window.path, Some(ANA), None).unwrap();
            fs::set_permissions(&window.path, Permissions::from_mode(0o620)).unwrap();
        }
        again().give_back_unless(|_| false);
        assert_eq!(window.state(), (ANA, 0o620));
    }
}

#[test]
fn what_cannot_be_noted_is_not_taken() {
    let Some(window) = Window::of(ANA) else { return };
    let (folder, terminals) = of_agent();
    fs::remove_dir_all(folder.path().join("state")).unwrap();
    assert!(terminals.takes(ANA, window.open()).is_err());
    assert_eq!(window.state(), (ANA, 0o620));
    assert!(terminals.lock().is_empty());
}

#[test]
fn a_leader_is_waited_for_once_however_many_sessions_it_began() {
    let Some(window) = Window::of(ANA) else { return };
    let (folder, terminals) = of_agent();
    let [mut first, mut second] = [(); 2].map(|()| Leader::new());
    for number in 0..100 {
        let session = TerminalSessionToken::generate();
        let mut begins = terminals.begins(&window, Some(if number % 2 == 0 { &first.1 } else { &second.1 }));
        begins.note_for(&session);
        begins.has_begun();
        terminals.give_back(&session);
    }
    assert_eq!(terminals.lock()[0].leaders, [first.1.clone(), second.1.clone()]);
    assert_eq!(terminals.lock()[0].sessions, []);
    first.ends();
    eventually("the first has ended", || terminals.lock()[0].leaders == [second.1.clone()]);
    assert_eq!(window.state(), (terminals.user_id, TAKEN_MODE));
    // The next agent waits for it, too.
    let next = Arc::new(OuterTerminals::load(&StateDirectory::at(&folder.path().join("state"))));
    next.give_back_unless(|_| false);
    assert_eq!(window.state(), (terminals.user_id, TAKEN_MODE));
    second.ends();
    eventually("it is given back", || window.state() == (ANA, 0o620));
    eventually("both know", || terminals.lock().is_empty() && next.lock().is_empty());
}

#[test]
fn a_terminal_stays_taken_while_nobody_can_wait_for_its_leader() {
    let Some(window) = Window::of(ANA) else { return };
    let (_folder, terminals) = of_agent();
    let terminals = OuterTerminals { watch: Watch::never_starts(), ..Arc::into_inner(terminals).unwrap() };
    let terminals = Arc::new(terminals);
    let mut leader = Leader::new();
    let session = TerminalSessionToken::generate();
    let mut begins = terminals.begins(&window, Some(&leader.1));
    begins.note_for(&session);
    begins.has_begun();
    terminals.give_back(&session);
    assert_eq!(window.state(), (terminals.user_id, TAKEN_MODE));
    leader.ends();
    // Whatever happens next looks again.
    terminals.give_back(&TerminalSessionToken::generate());
    assert_eq!(window.state(), (ANA, 0o620));
}

#[test]
fn a_session_is_noted_before_its_recorder_begins() {
    let Some(window) = Window::of(ANA) else { return };
    let (folder, terminals) = of_agent();
    let session = TerminalSessionToken::generate();
    let mut begins = terminals.begins(&window, None);
    begins.note_for(&session);
    // The agent is killed.
    let next = Arc::new(OuterTerminals::load(&StateDirectory::at(&folder.path().join("state"))));
    next.give_back_unless(|needed| *needed == session);
    assert_eq!(window.state(), (terminals.user_id, TAKEN_MODE));
    // The recorder does not begin: nobody waits for the client, which may go on unrecorded.
    drop(begins);
    assert_eq!(window.state(), (ANA, 0o620));
    assert!(!terminals.file.exists());
    drop(terminals.begins(&window, None));
    assert_eq!(window.state(), (ANA, 0o620));
}

#[test]
fn a_session_that_begins_does_not_count_for_the_next_terminal_of_the_same_number() {
    let Some(window) = Window::of(ANA) else { return };
    let (_folder, terminals) = of_agent();
    let mut first = terminals.begins(&window, None);
    // As the next terminal looks: the time of its change is another.
    let changed = || fs::metadata(&window.path).map(|now| (now.ctime(), now.ctime_nsec())).unwrap();
    let before = changed();
    eventually("the clock goes on", || {
        std::os::unix::fs::chown(&window.path, Some(ANA), None).unwrap();
        fs::set_permissions(&window.path, Permissions::from_mode(0o620)).unwrap();
        changed() != before
    });
    let mut second = terminals.begins(&window, None);
    let [of_first, of_second] = [(); 2].map(|()| TerminalSessionToken::generate());
    first.note_for(&of_first);
    assert_eq!(terminals.lock()[0].beginning, 1);
    second.note_for(&of_second);
    assert_eq!(terminals.lock()[0].beginning, 0);
    drop(first);
    assert_eq!(terminals.lock()[0].sessions, [Holder { session: of_second, leader: None }]);
    drop(second);
    assert_eq!(window.state(), (ANA, 0o620));
}

/// Whoever has recorded something in the background has the same terminal: it is no reason to wait.
#[tokio::test]
async fn a_session_that_has_ended_waits_for_its_own_end_and_for_no_other_session() {
    let Some(window) = Window::of(ANA) else { return };
    let (_folder, terminals) = of_agent();
    let (background, next) = (TerminalSessionToken::generate(), TerminalSessionToken::generate());
    for session in [&background, &next] {
        let mut taken = terminals.begins(&window, None);
        taken.note_for(session);
        taken.has_begun();
    }
    let waits = terminals.left_by(&next);
    tokio::pin!(waits);
    let at_once = Duration::ZERO;
    assert!(tokio::time::timeout(at_once, &mut waits).await.is_err(), "the agent has not seen its end");
    terminals.give_back(&next);
    assert!(tokio::time::timeout(at_once, &mut waits).await.is_ok());
    assert_eq!(window.state().1, TAKEN_MODE, "the other one needs it");
    assert!(
        tokio::time::timeout(at_once, terminals.left_by(&next)).await.is_ok(),
        "also for whoever asks later"
    );
    terminals.give_back(&background);
    assert_eq!(window.state().0, ANA);
}
