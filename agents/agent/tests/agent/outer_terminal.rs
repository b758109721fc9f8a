//! The terminal around a recorded session is the agent's as long as the session lasts: an ordinary user, whose agent is root's,
//! cannot go on in the same window without being recorded.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use recording::{CaptureNote, ExitStatus, RecordingEnd, ShortfallKind, TerminalSessionToken, Verdict};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::bench::{Instance, Program, eventually, text, without_root};
use crate::control_plane::Recording;
use crate::person::Person;
use crate::ssh_host::{ANA, Form, Host};

/// A user without privileges.
const EVE: u32 = 54_332;
/// An agent of a user without privileges.
const KEEPER: u32 = 54_333;
/// The system's own, which every user may run.
const PYTHON: &str = "/usr/bin/python3";

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        without_root("only root can become somebody else");
    }
    root
}

/// Eve's instance, with a folder to which she writes what she found out.
struct Machine {
    instance: Instance,
    program: Program,
    found: tempfile::TempDir,
}

impl Machine {
    fn with(instance: Instance) -> Self {
        fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
        let found = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(found.path(), Permissions::from_mode(0o777)).unwrap();
        Machine { instance, program: Program::for_everybody(), found }
    }

    fn new() -> Self {
        Machine::with(Instance::running())
    }

    fn eve(&self, words: &[&str]) -> Command {
        let user = EVE.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).args(words);
        command
    }

    fn record(&self) -> String {
        format!(
            "{} --state-dir {} record",
            self.program.path().display(),
            self.instance.state_dir().display()
        )
    }

    /// Eve at a terminal that is hers, as sshd would have given it to her, in a recorded shell.
    fn shell(&self) -> (Person, TerminalSessionToken) {
        let program = self.program.path();
        let state = self.instance.state_dir();
        let (program, state) = (program.to_str().unwrap(), state.to_str().unwrap());
        let words = [program, "--state-dir", state, "record", "--", "bash", "--norc", "--noprofile"];
        let person = Person::at_terminal_of(EVE, &self.eve(&words));
        person.sees("ready> ");
        let token = person.token();
        (person, token)
    }

    /// What Eve wrote into this file.
    fn found(&self, name: &str) -> String {
        eventually(&format!("{name} is found out"), || {
            fs::read_to_string(self.found.path().join(name)).ok().filter(|text| text.ends_with('\n'))
        })
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.program.path().with_file_name(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn ends(&self, person: &mut Person, token: &TerminalSessionToken) -> Recording {
        person.types("exit 7\r");
        person.ends_with(7);
        let recording = self.instance.control_plane.sealed(token);
        assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(7)));
        recording
    }
}

/// Stops the client of the session that this runs in, and tries everything that gives a process the terminal around it. Its
/// arguments are the client, that terminal, and where to write what succeeded.
const ATTACKS: &str = r#"
import ctypes, fcntl, os, signal, sys, termios
client, outer, found = int(sys.argv[1]), sys.argv[2], sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    result = libc.syscall(*arguments)
    if result == -1: raise OSError(ctypes.get_errno(), "refused")
    return result
def ptrace():
    if libc.ptrace(16, client, 0, 0) == -1: raise OSError(ctypes.get_errno(), "refused")
def is_outer(descriptor):
    if os.fstat(descriptor).st_rdev != os.stat(outer).st_rdev: raise OSError("another")
    os.write(descriptor, b"unrec" + b"orded\n")
attacks = {
    "read and write": lambda: is_outer(os.open(outer, os.O_RDWR | os.O_NOCTTY)),
    "write": lambda: is_outer(os.open(outer, os.O_WRONLY | os.O_NOCTTY)),
    "read": lambda: os.open(outer, os.O_RDONLY | os.O_NOCTTY),
    "controlling": lambda: is_outer(os.open("/dev/tty", os.O_RDWR)),
    "owner": lambda: os.chown(outer, os.getuid(), os.getgid()),
    "mode": lambda: os.chmod(outer, 0o666),
    "times": lambda: os.utime(outer),
    "link": lambda: os.link(outer, found + ".link"),
    "memory": lambda: open(f"/proc/{client}/mem", "r+b"),
    "ptrace": ptrace,
}
for number in range(16):
    attacks[f"/proc {number}"] = lambda number=number: is_outer(os.open(f"/proc/{client}/fd/{number}", os.O_RDWR | os.O_NOCTTY))
    attacks[f"pidfd {number}"] = lambda number=number: is_outer(call(438, os.pidfd_open(client), number, 0))
os.kill(client, signal.SIGSTOP)
succeeded = []
for name, attack in attacks.items():
    try:
        attack()
        succeeded.append(name)
    except OSError:
        pass
os.kill(client, signal.SIGCONT)
with open(found, "w") as file: print("tried", len(attacks), "succeeded", succeeded, file=file)
"#;

fn attack(machine: &Machine, person: &mut Person) -> String {
    let script = machine.script("attacks.py", ATTACKS);
    let found = machine.found.path().join("attacks");
    let (client, outer) = (person.pid().as_raw_nonzero(), person.path());
    person.types(&format!("{PYTHON} {} {client} {outer} {}\r", script.display(), found.display()));
    machine.found("attacks")
}

#[test]
fn nobody_gets_at_the_terminal_around_a_session_by_stopping_its_client() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let (mut person, token) = machine.shell();
    assert_eq!(person.owner_and_mode(), (0, 0));
    assert_eq!(attack(&machine, &mut person), "tried 42 succeeded []\n");
    person.types("echo still-$((1+1))-recorded\r");
    person.sees("still-2-recorded");
    assert!(!person.screen().contains("unrecorded"));
    let recording = machine.ends(&mut person, &token);
    person.has_its_terminal_again(EVE);
    assert_eq!(recording.start().notes, []);
    assert!(text(&recording.output()).contains("still-2-recorded"));
}

#[test]
fn what_starts_the_command_is_beyond_debuggers_as_the_client_is() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    // Until it leads a session of its own, its controlling terminal is the one around the session.
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let program = machine.program.path();
    let launch = "exec \"$0\" pty-child --launch 3 -- true 3<&0";
    let words = ["sh", "-c", launch, program.to_str().unwrap()];
    let mut launcher = machine.eve(&words).stdin(OwnedFd::from(theirs)).spawn().unwrap();
    ours.read_exact(&mut [0]).unwrap();
    assert_eq!(fs::metadata(format!("/proc/{}/mem", launcher.id())).unwrap().uid(), 0);
    drop(ours);
    assert!(!launcher.wait().unwrap().success());
    // Nobody but root can read such a program, whose processes are beyond debuggers from their first instruction on. What it
    // starts is not.
    fs::set_permissions(&program, Permissions::from_mode(0o711)).unwrap();
    let (mut person, token) = machine.shell();
    person.types(&format!("{PYTHON} -c 'import os; print(\"mine\", os.stat(\"/proc/self/mem\").st_uid)'\r"));
    person.sees(&format!("mine {EVE}"));
    machine.ends(&mut person, &token);
}

#[test]
fn an_agent_without_capabilities_says_that_the_terminal_stays_the_person_s() {
    if !we_are_root() {
        return;
    }
    let mut instance = Instance::of_user(KEEPER);
    instance.enrol();
    instance.start_agent();
    let machine = Machine::with(instance);
    let (mut person, token) = machine.shell();
    assert_eq!(person.owner_and_mode(), (EVE, 0o620));
    let succeeded = attack(&machine, &mut person);
    assert!(
        succeeded.contains("succeeded ['read and write', 'write', 'read', 'owner', 'mode', 'times'"),
        "{succeeded}"
    );
    person.sees("unrecorded");
    let recording = machine.ends(&mut person, &token);
    let start = recording.start();
    assert!(start.notes.contains(&CaptureNote::OuterTerminalByName), "{:?}", start.notes);
    assert!(!text(&recording.output()).contains("unrecorded"));
}

#[test]
fn the_terminal_is_given_back_whoever_is_killed() {
    if !we_are_root() {
        return;
    }
    let mut machine = Machine::new();
    for killed in ["client", "recorder", "agent", "agent and client", "all"] {
        let (mut person, token) = machine.shell();
        let recorder = machine.instance.recorder(&token);
        let client = person.pid();
        assert_eq!(person.owner_and_mode(), (0, 0), "{killed}");
        if killed.contains("agent") || killed == "all" {
            machine.instance.kill_agent();
        }
        if killed == "recorder" || killed == "all" {
            kill_process(recorder, Signal::KILL).unwrap();
        }
        if killed.contains("client") || killed == "all" {
            kill_process(client, Signal::KILL).unwrap();
        }
        if killed == "agent" {
            machine.instance.start_agent();
            person.types("echo on-$((1+1))-and-on\r");
            person.sees("on-2-and-on");
            assert_eq!(person.owner_and_mode(), (0, 0));
            person.types("exit 0\r");
            person.ends_with(0);
        } else {
            person.ends();
            if killed != "client" && killed != "recorder" {
                // Until then nobody is there who could.
                assert_eq!(person.owner_and_mode(), (0, 0), "{killed}");
                machine.instance.start_agent();
            }
        }
        person.has_its_terminal_again(EVE);
        machine.instance.control_plane.sealed(&token);
    }
    eventually("nothing is noted", || {
        (!machine.instance.state_dir().join("outer-terminals.json").exists()).then_some(())
    });
}

#[test]
fn whoever_stops_the_client_while_its_recording_ends_does_not_get_the_window() {
    if !we_are_root() {
        return;
    }
    let mut machine = Machine::new();
    let (mut person, token) = machine.shell();
    person.signals(Signal::STOP);
    kill_process(machine.instance.recorder(&token), Signal::KILL).unwrap();
    machine.instance.control_plane.sealed(&token);
    assert_eq!(person.owner_and_mode(), (0, 0));
    // The next agent waits for it, too.
    machine.instance.kill_agent();
    machine.instance.start_agent();
    assert_eq!(person.owner_and_mode(), (0, 0));
    person.signals(Signal::KILL);
    person.ends();
    person.has_its_terminal_again(EVE);
}

/// Leads the session of its terminal, and begins as many sessions there as its argument says. Each ends at once; it does not.
const LEADER: &str = r#"
import json, socket, sys, time
ways = {"Input": "terminal", "Output": "terminal", "Error": "terminal", "Together": False, "SomebodyReads": [False, False]}
request = {"Type": "begin", "Kind": "terminal", "Command": ["x"], "Columns": 80, "Rows": 24, "Term": None, "Shell": None, "Connections": ways}
begun = 0
while begun < int(sys.argv[2]):
    with socket.socket(socket.AF_UNIX) as agent:
        agent.connect(sys.argv[1] + "/agent.sock")
        agent.sendall((json.dumps(request) + "\n").encode())
        is_recorded = b"TerminalSessionToken" in agent.recv(65536)
    begun += is_recorded
    if not is_recorded: time.sleep(0.1)
print("all have be" + "gun", flush=True)
sys.stdin.readline()
"#;

#[test]
fn a_client_that_begins_many_sessions_and_goes_on_costs_the_agent_as_much_as_one() {
    if !we_are_root() {
        return;
    }
    let mut machine = Machine::new();
    let threads_and_descriptors = |agent: u32| {
        ["task", "fd"].map(|folder| fs::read_dir(format!("/proc/{agent}/{folder}")).unwrap().count())
    };
    let before = threads_and_descriptors(machine.instance.agent_pid());
    let script = machine.script("leader.py", LEADER);
    let state = machine.instance.state_dir();
    let words = [PYTHON, script.to_str().unwrap(), state.to_str().unwrap(), "120"];
    let mut person = Person::at_terminal_of(EVE, &machine.eve(&words));
    person.sees("all have begun");
    let file = state.join("outer-terminals.json");
    for agent in ["this", "next"] {
        eventually("the client alone is waited for", || {
            let noted: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
            let terminal = &noted["Terminals"][0];
            let [sessions, leaders] = ["Sessions", "Leaders"].map(|of| terminal[of].as_array().map(Vec::len));
            (sessions == Some(0) && leaders == Some(1)).then_some(())
        });
        // What is delivered has descriptors until then.
        eventually("no more threads and descriptors are held than of a few sessions", || {
            let now = threads_and_descriptors(machine.instance.agent_pid());
            now.iter().zip(before).all(|(now, before)| *now < before + 40).then_some(())
        });
        assert_eq!(person.owner_and_mode(), (0, 0), "{agent}");
        if agent == "this" {
            machine.instance.kill_agent();
            machine.instance.start_agent();
        }
    }
    person.types("\r");
    person.ends_with(0);
    person.has_its_terminal_again(EVE);
}

#[test]
fn sessions_on_the_same_terminal_keep_it_until_the_last_one_ends() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    // A shell of hers that is not recorded starts both, and is able to open its terminal again when they have ended.
    let mut person = Person::at_terminal_of(EVE, &machine.eve(&["bash", "--norc", "--noprofile"]));
    person.sees("ready> ");
    let gate = machine.found.path().join("gate");
    person.types(&format!(
        "mkfifo {0}; {1} -- sh -c 'echo fir''st; cat {0}' &\r",
        gate.display(),
        machine.record()
    ));
    person.sees("first");
    assert_eq!(person.owner_and_mode(), (0, 0));
    person.types(&format!("{} -- echo sec''ond; stat -c 'mode-%a-of-%u' $(tty)\r", machine.record()));
    person.sees("second");
    // The shorter session waits in vain for what the other one needs, and no longer than a moment.
    person.sees("mode-0-of-0");
    person.types(&format!("echo >{}; wait; echo open >$(tty) && echo by-$((1+1))-name\r", gate.display()));
    person.sees("by-2-name");
    assert_eq!(person.owner_and_mode(), (EVE, 0o620));
    person.types("exit\r");
    person.ends();
}

#[test]
fn the_next_command_can_open_the_terminal_again_at_once() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let mut person = Person::at_terminal_of(EVE, &machine.eve(&["bash", "--norc", "--noprofile"]));
    person.sees("ready> ");
    let each = format!("{} --quiet -- true && echo >$(tty) || exit 9", machine.record());
    person.types(&format!("for n in 1 2 3 4 5 6 7 8; do {each}; done; exit 3\r"));
    person.ends_with(3);
}

#[test]
fn a_terminal_that_is_not_the_person_s_is_left_alone() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let program = machine.program.path();
    let state = machine.instance.state_dir();
    let words =
        [program.to_str().unwrap(), "--state-dir", state.to_str().unwrap(), "record", "--", "bash", "--norc"];
    let mut person = Person::at_terminal_of(KEEPER, &machine.eve(&words));
    person.sees("ready> ");
    assert_eq!(person.owner_and_mode(), (KEEPER, 0o620));
    let token = person.token();
    assert_eq!(machine.ends(&mut person, &token).start().notes, []);
}

/// Prints five times a second, on the screen and into a file, until another file is there.
fn chatter(machine: &Machine) -> (String, PathBuf, PathBuf) {
    let [out, stop] = ["out", "stop"].map(|name| machine.found.path().join(name));
    let _ = fs::remove_file(&stop);
    let each = format!("echo go''es-on; echo >>{}; sleep 0.2", out.display());
    (format!("setsid sh -c 'while [ ! -e {} ]; do {each}; done'", stop.display()), out, stop)
}

/// Waits for as long as the recorder takes to look at its person's side: it looks a second after output.
fn prints_for_two_seconds(out: &Path) {
    let lines = || fs::read(out).map_or(0, |lines| lines.len());
    let before = lines();
    eventually("it prints meanwhile", || (lines() > before + 10).then_some(()));
}

#[test]
fn a_stopped_client_is_in_the_ledger() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    for goes_on in [true, false] {
        let (mut person, token) = machine.shell();
        let (chatter, out, stop) = chatter(&machine);
        person.types(&format!("{chatter} &\r"));
        person.sees("goes-on");
        person.signals(Signal::STOP);
        prints_for_two_seconds(&out);
        let recording = if goes_on {
            let seen = person.shown_bytes();
            person.signals(Signal::CONT);
            person.sees_after(seen, "goes-on");
            prints_for_two_seconds(&out);
            fs::write(stop, "").unwrap();
            machine.ends(&mut person, &token)
        } else {
            person.signals(Signal::KILL);
            person.ends();
            fs::write(stop, "").unwrap();
            machine.instance.control_plane.sealed(&token)
        };
        let ledger = recording.ledger();
        let stops: Vec<_> =
            ledger.iter().filter(|entry| entry.cause.as_str() == "person_side_stopped").collect();
        let [entry] = stops[..] else { panic!("{ledger:?}") };
        assert_eq!((entry.kind, entry.count), (ShortfallKind::DegradedMode, 1));
        assert!(entry.first_at < entry.last_at, "{entry:?}");
        if goes_on {
            assert!(entry.last_at < recording.manifest().duration, "it was over before the session");
            assert_eq!(recording.verification().verdict(), Verdict::Complete);
        }
    }
}

#[test]
fn a_suspended_session_is_not_a_stopped_client() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let mut person = Person::at_terminal_of(EVE, &machine.eve(&["bash", "--norc", "--noprofile"]));
    person.sees("ready> ");
    let (chatter, out, stop) = chatter(&machine);
    person.types(&format!("{} -- bash --norc --noprofile\r", machine.record()));
    let token = person.token();
    person.types(&format!("{chatter} & suspend\r"));
    person.sees("Stopped");
    prints_for_two_seconds(&out);
    let seen = person.shown_bytes();
    person.types("fg\r");
    person.sees_after(seen, "goes-on");
    prints_for_two_seconds(&out);
    fs::write(stop, "").unwrap();
    person.types("exit\r");
    assert_eq!(machine.instance.control_plane.sealed(&token).ledger(), []);
    person.types("exit\r");
    person.ends();
}

#[test]
fn a_login_of_sshd_has_its_terminal_taken_and_sshd_takes_it_back() {
    if !we_are_root() {
        return;
    }
    let host = Host::running(Form::LoginShell, "");
    let mut person = Person::at_terminal(
        &host.ssh(&["-tt"], &["echo \"tty $SSH_TTY\"; stat -c 'it is %u %a.' $SSH_TTY; read x"]),
    );
    person.sees("it is 0 0.");
    let screen = person.screen();
    let path = screen.split("tty /dev/pts/").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let path = PathBuf::from(format!("/dev/pts/{path}"));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0);
    person.types("\r");
    person.ends_with(0);
    let token = person.token();
    let recording = host.instance.control_plane.sealed(&token);
    assert_eq!(
        recording.start().notes.iter().filter(|note| **note == CaptureNote::OuterTerminalByName).count(),
        0
    );
    // It is gone, or another's.
    eventually("nothing is taken any longer", || {
        (!host.instance.state_dir().join("outer-terminals.json").exists()).then_some(())
    });
    assert!(fs::metadata(&path).map_or(true, |metadata| metadata.uid() != ANA), "sshd's end was undone");
}
