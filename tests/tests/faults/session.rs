//! A recorded session, and what its person has seen.

use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use whole_system::{Instance, Person, program, until};

/// How every line of the agent's own program begins.
const OURS: &[u8] = b"hansard-agent: ";

/// The line that says that a session is recorded, up to its token.
const NOTICE: &[u8] = b"hansard-agent: recording this session as ";

const TOKEN_DIGITS: usize = 32;

/// What a person has seen of a session's program, and which recording it has to be in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) token: String,
    pub(crate) bytes: Vec<u8>,
}

/// What the person's side is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connected {
    ToATerminal,
    ToPipes,
}

/// A person who runs `hansard-agent record`.
pub(crate) enum Session {
    OnTerminal(Person),
    Piped(Box<Piped>),
}

/// A session without a terminal, whose outputs somebody reads.
pub(crate) struct Piped {
    process: Child,
    /// Kept open, so that the program's input does not end before a test wants that.
    input: Option<ChildStdin>,
    output: Arc<Mutex<Vec<u8>>>,
    errors: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Session {
    /// Begins a session that runs this script of a shell.
    pub(crate) fn begin(instance: &Instance, connected: Connected, script: &str) -> Self {
        match connected {
            Connected::ToATerminal => Self::OnTerminal(instance.record(&["sh", "-c", script])),
            Connected::ToPipes => {
                let mut process = Command::new(program("hansard-agent"))
                    .args(["record", "--", "sh", "-c", script])
                    .env("HANSARD_AGENT_STATE_DIR", instance.state_folder())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                let (output, errors) = (Arc::default(), Arc::default());
                let readers = vec![
                    keep(process.stdout.take().unwrap(), &output),
                    keep(process.stderr.take().unwrap(), &errors),
                ];
                let input = process.stdin.take();
                Self::Piped(Box::new(Piped { process, input, output, errors, readers }))
            }
        }
    }

    /// The token that the notice names.
    pub(crate) fn token(&self) -> String {
        until("the notice names the recording", || self.token_so_far())
    }

    fn token_so_far(&self) -> Option<String> {
        let shown = match self {
            Self::OnTerminal(person) => person.shown(),
            Self::Piped(piped) => piped.errors.lock().unwrap().clone(),
        };
        let at = place(&shown, NOTICE)? + NOTICE.len();
        Some(String::from_utf8(shown.get(at..at + TOKEN_DIGITS)?.to_vec()).unwrap())
    }

    /// Waits until the person has seen so many bytes of the program.
    pub(crate) fn sees_bytes(&self, count: usize) {
        until(&format!("{count} bytes are seen"), || (self.bytes().len() >= count).then_some(()));
    }

    /// Waits until the person has seen this text.
    pub(crate) fn sees(&self, text: &str) {
        until(&format!("{text:?} is seen"), || place(&self.bytes(), text.as_bytes()));
    }

    /// The bytes of the program that the person has seen so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::OnTerminal(person) => of_the_program(&person.shown()),
            Self::Piped(piped) => piped.output.lock().unwrap().clone(),
        }
    }

    /// Sends the person's side a signal.
    pub(crate) fn signals(&self, signal: Signal) {
        let process = match self {
            Self::OnTerminal(person) => person.process_id(),
            Self::Piped(piped) => piped.process.id(),
        };
        kill_process(Pid::from_raw(i32::try_from(process).unwrap()).unwrap(), signal).unwrap();
    }

    /// Ends the program's input.
    pub(crate) fn ends_input(&mut self) {
        match self {
            Self::OnTerminal(person) => person.types("\u{4}"),
            Self::Piped(piped) => piped.input = None,
        }
    }

    /// Waits until the person's side has ended, and says whether with success, and what the person has seen.
    pub(crate) fn ends(mut self) -> (bool, Seen) {
        let token = self.token();
        let success = self.wait();
        (success, Seen { token, bytes: self.bytes() })
    }

    /// Waits until the person's side has ended. What the person has seen, if they were told of a recording.
    pub(crate) fn leaves(mut self) -> Option<Seen> {
        self.wait();
        Some(Seen { token: self.token_so_far()?, bytes: self.bytes() })
    }

    fn wait(&mut self) -> bool {
        match self {
            Self::OnTerminal(person) => person.leaves().success(),
            Self::Piped(piped) => {
                let status = until("the session ends", || piped.process.try_wait().unwrap());
                for reader in piped.readers.drain(..) {
                    until("its outputs end", || reader.is_finished().then_some(()));
                    reader.join().unwrap();
                }
                status.success()
            }
        }
    }

    /// What the person's side said about the session, for messages of failures.
    pub(crate) fn said(&self) -> String {
        let shown = match self {
            Self::OnTerminal(person) => person.shown(),
            Self::Piped(piped) => piped.errors.lock().unwrap().clone(),
        };
        String::from_utf8_lossy(&shown[shown.len().saturating_sub(500)..]).into_owned()
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Behind the notice, and before the first line with which the agent's program says how it ended. The programs of
/// these tests print no such line.
fn of_the_program(shown: &[u8]) -> Vec<u8> {
    let Some(notice) = place(shown, NOTICE) else { return Vec::new() };
    let Some(end) = place(&shown[notice..], b"\r\n") else { return Vec::new() };
    let rest = &shown[notice + end + 2..];
    let Some(ours) = place(rest, OURS) else { return rest.to_vec() };
    rest[..ours].to_vec()
}

fn place(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn keep(mut from: impl std::io::Read + Send + 'static, into: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap().extend_from_slice(&buffer[..read]);
        }
    })
}
