//! `hansard-agent record`: the person's side of a session.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use agent_protocol::capture::CaptureSession;
use agent_protocol::local::{LocalReply, LocalRequest};
use capture_terminal::{KIND, PersonTerminal};

use crate::identity::Identity;
use crate::local_socket;
use crate::settings::{RecordOptions, SessionEnvironment};
use crate::state_directory::StateDirectory;
use crate::{captures, chain, complain};

/// What `record` answers when it did not run the command, or ended it: no shell uses it for a command's own failure.
const REFUSED: u8 = 125;

/// How much of a command's text is kept for readers.
const LONGEST_COMMAND_BYTES: usize = 32 * 1024;

/// Runs a command, recorded as the configuration wants it. Returns the exit code.
pub(crate) fn record(state_dir: &Path, options: RecordOptions) -> u8 {
    let environment = SessionEnvironment::of_this_process();
    let command = if options.command.is_empty() {
        vec![environment.shell.clone().unwrap_or_else(|| "/bin/sh".into())]
    } else {
        options.command
    };
    let outcome = match begin(&StateDirectory::at(state_dir), &command, &environment) {
        Ok(Begun::Recorded(session)) => {
            if !options.quiet {
                complain(&format!("recording this session as {}", session.token));
            }
            run_recorded(session)
        }
        Ok(Begun::NotRecorded(reason)) => {
            if !options.quiet {
                complain(&format!("not recorded: {reason}"));
            }
            return run_unrecorded(&command);
        }
        Err(refusal) => Err(refusal),
    };
    outcome.unwrap_or_else(|refusal| {
        complain(&refusal);
        REFUSED
    })
}

enum Begun {
    Recorded(CaptureSession),
    NotRecorded(String),
}

/// Asks the agent. Where no agent runs, only a signed configuration that says "off" lets the command run.
fn begin(
    directory: &StateDirectory,
    command: &[OsString],
    environment: &SessionEnvironment,
) -> Result<Begun, String> {
    let connected = local_socket::connect(directory).map_err(|error| {
        format!("refused: the agent cannot be reached in {}: {error}", directory.path().display())
    })?;
    let Some(stream) = connected else { return without_agent(directory) };

    let size = PersonTerminal::of_this_process().size();
    let text = |value: &OsString| value.to_string_lossy().into_owned();
    let request = LocalRequest::Begin {
        kind: KIND.to_owned(),
        command: readable(command),
        columns: size.columns,
        rows: size.rows,
        term: environment.term.as_ref().map(text),
        shell: environment.shell.as_ref().map(text),
    };
    let (reply, spool) = local_socket::ask(&stream, &request)
        .map_err(|error| format!("refused: the agent did not answer: {error}"))?;
    match (reply, spool) {
        (
            LocalReply::Recorded { terminal_session_token, start_boottime_micros, least_free_bytes },
            Some(spool),
        ) => Ok(Begun::Recorded(CaptureSession {
            token: terminal_session_token,
            spool,
            start_boottime_micros,
            terminal: size,
            least_free_bytes,
            command: command.to_vec(),
        })),
        (LocalReply::NotRecorded { reason }, _) => Ok(Begun::NotRecorded(reason)),
        (LocalReply::Refused { reason }, _) => Err(format!("refused: {reason}")),
        (LocalReply::Recorded { .. }, None) | (LocalReply::Status { .. }, _) => {
            Err("refused: the agent's answer is not one to a session's begin".to_owned())
        }
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

fn run_recorded(session: CaptureSession) -> Result<u8, String> {
    let capture = captures()
        .into_iter()
        .find(|capture| capture.capability().kind == KIND)
        .ok_or("refused: this program records no terminals")?;
    capture.run(session).map(|status| status.shell_code()).map_err(|error| chain(&error))
}

/// Becomes the command: nothing of ours stays in the way.
fn run_unrecorded(command: &[OsString]) -> u8 {
    let Some((program, arguments)) = command.split_first() else { return REFUSED };
    let error = Command::new(program).args(arguments).exec();
    complain(&format!("cannot run {program:?}: {error}"));
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

/// The command for readers: text, and not endless.
fn readable(command: &[OsString]) -> Vec<String> {
    let mut left = LONGEST_COMMAND_BYTES;
    let mut words = Vec::new();
    for word in command {
        let word = word.to_string_lossy();
        if word.len() > left {
            let mut end = left;
            while !word.is_char_boundary(end) {
                end -= 1;
            }
            words.push(format!("{}...", &word[..end]));
            break;
        }
        left -= word.len();
        words.push(word.into_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_cut_for_readers() {
        let short = vec![OsString::from("ls"), OsString::from("-l")];
        assert_eq!(readable(&short), ["ls", "-l"]);
        let long = vec![
            OsString::from("echo"),
            OsString::from("ü".repeat(LONGEST_COMMAND_BYTES)),
            OsString::from("x"),
        ];
        let words = readable(&long);
        assert_eq!(words.len(), 2);
        assert!(words[1].ends_with("ü..."));
        assert!(words.concat().len() <= LONGEST_COMMAND_BYTES + 3);
    }
}
