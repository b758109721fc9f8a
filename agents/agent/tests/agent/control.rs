//! The control socket of a recorder, by which an agent speaks to it, also one that did not start it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agent_protocol::lines;
use agent_protocol::person::{Decoder, FromRecorder};
use agent_protocol::recorder::{ControlReply, ControlRequest};
use recording::{RecordingEnd, TerminalSessionToken, TerminalSize};
use rustix::process::{Signal, kill_process};

use crate::bench::{Instance, text};
use crate::person::Person;

fn shell(instance: &Instance) -> (Person, TerminalSessionToken) {
    let person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    (person, token)
}

fn connect(instance: &Instance, token: &TerminalSessionToken) -> UnixStream {
    let path = instance.session_folder(token).join("control.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn ask(stream: &UnixStream, request: &ControlRequest) -> ControlReply {
    lines::send(stream, request, &[]).unwrap();
    lines::receive(stream).unwrap().unwrap().0
}

#[test]
fn a_recorder_says_how_its_session_is_whoever_its_agent_is() {
    let mut instance = Instance::running();
    let (mut person, token) = shell(&instance);
    instance.kill_agent();
    person.types("echo without-$((1+1))-agent\r");
    person.sees("without-2-agent");
    person.resizes(101, 31);
    person.types("stty size\r");
    person.sees("31 101");
    let ControlReply::State {
        terminal_session_token,
        command: Some(command),
        has_ended: false,
        terminal: Some(TerminalSize { columns: 101, rows: 31 }),
        recorded_bytes,
        is_held: false,
        version,
    } = ask(&connect(&instance, &token), &ControlRequest::State)
    else {
        panic!("another state")
    };
    assert_eq!(terminal_session_token, token);
    assert_eq!(command.process_id, instance.command_of(&token).as_raw_nonzero().get());
    assert!(recorded_bytes > 20);
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    instance.start_agent();
    person.types("exit 0\r");
    person.ends_with(0);
    instance.control_plane.sealed(&token);
    instance.spool_is_empty();
}

#[test]
fn a_session_that_is_ended_says_why_to_the_person_and_in_the_recording() {
    let instance = Instance::running();
    for by_signal in [false, true] {
        let (mut person, token) = shell(&instance);
        person.types("trap '' HUP; echo rea''dy\r");
        person.sees("ready\r");
        let command = instance.command_of(&token);
        let why = if by_signal {
            kill_process(instance.recorder(&token), Signal::TERM).unwrap();
            "the recorder was told to end by a signal"
        } else {
            let end = ControlRequest::End { reason: "maintenance begins".to_owned() };
            assert_eq!(ask(&connect(&instance, &token), &end), ControlReply::Done);
            "maintenance begins"
        };
        person.ends_with(125);
        person.sees(&format!("the session was ended: {why}"));
        let RecordingEnd::Interrupted { reason } = instance.control_plane.sealed(&token).end() else {
            panic!("it did not end")
        };
        assert_eq!(reason, why);
        assert!(rustix::process::test_kill_process(command).is_err(), "the shell is ended");
    }
}

#[test]
fn a_text_is_shown_to_the_person_and_is_not_in_the_recording() {
    let instance = Instance::running();
    let (mut person, token) = shell(&instance);
    let say = ControlRequest::Say { text: "we restart\u{1b}[2J at noon".to_owned() };
    assert_eq!(ask(&connect(&instance, &token), &say), ControlReply::Done);
    person.sees("hansard-agent: we restart\\u{1b}[2J at noon\r\n");
    person.types("exit 0\r");
    person.ends_with(0);
    assert!(!text(&instance.control_plane.sealed(&token).output()).contains("noon"));
}

#[test]
fn a_session_can_be_watched_while_it_is_recorded() {
    let instance = Instance::running();
    let (mut person, token) = shell(&instance);
    let mut tap = connect(&instance, &token);
    assert_eq!(ask(&tap, &ControlRequest::Tap), ControlReply::Done);
    person.types("echo seen-$((1+1))-live\r");
    let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
    while !text(&seen).contains("seen-2-live") {
        let received = tap.read(decoder.room()).unwrap();
        assert_ne!(received, 0, "the tap ended");
        decoder.received(received);
        while let Some(message) = decoder.next::<FromRecorder<'_>>().unwrap() {
            let FromRecorder::Output(_, bytes) = message else { panic!("{message:?}") };
            seen.extend_from_slice(bytes);
        }
    }
    person.types("exit 0\r");
    person.ends_with(0);
    assert_eq!(tap.read_to_end(&mut Vec::new()).map(|_| ()).ok(), Some(()), "it ends with the session");
    instance.control_plane.sealed(&token);
}

#[test]
fn nonsense_and_many_connections_disturb_no_session() {
    let instance = Instance::running();
    let (mut person, token) = shell(&instance);
    let mut idle: Vec<UnixStream> = (0..20).map(|_| connect(&instance, &token)).collect();
    idle[0].write_all(b"{\"Type\":\"of a later version\"}\n").unwrap();
    let mut answer = String::new();
    BufReader::new(&idle[0]).read_line(&mut answer).unwrap();
    assert!(answer.contains("refused"), "{answer}");
    idle[1].write_all(&[0xff; 300_000]).unwrap();
    drop(idle);
    person.types("echo not-$((1+1))-disturbed; exit 3\r");
    person.sees("not-2-disturbed");
    person.ends_with(3);
    instance.control_plane.sealed(&token);
}
