//! The person's side of a session, from the answer of the recorder to the end: it prepares the terminals, starts the
//! command, and passes on what the recorder sends.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::sync::Arc;

use agent_protocol::capture::{CaptureError, PersonSession};
use agent_protocol::person::FromPerson;
use agent_protocol::recorder::{CommandDescriptor, InputWay, OutputWay};
use recording::{ExitStatus, TerminalSize};
use rustix::termios::{OptionalActions, tcsetattr};

use crate::SESSION_VARIABLE;
use crate::client::Client;
use crate::launch::{self, CommandEnds, Program};
use crate::person::{PersonTerminal, Restored};
use crate::recorder::in_one_line;
use crate::signals::Signals;
use crate::wire::ToRecorder;

/// Runs a command whose recorder is at the other end of the session's stream. `person`: the terminal of this process, as
/// it was before the session. `wait_for_agent`: waits until the agent needs that terminal no longer for this session.
///
/// # Errors
/// The session could not begin, or could not be recorded any longer and was ended.
pub fn run_recorded(
    launcher: &[OsString],
    session: PersonSession,
    person: Option<PersonTerminal>,
    wait_for_agent: &dyn Fn(),
) -> Result<ExitStatus, CaptureError> {
    let step = |step| move |source| CaptureError::Start { step, source };
    let PersonSession {
        token,
        recorder,
        descriptors,
        mut connections,
        terminal,
        command,
        is_login_shell,
        instead,
    } = session;
    let heard = recorder.try_clone().map_err(step("speak with the recorder"))?;
    let to = Arc::new(ToRecorder::over(recorder));
    let failed = |error: CaptureError| {
        to.say(FromPerson::Failed(&in_one_line(&error)));
        to.close();
        error
    };
    // If other programs share the terminal, it stays in the modes that they want, as long as the command allows that.
    let shared = !connections.all_terminals();
    let signals = Signals::register().map_err(step("handle signals")).map_err(&failed)?;
    let ends = CommandEnds::new(descriptors);
    if ends.has(CommandDescriptor::Input) {
        // The recorder wants to see what is sent although nobody could write to it.
        connections.input = InputWay::Pipe;
    }
    if let Some((person, terminal)) = person.as_ref().zip(ends.terminal()) {
        let model = person.settings().map_err(step("look at the terminal")).map_err(&failed)?;
        // In the background, too, its modes belong to another program: the shell, which reads its next line.
        let plain = shared || !person.in_foreground();
        let model = if plain { launch::plain(model) } else { model };
        tcsetattr(terminal, OptionalActions::Now, &model)
            .map_err(|errno| step("set up the pseudo-terminal")(errno.into()))
            .map_err(&failed)?;
    }
    let input = ends.has(CommandDescriptor::Input);
    let outputs = [connections.output == OutputWay::Pipe, ends.has(CommandDescriptor::ErrorOutput)];
    let size = terminal.unwrap_or(TerminalSize::WITHOUT_TERMINAL);

    let environment = (SESSION_VARIABLE, token.as_str());
    let instead = instead.map(|words| words.into_iter().map(OsString::from).collect::<Vec<_>>());
    let program = match &instead {
        Some(transfer) => Program { launcher, command: transfer, is_login_shell: false, is_transfer: true },
        None => Program { launcher, command: &command, is_login_shell, is_transfer: false },
    };
    let child = launch::start(program, environment, ends, &connections).map_err(&failed)?;

    // From here on every exit path restores the terminal and ends the command.
    let restored = person.as_ref().map(|person| Restored { person, wait_for_agent });
    let mut client =
        Client::new(child, signals, (Arc::clone(&to), heard), (person.as_ref(), size), connections);
    let ended = client.run(input, outputs);
    client.close();
    match ended {
        Ok(status) => {
            drop(restored);
            let undelivered = client.take_undelivered();
            if let Some(reason) = &undelivered {
                let _ = writeln!(
                    io::stderr(),
                    "hansard-agent: the command has ended and is recorded, but {reason}"
                );
            }
            undelivered.map_or(Ok(status), |reason| Err(CaptureError::NotDelivered { reason }))
        }
        Err(error) => {
            // Where the recorder said so, it has closed the command's terminal already.
            let error = failed(error);
            client.end_command();
            Err(error)
        }
    }
}
