//! A session with both sides in this process: the recorder runs on its own thread, at the other end of a socket pair.
//! They share only the byte stream; neither uses what belongs to the other.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use agent_protocol::capture::{CaptureError, RecorderSession};
use agent_protocol::person::FromPerson;
use recording::{ExitStatus, TerminalSize};
use rustix::stdio;

use crate::client::Client;
use crate::descriptors::{Ways, has_reader};
use crate::launch::{self, Model, Program};
use crate::person::{PersonTerminal, Restored};
use crate::recorder::{self, PersonFacts, in_one_line, watched};
use crate::signals::Signals;
use crate::spooler::Spooler;
use crate::wire::{ToPerson, ToRecorder};
use crate::{SESSION_VARIABLE, spool_name};

/// Records a session.
pub(crate) fn run(launcher: &[OsString], mut session: RecorderSession) -> Result<ExitStatus, CaptureError> {
    let start_error = |step| move |source| CaptureError::Start { step, source };
    let ways = Ways::of_this_process();
    let person = PersonTerminal::of_this_process();
    // If other programs share the terminal, it stays in the modes that they want, as long as the command allows that.
    let shared = !ways.all_terminals();
    let signals = Signals::register().map_err(start_error("handle signals"))?;
    let no_spool = || io::Error::new(io::ErrorKind::NotFound, "the agent gave none for a terminal");
    let spool = session.spools.remove(&spool_name()).ok_or_else(no_spool);
    let spool = spool.map_err(start_error("find the spool"))?;
    let spooler = Spooler::new(spool, session.start_boottime_micros, session.least_free_bytes)
        .map_err(start_error("prepare the spool"))?;

    let size = session.terminal.unwrap_or(TerminalSize::WITHOUT_TERMINAL);
    let model = match &person {
        Some(person) => {
            let settings = person.settings().map_err(start_error("look at the terminal"))?;
            // In the background, too, its modes belong to another program: the shell, which reads its next line.
            let plain = shared || !person.in_foreground();
            let settings = if plain { launch::plain(settings) } else { settings };
            Some(Model { settings, size })
        }
        None => None,
    };
    let first_modes = model.as_ref().map(|model| watched(model.settings.local_modes));
    let (ends, command_ends) = match launch::open(ways, model) {
        Ok(opened) => opened,
        Err(error) => {
            spooler.give_up(&in_one_line(&error));
            return Err(error);
        }
    };
    let (inputs, outputs) = (ends.input.is_some(), [ends.output.is_some(), ends.error.is_some()]);
    let facts = PersonFacts {
        size,
        shared_modes: first_modes.filter(|_| shared),
        somebody_reads: [has_reader(stdio::stdout()), has_reader(stdio::stderr())],
    };
    let (ours, theirs) = UnixStream::pair().map_err(start_error("speak with the recorder"))?;
    let heard = ours.try_clone().map_err(start_error("speak with the recorder"))?;
    let recorder = thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(move || recorder::run(ToPerson::over(theirs), spooler, ends, facts))
        .map_err(start_error("start the recorder"))?;
    let recorder = RecorderThread { to: Arc::new(ToRecorder::over(ours)), thread: recorder };

    let environment = (SESSION_VARIABLE, session.token.as_str());
    let program = Program { launcher, command: &session.command, is_login_shell: session.is_login_shell };
    let child = match launch::start(program, environment, command_ends) {
        Ok(child) => child,
        Err(error) => return Err(recorder.fail(error)),
    };
    recorder.to.say(FromPerson::Started { process_id: child.id() });

    // From here on every exit path restores the terminal and ends the command.
    let restored = person.as_ref().map(Restored);
    let to = Arc::clone(&recorder.to);
    let mut client = Client::new(child, signals, (to, heard), (person.as_ref(), size), ways);
    let ended = client.run(inputs, outputs);
    client.close();
    match ended {
        Ok(Some(status)) => {
            // The terminal is restored and the last line printed first: the exit record says that nothing comes after
            // it, and the agent enforces that.
            drop(restored);
            let undelivered = client.take_undelivered();
            if let Some(reason) = &undelivered {
                let _ = writeln!(
                    io::stderr(),
                    "hansard-agent: the command has ended and is recorded, but {reason}"
                );
            }
            recorder.to.close();
            recorder.join()?;
            undelivered.map_or(Ok(status), |reason| Err(CaptureError::NotDelivered { reason }))
        }
        Ok(None) => {
            // The recorder has closed the command's terminal already.
            client.end_command();
            recorder.to.close();
            let gone = || CaptureError::Lost { reason: "the recorder has ended unexpectedly".to_owned() };
            Err(recorder.join().err().unwrap_or_else(gone))
        }
        Err(error) => {
            let error = recorder.fail(error);
            client.end_command();
            Err(error)
        }
    }
}

/// The recorder, running as a thread of this process.
struct RecorderThread {
    to: Arc<ToRecorder>,
    thread: JoinHandle<Result<(), CaptureError>>,
}

impl RecorderThread {
    /// Waits for its end.
    fn join(self) -> Result<(), CaptureError> {
        let failed = |_| CaptureError::Lost { reason: "the recorder failed unexpectedly".to_owned() };
        self.thread.join().map_err(failed).flatten()
    }

    /// Ends the recording with this reason, and returns it.
    fn fail(self, error: CaptureError) -> CaptureError {
        self.to.say(FromPerson::Failed(&in_one_line(&error)));
        self.to.close();
        // It ends with the same reason.
        let _ = self.join();
        error
    }
}
