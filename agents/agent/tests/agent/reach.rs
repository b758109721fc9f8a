//! The recorder is beyond the reach of the person whom it records: an ordinary user, whose agent is root's.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use recording::{CaptureNote, Cause, ExitStatus, Recorder, RecordingEnd, TerminalSessionToken};
use rustix::process::{Signal, kill_process};

use crate::bench::{Instance, LAST_LINE, Program, eventually, text, token_in, without_root};
use crate::control_plane::Recording;
use crate::person::Person;

/// A user without privileges.
const EVE: u32 = 54_325;
/// Another, whose processes are counted.
const FRED: u32 = 54_327;
/// The system's own, which every user may run.
const PYTHON: &str = "/usr/bin/python3";

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        without_root("only root can become somebody else");
    }
    root
}

/// An instance with an agent of root, on which Eve is recorded.
struct Machine {
    instance: Instance,
    program: Program,
    user_id: u32,
}

impl Machine {
    fn new() -> Self {
        let instance = Instance::running();
        let everybody_passes = Permissions::from_mode(0o711);
        std::fs::set_permissions(instance.state_dir().parent().unwrap(), everybody_passes).unwrap();
        Machine { instance, program: Program::for_everybody(), user_id: EVE }
    }

    /// A command that Eve runs, behind these words.
    fn eve(&self, before: &[&str], arguments: &[&str]) -> Command {
        let user = self.user_id.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).args(before);
        command.arg(self.program.path()).arg("--state-dir").arg(self.instance.state_dir()).args(arguments);
        command
    }

    /// Eve in a recorded shell.
    fn shell(&self, before: &[&str]) -> (Person, TerminalSessionToken) {
        let words = ["record", "--", "bash", "--norc", "--noprofile"];
        let person = Person::at_terminal(&self.eve(before, &words));
        person.sees("ready> ");
        let token = person.token();
        (person, token)
    }

    /// The shell goes on as if nothing had happened, and its recording is whole.
    fn is_recorded_to_its_end(&self, mut person: Person, token: &TerminalSessionToken) -> Recording {
        person.types("echo still-$((1+1))-recorded; exit 7\r");
        person.sees("still-2-recorded");
        person.ends_with(7);
        let recording = self.instance.control_plane.sealed(token);
        assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(7)));
        assert!(text(&recording.output()).contains("still-2-recorded"));
        assert_eq!(recording.start().recorder, Recorder::Separate);
        recording
    }

    /// A file that Eve can read.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.program.path().with_file_name(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Tries everything that a process can do to another one, and to the files of its session. Prints what succeeded.
const ATTACKS: &str = r#"
import ctypes, os, signal, socket, sys
recorder, folder = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")
def ptrace(): 
    if libc.ptrace(16, recorder, 0, 0) == -1: raise OSError(ctypes.get_errno(), "refused")
def getfd(number):
    descriptor = os.pidfd_open(recorder)
    if libc.syscall(438, descriptor, number, 0) == -1: raise OSError(ctypes.get_errno(), "refused")
def connect():
    socket.socket(socket.AF_UNIX).connect(folder + "/control.sock")
attacks = {
    "memory": lambda: open(f"/proc/{recorder}/mem", "r+b"),
    "descriptors": lambda: os.listdir(f"/proc/{recorder}/fd"),
    "environment": lambda: open(f"/proc/{recorder}/environ").read(),
    "limits": lambda: __import__("resource").prlimit(recorder, 7, (3, 3)),
    "nice": lambda: os.setpriority(os.PRIO_PROCESS, recorder, 19),
    "schedule": lambda: os.sched_setscheduler(recorder, os.SCHED_IDLE, os.sched_param(0)),
    "spool": lambda: open(folder + "/terminal.spool", "rb"),
    "start": lambda: open(folder + "/start.json"),
    "truncate": lambda: os.truncate(folder + "/terminal.spool", 0),
    "remove": lambda: os.unlink(folder + "/terminal.spool"),
    "control": connect,
}
attacks.update({f"descriptor {number}": lambda number=number: getfd(number) for number in range(3, 16)})
attacks.update({
    "kill": lambda: os.kill(recorder, signal.SIGKILL),
    "stop": lambda: os.kill(recorder, signal.SIGSTOP),
    "terminate": lambda: os.kill(recorder, signal.SIGTERM),
    "pidfd": lambda: signal.pidfd_send_signal(os.pidfd_open(recorder), signal.SIGKILL),
    "ptrace": ptrace,
})
succeeded = []
for name, attack in attacks.items():
    try:
        attack()
        succeeded.append(name)
    except OSError:
        pass
print("tried", len(attacks), "succeeded", succeeded)
"#;

#[test]
fn a_person_can_neither_end_nor_stop_nor_read_nor_change_the_recorder_or_the_recording() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let script = machine.script("attacks.py", ATTACKS);
    // Once as an ordinary user, once as the root of a user namespace of one's own.
    for (before, note) in [(vec![], None), (vec!["unshare", "-Ur"], Some(CaptureNote::OtherUserNamespace))] {
        let (mut person, token) = machine.shell(&before);
        let recorder = machine.instance.recorder(&token);
        let folder = machine.instance.session_folder(&token);
        let attack =
            format!("{PYTHON} {} {} {}\r", script.display(), recorder.as_raw_nonzero(), folder.display());
        person.types(&attack);
        person.sees("tried 29 succeeded []");
        let recording = machine.is_recorded_to_its_end(person, &token);
        // A root without CAP_SYS_PTRACE does not see the terminals of a process in another user namespace, and says so.
        let mut notes = recording.start().notes;
        notes.retain(|of| note.is_none() || *of != CaptureNote::OuterTerminalByName);
        assert_eq!(notes, Vec::from_iter(note));
        assert!(text(&recording.output()).contains("succeeded []"));
    }
}

#[test]
fn the_attacks_would_succeed_on_a_process_of_ones_own() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let script = machine.script("attacks.py", ATTACKS);
    let (mut person, _) = machine.shell(&[]);
    // The last ones end what they are tried on.
    person.types(&format!("sleep 1000 & {PYTHON} {} $! /nowhere\r", script.display()));
    person.sees("succeeded ['memory', 'descriptors', 'environment', 'limits', ");
    person.sees("'kill'");
}

#[test]
fn nothing_of_the_persons_environment_reaches_the_recorder() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let (person, token) = machine.shell(&["env", "LD_PRELOAD=/nowhere.so", "LD_AUDIT=/nowhere.so"]);
    let recorder = machine.instance.recorder(&token).as_raw_nonzero();
    let of = |name: &str| std::fs::read(format!("/proc/{recorder}/{name}")).unwrap();
    assert_eq!(text(&of("environ")), "");
    assert!(!text(&of("maps")).contains("nowhere"));
    let status = text(&of("status"));
    assert!(status.lines().any(|line| line.starts_with("Uid:\t0\t0")), "{status}");
    let link = |name: &str| std::fs::read_link(format!("/proc/{recorder}/{name}")).unwrap();
    assert_eq!(link("cwd"), Path::new("/"));
    machine.is_recorded_to_its_end(person, &token);
}

/// Takes all processes, descriptors and memory that it can get, and prints much meanwhile.
const EXHAUST: &str = r#"
import os, signal
children, descriptors, memory = [], [], []
try:
    while True:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError:
    pass
try:
    while True: descriptors.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
try:
    while True: memory.append(bytearray(1 << 20))
except MemoryError:
    memory.pop()
assert len(children) > 10 and len(descriptors) > 10 and len(memory) > 10
for number in range(3001): os.write(1, b"number-%d\n" % number)
for child in children: os.kill(child, signal.SIGKILL)
"#;

#[test]
fn what_a_person_exhausts_is_their_own() {
    if !we_are_root() {
        return;
    }
    let machine = Machine { user_id: FRED, ..Machine::new() };
    let script = machine.script("exhaust.py", EXHAUST);
    let limited = ["prlimit", "--nofile=64", "--nproc=40", "--fsize=1000", "--as=400000000", "--"];
    let (mut person, token) = machine.shell(&limited);
    person.types(&format!("{PYTHON} {}\r", script.display()));
    person.sees("number-3000\r");
    let recording = machine.is_recorded_to_its_end(person, &token);
    assert!(text(&recording.output()).contains("number-3000\r"));
}

#[test]
fn a_person_s_own_recorder_and_launcher_do_nothing_for_them() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    for arguments in [&["recorder"][..], &["pty-child", "--launch", "0", "--", "true"]] {
        let output = machine.eve(&[], arguments).stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
    }
    assert!(machine.instance.spooled().is_empty());
}

/// A client of one's own: it asks for a session, and then does as its argument says.
const OWN_CLIENT: &str = r#"
import array, json, os, socket, struct, sys, time
state, what = sys.argv[1], sys.argv[2]
agent = socket.socket(socket.AF_UNIX)
agent.connect(state + "/agent.sock")
ways = {"Input": "terminal", "Output": "terminal", "Error": "terminal", "Together": False, "SomebodyReads": [False, False]}
request = {"Type": "begin", "Kind": "terminal", "Command": ["bash"], "Columns": 80, "Rows": 24, "Term": None, "Shell": None, "Connections": ways}
agent.sendall((json.dumps(request) + "\n").encode())
line, ancillary, _, _ = agent.recvmsg(65536, socket.CMSG_SPACE(16 * 4))
reply = json.loads(line)
print("recording this session as", reply["TerminalSessionToken"], flush=True)
numbers = array.array("i")
for _, _, data in ancillary:
    numbers.frombytes(data[:len(data) - len(data) % 4])
descriptors = dict(zip(reply["Descriptors"], numbers))
terminal, launch = descriptors["terminal"], socket.socket(fileno=descriptors["launch"])
def frame(kind, payload): agent.sendall(bytes([kind]) + struct.pack(">I", len(payload)) + payload)
def answered():
    try:
        return launch.recv(1) == b"g"
    except OSError:
        return False
if what == "says nothing of its command":
    os.write(terminal, b"unseen\n")
    frame(12, bytes([0, 0]))
elif what == "lies about the end":
    child = os.fork()
    if child == 0:
        launch.sendall(b"r"); answered(); os.setsid(); import fcntl, termios
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0); launch.sendall(b"l"); answered()
        os.write(terminal, b"the deed\n"); time.sleep(1000)
    time.sleep(0.5)
    frame(12, bytes([0, 0]))
elif what == "does not wait for its command":
    if os.fork() == 0:
        launch.sendall(b"r"); answered(); os.setsid(); import fcntl, termios
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0); launch.sendall(b"l"); answered()
        os._exit(3)
    time.sleep(0.5)
    frame(12, bytes([0, 0]))
elif what == "has another terminal":
    launch.sendall(b"r"); assert answered()
    if os.fork() == 0:
        os.setsid(); launch.sendall(b"l")
    time.sleep(0.5)
elif what == "leads no session":
    launch.sendall(b"r"); assert answered()
    launch.sendall(b"l")
elif what == "types what it does not show":
    child = os.fork()
    if child == 0:
        launch.sendall(b"r"); answered(); os.setsid(); import fcntl, termios
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0); launch.sendall(b"l"); answered()
        launch.close()
        for n in (0, 1, 2): os.dup2(terminal, n)
        os.execvp("bash", ["bash", "--norc", "--noprofile"])
    os.close(terminal)
    deed = "/tmp/deed-%d" % os.getpid()
    def hears(mark, times):
        heard = b""
        while heard.count(mark) < times:
            more = agent.recv(65536)
            assert more, heard
            heard += more
    hears(b"$ ", 1)
    frame(2, b"\0" + b"head -c 33000 /dev/zero | tr '\\0' x\n")
    hears(b"x", 32500)
    frame(2, b"\0" + b"touch %s; echo the-deed-is-done\n" % deed.encode())
    while not os.path.exists(deed): time.sleep(0.05)
    os.remove(deed)
    os._exit(0)
elif what == "sends nonsense":
    agent.sendall(os.urandom(4096))
elif what == "closes the connection":
    agent.close()
    sys.exit()
elif what == "runs a program of its own":
    child = os.fork()
    if child == 0:
        launch.sendall(b"r"); answered(); os.setsid(); import fcntl, termios
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0); launch.sendall(b"l"); answered()
        launch.close(); os.write(terminal, b"all that it writes there\n"); os._exit(3)
    os.waitpid(child, 0)
    time.sleep(0.2)
    # It claims another exit code than the kernel knows, and does not wait.
    frame(12, bytes([0, 0]))
    sys.exit()
# Where it reported itself as the command, the recorder ends it.
agent.settimeout(20)
try:
    while agent.recv(65536): pass
except OSError:
    pass
"#;

/// The recording of a session with a client of one's own.
fn with_own_client(machine: &Machine, what: &str) -> Recording {
    let script = machine.script("client.py", OWN_CLIENT);
    let user = EVE.to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--", PYTHON])
        .arg(script)
        .arg(machine.instance.state_dir())
        .arg(what)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output.stdout);
    let token = token_in(&said).unwrap_or_else(|| panic!("{said}{}", text(&output.stderr)));
    machine.instance.control_plane.sealed(&token)
}

/// Output is read only as fast as it is shown; what is typed meanwhile runs.
#[test]
fn what_a_client_of_one_s_own_does_not_show_is_recorded() {
    if !we_are_root() {
        return;
    }
    let recording = with_own_client(&Machine::new(), "types what it does not show");
    let output = text(&recording.output());
    let end = &output[output.len().saturating_sub(300)..];
    assert!(end.contains("touch") && end.contains("the-deed-is-done\r\n"), "{end}");
}

#[test]
fn a_client_of_one_s_own_is_believed_nothing_that_the_kernel_does_not_say() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    for (what, why) in [
        ("says nothing of its command", "the command ended before it had begun"),
        ("lies about the end", "reported an end of the command that has not come"),
        ("has another terminal", "the command cannot begin"),
        ("leads no session", "its process does not lead a session"),
        ("sends nonsense", "a message of kind"),
        ("does not wait for its command", "has not waited for"),
        ("closes the connection", "the person's side ended before the command did"),
    ] {
        let recording = with_own_client(&machine, what);
        let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{what}") };
        assert!(reason.contains(why), "{what}: {reason}");
        let ledger = recording.ledger();
        assert!(
            ledger.iter().any(|entry| entry.cause == Cause::SESSION_BROKEN_OFF && entry.reason.contains(why)),
            "{what}: nothing is wrong with the spool: {ledger:?}"
        );
        // It has no terminal that could be taken.
        assert_eq!(recording.start().notes, [CaptureNote::OuterTerminalByName], "{what}");
        if what == "lies about the end" {
            assert!(text(&recording.output()).contains("the deed"));
        }
    }
    let recording = with_own_client(&machine, "runs a program of its own");
    assert_eq!(text(&recording.output()), "all that it writes there\r\n");
    let RecordingEnd::Exited(status) = recording.end() else { panic!("{:?}", recording.end()) };
    // Where the kernel says it (since Linux 6.15), the client's word does not count.
    assert!([ExitStatus::Code(3), ExitStatus::Code(0)].contains(&status));
}

#[test]
fn a_stopped_person_s_side_holds_the_session_and_unrecords_nothing() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let (mut person, token) = machine.shell(&[]);
    person.types("sh -c 'sleep 0.5; echo while-$((1+1))-stopped' &\r");
    person.sees("ready> sh -c");
    let command = machine.instance.command_of(&token);
    kill_process(person.pid(), Signal::STOP).unwrap();
    eventually("what was printed meanwhile is recorded", || {
        let state = machine.instance.control_plane.state();
        let arrived = state.recordings.get(&token)?.arrived_output();
        text(&arrived).contains("while-2-stopped").then_some(())
    });
    assert!(rustix::process::test_kill_process(command).is_ok());
    kill_process(person.pid(), Signal::CONT).unwrap();
    person.sees("while-2-stopped");
    machine.is_recorded_to_its_end(person, &token);
}

#[test]
fn a_session_inside_a_recorded_one_is_not_a_second_one() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let (mut person, token) = machine.shell(&[]);
    let record = format!(
        "{} --state-dir {}",
        machine.program.path().display(),
        machine.instance.state_dir().display()
    );
    let left_over = machine.program.path().with_file_name("left-over");
    person.types(&format!("{record} record -- setsid -w sh -c '{record} record -- echo nes''ted'\r"));
    person.sees("nested\r");
    person.sees(&format!("not recorded: this is inside of session {token}"));
    // One that prints elsewhere is not seen on that terminal.
    let elsewhere = machine.program.path().with_file_name("elsewhere");
    let everybody_writes = Permissions::from_mode(0o777);
    std::fs::set_permissions(machine.program.path().parent().unwrap(), everybody_writes).unwrap();
    person
        .types(&format!("{record} record -- echo else''where >{} 2>&1; echo do''ne\r", elsewhere.display()));
    person.sees("done\r");
    let said = std::fs::read_to_string(&elsewhere).unwrap();
    let other = said.split(LAST_LINE).nth(1).and_then(|rest| TerminalSessionToken::parse(rest.trim()).ok());
    let other = other.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(text(&machine.instance.control_plane.sealed(&other).output()), "elsewhere\n");
    // One that outlives the session is in none any more.
    let later = format!(
        "(trap '' HUP; setsid sh -c 'while kill -0 $PPID_OF; do sleep 0.1; done; {record} record -- echo af''ter' \
         </dev/null >{} 2>&1) &",
        left_over.display()
    );
    person.types(&format!("export PPID_OF=$$; {later}\r"));
    person.sees("[1]");
    person.types("exit 7\r");
    person.ends_with(7);
    let recording = machine.instance.control_plane.sealed(&token);
    assert!(text(&recording.output()).contains("nested"));
    let said = eventually("what outlived the session is recorded", || {
        std::fs::read_to_string(&left_over).ok().filter(|said| said.contains("after"))
    });
    let after = token_in(&said).unwrap_or_else(|| panic!("{said}"));
    let recording = machine.instance.control_plane.sealed(&after);
    assert_eq!(text(&recording.output()), "after\n");
}

#[test]
fn the_environment_does_not_say_that_a_session_is_recorded() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let (person, token) = machine.shell(&[]);
    let variable = format!("HANSARD_TERMINAL_SESSION_TOKEN={token}");
    let output = machine
        .eve(&["env", &variable], &["record", "--", "echo", "ran"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let other = token_in(&text(&output.stderr)).unwrap();
    assert_ne!(other, token);
    machine.instance.control_plane.sealed(&other);
    machine.is_recorded_to_its_end(person, &token);
}

#[test]
fn the_terminal_is_the_person_s_and_has_a_name() {
    if !we_are_root() {
        return;
    }
    let machine = Machine::new();
    let (mut person, token) = machine.shell(&[]);
    person.types("stat -c '%u %G %a' $(tty); echo by-$((1+1))-name >$(tty)\r");
    person.sees(&format!("{EVE} tty 620"));
    person.sees("by-2-name");
    machine.is_recorded_to_its_end(person, &token);
}

#[test]
fn without_capabilities_the_recorder_is_another_user_all_the_same() {
    const KEEPER: u32 = 54_326;
    if !we_are_root() {
        return;
    }
    let mut instance = Instance::of_user(KEEPER);
    instance.enrol();
    instance.start_agent();
    let everybody_passes = Permissions::from_mode(0o711);
    std::fs::set_permissions(instance.state_dir().parent().unwrap(), everybody_passes).unwrap();
    let machine = Machine { instance, program: Program::for_everybody(), user_id: EVE };
    let script = machine.script("attacks.py", ATTACKS);
    let (mut person, token) = machine.shell(&[]);
    let recorder = machine.instance.recorder(&token).as_raw_nonzero();
    let folder = machine.instance.session_folder(&token);
    person.types(&format!("{PYTHON} {} {recorder} {}\r", script.display(), folder.display()));
    person.sees("tried 29 succeeded []");
    // Signals for the foreground are sent by the person's side.
    person.types("sh -c 'trap \"echo got-$((1+1))-it; exit\" INT; echo up; while :; do sleep 0.1; done'\r");
    person.sees("up\r");
    person.signals(Signal::INT);
    person.sees("got-2-it");
    person.types("exit 0\r");
    person.ends_with(0);
    let recording = machine.instance.control_plane.sealed(&token);
    assert!(text(&recording.output()).contains("got-2-it"), "{}", text(&recording.output()));
    let start = recording.start();
    assert_eq!(start.recorder, Recorder::Separate);
    // Nor does it see what terminals the client has.
    assert_eq!(
        start.notes,
        [CaptureNote::TerminalNotByName, CaptureNote::LeftOverNotEnded, CaptureNote::OuterTerminalByName]
    );
}
