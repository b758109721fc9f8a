//! Tests of the recorder with a person's side that does only what a test says.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Child;
use std::thread::JoinHandle;

use agent_protocol::clock;
use agent_protocol::person::{Input, Message as _, OUTPUT_WINDOW_BYTES};
use agent_protocol::recorder::{CommandDescriptor, Connections, InputWay, OutputWay};
use recording::{FailurePolicy, SpoolReader, TerminalEventKind};
use rustix::fs::MemfdFlags;

use super::waiting::LOOK_AGAIN;
use super::*;
use crate::beginning::Expected;
use crate::command_ends::Opened;
use crate::launch::{self, CommandEnds, Program};
use crate::spooler::Spooler;

const SIZE: TerminalSize = TerminalSize { columns: 80, rows: 24 };

/// What the launcher does, in a shell: it reports itself, leads a session, and says so.
const LAUNCHER: &str = r#"
    fd=${1#--launch=}; shift 2; printf r >&$fd; read -r -N1 -u $fd go
    exec setsid bash -c '
        fd=$1; shift; printf l >&$fd; read -r -N1 -u $fd go; exec {fd}>&-; exec "$@"
    ' leader $fd "$@"
"#;

fn facts() -> Facts {
    Facts {
        token: TerminalSessionToken::generate(),
        size: SIZE,
        terminal_device: None,
        user_id: rustix::process::geteuid().as_raw(),
        shared: false,
        somebody_reads: [true; 2],
        ends_what_is_left: true,
        sync: None,
    }
}

/// What a recorder works with, and the launcher's end of the socket.
fn equipment(ends: RecorderEnds, user_id: u32) -> (Equipment, OwnedFd) {
    let (beginning, launch) = Beginning::new(Expected { user_id, terminal: None }).unwrap();
    let command_note = File::from(rustix::fs::memfd_create("command", MemfdFlags::CLOEXEC).unwrap());
    let name = TerminalSessionToken::generate();
    let address = SocketAddr::from_abstract_name(name.as_str()).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let control = Control::over(listener).unwrap();
    let told_to_end = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    (Equipment { ends, beginning, command_note, control, told_to_end }, launch)
}

/// A person's side that does only what a test says, and a command behind three pipes.
struct Conversation {
    stream: UnixStream,
    decoder: Decoder,
    recorder: Option<JoinHandle<Result<(), CaptureError>>>,
    spool: File,
    child: Child,
    output: Vec<u8>,
    error_output: Vec<u8>,
    room: usize,
    ended: Option<Result<(), String>>,
}

impl Conversation {
    fn begin(script: &str) -> Self {
        let connections = Connections {
            input: InputWay::Pipe,
            output: OutputWay::Pipe,
            error: OutputWay::Pipe,
            together: false,
            somebody_reads: [true; 2],
        };
        let user_id = rustix::process::geteuid().as_raw();
        let Opened { ours, mut theirs, .. } = command_ends::open(&connections, SIZE, user_id).unwrap();
        let spool = File::from(rustix::fs::memfd_create("spool", MemfdFlags::CLOEXEC).unwrap());
        let spooler = Spooler::new(spool.try_clone().unwrap(), clock::boottime_micros(), 0).unwrap();
        let scribe = Scribe::of_terminal(spooler, FailurePolicy::Strict);
        let (stream, for_recorder) = UnixStream::pair().unwrap();
        let (equipment, launch) = equipment(ours, user_id);
        theirs.push((CommandDescriptor::Launch, launch));
        let recorder =
            std::thread::spawn(move || run(ToPerson::over(for_recorder), scribe, equipment, facts()));
        let command = ["sh", "-c", script].map(OsString::from);
        // What the launcher does, in a shell: it reports itself, is let go, begins a session and says so.
        let launcher = ["bash", "-c", LAUNCHER, "launcher"].map(OsString::from);
        let program =
            Program { launcher: &launcher, command: &command, is_login_shell: false, is_transfer: false };
        let child =
            launch::start(program, ("SESSION", "none"), CommandEnds::new(theirs), &connections).unwrap();
        Conversation {
            stream,
            decoder: Decoder::default(),
            recorder: Some(recorder),
            spool,
            child,
            output: Vec::new(),
            error_output: Vec::new(),
            room: 0,
            ended: None,
        }
    }

    fn say(&self, message: FromPerson<'_>) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        (&self.stream).write_all(&bytes).unwrap();
    }

    /// Handles messages until the condition is true.
    fn hear_until(&mut self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
            poll(&mut fds, None).unwrap();
            assert_ne!(receive(&self.stream, &mut self.decoder).unwrap(), Heard::End);
            while let Some(message) = self.decoder.next::<FromRecorder<'_>>().unwrap() {
                match message {
                    FromRecorder::Output(Output::Output, bytes) => self.output.extend(bytes),
                    FromRecorder::Output(Output::ErrorOutput, bytes) => self.error_output.extend(bytes),
                    FromRecorder::Room(Input::Input, bytes) => self.room += bytes as usize,
                    FromRecorder::Ended => self.ended = Some(Ok(())),
                    FromRecorder::Lost(reason) => self.ended = Some(Err(reason.to_owned())),
                    FromRecorder::OutputEnd(_) | FromRecorder::InputBroken(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn take(&self, output: Output, bytes: usize) {
        self.say(FromPerson::Taken(output, u32::try_from(bytes).unwrap()));
    }

    /// The events in the spool.
    fn events(&self) -> Vec<TerminalEventKind> {
        let mut spool = self.spool.try_clone().unwrap();
        spool.rewind().unwrap();
        let mut reader = SpoolReader::new(spool, 0);
        let mut events = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            events.push(record.terminal_event().unwrap().kind);
        }
        events
    }
}

#[test]
fn an_output_that_nobody_reads_delays_nothing_else_and_is_not_read_ahead() {
    const BYTES: usize = 1_000_000;
    let script = format!(
        "head -c {BYTES} /dev/zero & echo ready >&2; read -r line; echo \"got $line\" >&2; wait; exit 3"
    );
    let mut person = Conversation::begin(&script);
    person.hear_until(|person| {
        person.error_output == b"ready\n" && person.output.len() > OUTPUT_WINDOW_BYTES / 2 && person.room > 0
    });
    person.say(FromPerson::Input(Input::Input, b"hello\n"));
    person.say(FromPerson::Unknown(200));
    person.take(Output::ErrorOutput, 6);
    person.hear_until(|person| person.error_output.ends_with(b"got hello\n"));
    person.take(Output::ErrorOutput, 10);
    assert!(person.output.len() <= OUTPUT_WINDOW_BYTES, "{} bytes", person.output.len());
    assert_eq!(person.room, Input::Input.window_bytes(), "what is left of the room suffices");

    let mut taken = 0;
    while person.output.len() < BYTES {
        let heard = person.output.len();
        assert!(heard - taken <= OUTPUT_WINDOW_BYTES);
        person.take(Output::Output, heard - taken);
        taken = heard;
        person.hear_until(|person| person.output.len() > heard);
    }
    let status = person.child.wait().unwrap();
    assert_eq!(status.code(), Some(3));
    person.say(FromPerson::Exited(ExitStatus::Code(3)));
    // The session must not end before everything is accepted.
    person.take(Output::Output, BYTES - taken);
    person.hear_until(|person| person.ended.is_some());
    assert_eq!(person.ended, Some(Ok(())));
    person.recorder.take().unwrap().join().unwrap().unwrap();
    let events = person.events();
    assert_eq!(events.last(), Some(&TerminalEventKind::Exit(ExitStatus::Code(3))));
    let spooled: usize = events
        .iter()
        .map(|event| if let TerminalEventKind::Output(bytes) = event { bytes.len() } else { 0 })
        .sum();
    assert_eq!(spooled, BYTES);
}

/// The reason in the recording of a session in which the person's side did something.
fn reason_after(what: impl FnOnce(&mut Conversation)) -> String {
    let mut person = Conversation::begin("exec sleep 1000");
    person.hear_until(|person| person.room > 0);
    what(&mut person);
    let Conversation { recorder, mut child, .. } = person;
    let Err(CaptureError::BrokenOff { reason }) = recorder.unwrap().join().unwrap() else {
        panic!("it goes on")
    };
    child.kill().unwrap();
    child.wait().unwrap();
    reason
}

#[test]
fn a_failure_of_the_persons_side_ends_the_recording_with_the_reason() {
    let said =
        |bytes: &'static [u8]| move |person: &mut Conversation| (&person.stream).write_all(bytes).unwrap();
    for (reason, expected) in [
        (reason_after(|person| person.say(FromPerson::Failed("why"))), "why"),
        (
            reason_after(|person| person.stream.shutdown(std::net::Shutdown::Both).unwrap()),
            "the person's side ended before the command did",
        ),
        (
            reason_after(|person| {
                let bytes = vec![0; person.room + 1];
                person.say(FromPerson::Input(Input::Input, &bytes));
            }),
            "the person's side sends more than there is room for",
        ),
        (
            reason_after(said(&[7, 255, 255, 255, 255])),
            "a message of kind 7 claims 4294967295 bytes, and may have 65541",
        ),
        (
            reason_after(said(&[7, 0, 0, 0, 1, 0])),
            "a message of kind 7 has a payload that does not belong to that kind",
        ),
    ] {
        assert_eq!(reason, expected);
    }
}

#[test]
fn an_end_of_the_command_is_not_believed_before_it_came() {
    let reason = reason_after(|person| person.say(FromPerson::Exited(ExitStatus::Code(0))));
    assert_eq!(reason, "the person's side reported an end of the command that has not come");
}

#[test]
fn a_launcher_that_is_gone_is_not_waited_for() {
    let expected = Expected { user_id: rustix::process::geteuid().as_raw(), terminal: None };
    let (mut beginning, launch) = Beginning::new(expected).unwrap();
    assert!(beginning.interest().is_some());
    drop(launch);
    assert!(matches!(beginning.advance(), Ok(Begun::Waits)));
    assert!(beginning.interest().is_none(), "it would be ready for ever");
}

#[test]
fn a_finished_output_is_not_polled_while_another_is_held_open() {
    let (output, closed) = io::pipe().unwrap();
    let (error_output, left_over) = io::pipe().unwrap();
    drop(closed);
    let ends = RecorderEnds {
        master: None,
        input: None,
        output: Some(output.into()),
        error: Some(error_output.into()),
    };
    let (_stream, theirs) = UnixStream::pair().unwrap();
    let (equipment, _launch) = equipment(ends, rustix::process::geteuid().as_raw());
    let mut recorder = Recorder::new(ToPerson::over(theirs), equipment, facts()).unwrap();
    let spool = File::from(rustix::fs::memfd_create("spool", MemfdFlags::CLOEXEC).unwrap());
    let mut scribe =
        Scribe::of_terminal(Spooler::new(spool, clock::boottime_micros(), 0).unwrap(), FailurePolicy::Strict);
    let now = Instant::now();
    recorder.exited = Some((ExitStatus::Code(0), now));
    let mut look = |recorder: &mut Recorder, place: usize| {
        let Recorder { channels, person, .. } = recorder;
        channels[place].advance(&mut scribe, person).unwrap();
        recorder.timeout(now)
    };
    assert_eq!(look(&mut recorder, 0), Some(LOOK_AGAIN));
    drop(left_over);
    assert_eq!(look(&mut recorder, 1), Some(Duration::ZERO), "nobody is waited for any more");
}
