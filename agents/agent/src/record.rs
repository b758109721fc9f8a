//! `hansard-agent record` and `hansard-agent shell`: the person's side of a session.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_protocol::capture::{CaptureError, PersonSession};
use agent_protocol::local::{LocalReply, LocalRequest};
use capture_terminal::{KIND, PersonTerminal};
use recording::TerminalSessionToken;
use rustix::fd::OwnedFd;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::backoff::Backoff;
use crate::foreign::{Caller, Doubt};
use crate::identity::Identity;
use crate::login_shell::Entered;
use crate::readable_command::readable_command;
use crate::settings::{RecordOptions, STATE_DIR_VARIABLE, SessionEnvironment};
use crate::state_directory::StateDirectory;
use crate::{chain, complain, launcher};
use crate::{local_socket, notice, starting, system_settings};

/// The exit code of `record` when it did not run the command, or ended it. Shells do not use it for a command's own
/// failure.
const REFUSED: u8 = 125;

/// How long a busy agent is asked again, and how often.
const BUSY_FOR: Duration = Duration::from_secs(15);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long the agent may take to give the terminal back that it took for a session.
const LEFT_WITHIN: Duration = Duration::from_secs(1);

/// `record`: runs a command, recorded as the configuration wants it. Returns the exit code.
pub(crate) fn record(state_dir: Result<PathBuf, String>, options: RecordOptions) -> u8 {
    let environment = SessionEnvironment::of_this_process();
    let command = if options.command.is_empty() {
        vec![environment.shell.clone().unwrap_or_else(|| "/bin/sh".into())]
    } else {
        options.command
    };
    let wish = Wish {
        command,
        shell_text: None,
        is_login_shell: false,
        environment,
        agent: OwnAgent::Warned,
        wait_for_agent: options.wait_for_agent,
        says_how_to_play: !options.quiet,
    };
    state_dir.and_then(|at| run(&StateDirectory::at(&at), wish)).unwrap_or_else(say_why)
}

/// What people are made to run instead of their own shell. The administrator chooses the agent and the shell; neither is
/// taken from the environment.
pub(crate) fn shell(entered: Result<Entered, String>) -> u8 {
    let begin = || {
        let Entered { state_dir, wait_for_agent, command, is_login_shell, environment } = entered?;
        let wish = Wish {
            shell_text: text_for_shell(&command),
            command,
            is_login_shell,
            environment,
            agent: OwnAgent::Refused,
            wait_for_agent,
            says_how_to_play: false,
        };
        run(&StateDirectory::at(&state_dir), wish)
    };
    begin().unwrap_or_else(say_why)
}

/// What `SHELL -c TEXT` runs.
fn text_for_shell(command: &[OsString]) -> Option<String> {
    match command {
        [_, flag, text] if flag == "-c" => text.to_str().map(str::to_owned),
        _ => None,
    }
}

fn say_why(refusal: String) -> u8 {
    complain(&refusal);
    REFUSED
}

/// The command that a person wants to run, and how.
struct Wish {
    command: Vec<OsString>,
    /// The text that the shell in it is to run, where somebody was made to record.
    shell_text: Option<String>,
    is_login_shell: bool,
    environment: SessionEnvironment,
    agent: OwnAgent,
    wait_for_agent: Duration,
    /// Whether the last line says how to play what was recorded: people who were made to record have no use for it.
    says_how_to_play: bool,
}

impl Wish {
    /// A refusal because no agent was found. Where the environment names one in vain, it says why that one was not asked.
    fn not_found(&self, refusal: String) -> String {
        if self.agent == OwnAgent::Refused && self.environment.names_state_dir {
            format!(
                "{refusal}; {STATE_DIR_VARIABLE} is set, and `shell` does not read it: only --state-dir, or state-dir in {}, \
                 names its agent",
                system_settings::PATH
            )
        } else {
            refusal
        }
    }
}

/// What to do if the recorded person controls the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnAgent {
    /// Nothing runs.
    Refused,
    /// It is allowed, because people may record themselves for their own use.
    Warned,
}

impl OwnAgent {
    fn decide(self, checked: Result<(), Doubt>) -> Result<(), String> {
        match (self, checked) {
            (OwnAgent::Refused, Err(doubt)) => {
                Err(format!("refused: the agent may be the recorded person's own: {doubt}"))
            }
            (OwnAgent::Warned, Err(Doubt::WithinReach(why))) => {
                complain(&format!(
                    "warning: this agent may be the recorded person's own, whose recordings prove nothing: {why}"
                ));
                Ok(())
            }
            (OwnAgent::Warned, Err(Doubt::Unseen(_))) | (_, Ok(())) => Ok(()),
        }
    }
}

fn run(directory: &StateDirectory, wish: Wish) -> Result<u8, String> {
    // From here on this process's descriptors, the person's own terminal among them, are nobody's but root's: neither
    // debuggers of the same user nor /proc hand them out. An agent of that user has to see the process itself.
    let ours = rustix::process::geteuid().as_raw();
    if fs::metadata(directory.path()).is_ok_and(|directory| directory.uid() == 0 || directory.uid() != ours) {
        // If that is not possible, everything else still works.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    match begin(directory, &wish)? {
        Begun::Recorded(session, person, text) => {
            if let Some(notice) = notice::of_recorded(text.as_deref(), &session.token) {
                notice::show(&notice, wish.shell_text.as_deref());
            }
            let token = session.token.clone();
            let code = run_recorded(directory, session, person)?;
            if wish.says_how_to_play {
                complain(&format!("recorded; to play it: hansard recordings play {token}"));
            }
            Ok(code)
        }
        Begun::NotRecorded(reason) => {
            // Also the far end of a transfer: what it says on standard error reaches the person.
            notice::show(&notice::of_unrecorded(&reason), None);
            Ok(run_unrecorded(&wish))
        }
    }
}

enum Begun {
    /// With the terminal of this process, and what the person is told, if the agent says that.
    Recorded(PersonSession, Option<PersonTerminal>, Option<String>),
    NotRecorded(String),
}

/// Asks the agent. Where no agent runs, only a signed configuration that says "off" lets the command run.
fn begin(directory: &StateDirectory, wish: &Wish) -> Result<Begun, String> {
    // Before anything there is trusted, including a signed configuration.
    let caller = Caller::of_this_process();
    let directory_is_foreign = caller.check_directory(directory.path());
    let in_question = directory_is_foreign.is_err();
    let unseen = matches!(directory_is_foreign, Err(Doubt::Unseen(_)));
    let decided = wish.agent.decide(directory_is_foreign);
    decided.map_err(|refusal| if unseen { wish.not_found(refusal) } else { refusal })?;
    // One warning is enough; a refusal does not count as one.
    let mut warned = in_question;
    let mut check = |stream: &UnixStream| {
        if std::mem::replace(&mut warned, true) && wish.agent == OwnAgent::Warned {
            return Ok(());
        }
        wish.agent.decide(caller.check_process(stream))
    };

    let person = PersonTerminal::of_this_process();
    let size = person.as_ref().map(PersonTerminal::first_size);
    let connections = capture_terminal::connections_of_this_process();
    let text = |value: &OsString| value.to_string_lossy().into_owned();
    let request = LocalRequest::Begin {
        kind: KIND,
        command: readable_command(wish.command.iter().map(|word| word.to_string_lossy())),
        columns: size.map_or(0, |size| size.columns),
        rows: size.map_or(0, |size| size.rows),
        term: wish.environment.term.as_ref().map(text),
        shell: wish.environment.shell.as_ref().map(text),
        connections,
        shell_text: wish.shell_text.clone(),
    };
    let Some((stream, reply, descriptors)) = ask(directory, &request, wish.wait_for_agent, &mut check)?
    else {
        return without_agent(directory).map_err(|refusal| wish.not_found(refusal));
    };
    let not_understood = || "refused: the agent's answer does not belong to this request".to_owned();
    match reply {
        LocalReply::Recorded { terminal_session_token, descriptors: names, instead, notice } => {
            if names.len() != descriptors.len() {
                return Err(not_understood());
            }
            local_socket::lift_patience(&stream)
                .map_err(|error| format!("refused: the recorder cannot be spoken with: {error}"))?;
            let session = PersonSession {
                token: terminal_session_token,
                recorder: stream,
                descriptors: names.into_iter().zip(descriptors).collect(),
                connections,
                terminal: size,
                command: wish.command.clone(),
                is_login_shell: wish.is_login_shell,
                instead,
            };
            Ok(Begun::Recorded(session, person, notice))
        }
        LocalReply::NotRecorded { reason } => Ok(Begun::NotRecorded(reason)),
        LocalReply::Refused { reason } | LocalReply::Busy { reason } => Err(format!("refused: {reason}")),
        LocalReply::Status { .. }
        | LocalReply::Retrying { .. }
        | LocalReply::Live { .. }
        | LocalReply::Left => Err(not_understood()),
    }
}

/// Asks until the agent has time to answer, or no more. `None` when none is running.
fn ask(
    directory: &StateDirectory,
    request: &LocalRequest,
    wait_for_agent: Duration,
    check: &mut impl FnMut(&UnixStream) -> Result<(), String>,
) -> Result<Option<(UnixStream, LocalReply, Vec<OwnedFd>)>, String> {
    let begun = Instant::now();
    let mut wait = Backoff::between(FIRST_WAIT, LONGEST_WAIT);
    loop {
        let connected = starting::connect(directory, wait_for_agent).map_err(|error| {
            format!("refused: the agent cannot be reached in {}: {error}", directory.path().display())
        })?;
        let Some(stream) = connected else { return Ok(None) };
        check(&stream)?;
        match local_socket::ask(&stream, request) {
            Ok((LocalReply::Busy { .. }, _)) if begun.elapsed() < BUSY_FOR => {}
            Ok((reply, descriptors)) => return Ok(Some((stream, reply, descriptors))),
            Err(error) => return Err(format!("refused: the agent did not answer: {error}")),
        }
        drop(stream);
        std::thread::sleep(wait.next_evenly());
    }
}

fn without_agent(directory: &StateDirectory) -> Result<Begun, String> {
    let refuse =
        |why: String| format!("refused: no agent is running on {}, and {why}", directory.path().display());
    let identity = Identity::get(directory).map_err(&refuse)?;
    match identity.stored_configuration(directory).map_err(&refuse)? {
        Some(configuration) if configuration.recording.is_none() => Ok(Begun::NotRecorded(format!(
            "recording is off for instance {} (configuration revision {})",
            identity.instance_id, configuration.revision
        ))),
        Some(_) => Err(refuse("sessions here must be recorded; `hansard-agent run` starts it".to_owned())),
        None => Err(refuse("whether to record is not known; `hansard-agent run` starts it".to_owned())),
    }
}

fn run_recorded(
    directory: &StateDirectory,
    session: PersonSession,
    person: Option<PersonTerminal>,
) -> Result<u8, String> {
    let token = session.token.clone();
    let wait_for_agent = || wait_until_left(directory, &token);
    match capture_terminal::run_recorded(&launcher(), session, person, &wait_for_agent) {
        Ok(status) => Ok(status.shell_code()),
        Err(CaptureError::NotDelivered { .. }) => Ok(REFUSED),
        Err(error) => Err(chain(&error)),
    }
}

/// Waits a moment until the agent needs the terminal of this process no longer for a session that has ended. An agent that is
/// away, or busy, is not waited for.
fn wait_until_left(directory: &StateDirectory, token: &TerminalSessionToken) {
    let Ok(Some(agent)) = local_socket::connect(directory) else { return };
    if agent.set_read_timeout(Some(LEFT_WITHIN)).is_ok() {
        // Whatever it says, there is nothing more to wait for.
        let _ = local_socket::ask(&agent, &LocalRequest::Left { terminal_session_token: token.clone() });
    }
}

/// Replaces this process by the command.
fn run_unrecorded(wish: &Wish) -> u8 {
    let (code, why) = capture_terminal::become_command(&wish.command, wish.is_login_shell);
    complain(&why);
    code
}
