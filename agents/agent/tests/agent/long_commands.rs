//! No command is so long that its recording could not be delivered, whoever asks for it, and however.

use std::os::unix::net::UnixStream;

use agent_protocol::lines;
use agent_protocol::local::{LocalReply, LocalRequest};
use agent_protocol::recorder::{Connections, InputWay, OutputWay};
use recording::{CaptureKind, ExitStatus, RecordingEnd};

use crate::bench::{Instance, text};

/// Each is three bytes of a request, and more of a printed document.
const MOST_EMPTY_WORDS: usize = 84_000;

#[test]
fn a_command_of_very_many_words_runs_and_is_delivered() {
    let instance = Instance::running();
    let mut words = vec!["sh", "-c", "echo \"with $# words\""];
    words.resize(MOST_EMPTY_WORDS, "");
    let (output, token) = instance.record(&words);
    assert_eq!(text(&output.stdout), "with 83996 words\n");
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(0)));
    let recorded = recording.start().command.unwrap();
    assert_eq!(recorded[..3], words[..3]);
    let marks: Vec<&String> = recorded[3..].iter().filter(|word| !word.is_empty()).collect();
    let [cut, rest] = marks[..] else { panic!("{marks:?}") };
    let left_out = MOST_EMPTY_WORDS - (recorded.len() - 1);
    assert_eq!((cut.as_str(), rest), ("...", &format!("... (words left out: {left_out})")));
    instance.spool_is_empty();
}

#[test]
fn a_program_of_ones_own_can_ask_for_nothing_that_is_never_delivered() {
    let instance = Instance::running();
    let asks = |command: Vec<String>, term: Option<String>| {
        let agent = UnixStream::connect(instance.state_dir().join("agent.sock")).unwrap();
        let connections = Connections {
            input: InputWay::Inherited,
            output: OutputWay::Pipe,
            error: OutputWay::Pipe,
            together: false,
            somebody_reads: [false; 2],
        };
        let request = LocalRequest::Begin {
            kind: CaptureKind::Terminal,
            command,
            columns: 0,
            rows: 0,
            term,
            shell: None,
            connections,
            shell_text: None,
        };
        lines::send(&agent, &request, &[]).unwrap();
        let (reply, _) = lines::receive::<LocalReply>(&agent).unwrap().unwrap();
        let LocalReply::Recorded { terminal_session_token, .. } = reply else { panic!("{reply:?}") };
        drop(agent);
        instance.control_plane.sealed(&terminal_session_token).start()
    };
    let start = asks(vec![String::new(); MOST_EMPTY_WORDS], None);
    assert!(start.command.unwrap().last().unwrap().starts_with("... (words left out: "));
    // What a document prints longest.
    let term = "\u{1}".repeat(40_000);
    let start = asks(vec![String::new(); 6_000], Some(term.clone()));
    assert_eq!(start.term, Some(term));
    instance.spool_is_empty();
}
