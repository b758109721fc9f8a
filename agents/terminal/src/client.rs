//! The person's side of a session: it has the person's terminal or other descriptors, and the command as its child. It
//! receives from the recorder what the command prints, which is in the spool by then, and shows it; it sends to the
//! recorder what is typed.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::capture::CaptureError;
use agent_protocol::person::{Decoder, FromPerson, FromRecorder, Input, Output};
use agent_protocol::recorder::Connections;
use recording::sanitise::sanitised;
use recording::{ExitStatus, TerminalSize};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use rustix::stdio;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGWINCH};

use crate::gate::Gate;
use crate::person::PersonTerminal;
use crate::shown::{Passed, Shown};
use crate::signals::Signals;
use crate::sink::Sink;
use crate::wire::{Heard, ToRecorder, receive};
use crate::{job_control, keys, stdin_pipe, timespec};

const KILL_AFTER_TERMINATE: Duration = Duration::from_secs(5);
const KILL_AFTER_LOSS: Duration = Duration::from_secs(2);
/// How often to check whether the modes of the person's terminal can or must be changed.
const MIND_TERMINAL_EVERY: Duration = Duration::from_millis(200);
/// How long a recorder may take to stop the process group in the foreground, and to let it continue.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// The person's side.
pub(crate) struct Client<'a> {
    /// The person's terminal. The command has a terminal exactly if this is set.
    person: Option<&'a PersonTerminal>,
    shared: bool,
    /// The command has set modes of its own on a terminal that other programs use too.
    wants_keys: bool,
    /// The person's terminal was made raw because of that.
    raw_for_modes: bool,
    child: Child,
    leader: Pid,
    to: Arc<ToRecorder>,
    heard: UnixStream,
    decoder: Decoder,
    gates: Vec<(Input, Arc<Gate>)>,
    outputs: Vec<Shown>,
    together: bool,
    signals: Signals,
    exited: Option<ExitStatus>,
    kill_at: Option<Instant>,
    undelivered: Option<String>,
    size: TerminalSize,
    /// The recorder has stopped the process group in the foreground.
    held: bool,
    /// The recorder has let it continue.
    continued: bool,
    ended: Option<Ended>,
}

/// How the recorder has ended.
#[derive(Debug)]
enum Ended {
    /// Everything is recorded, and shown.
    Whole,
    /// It records no longer, for this reason.
    Early(CaptureError),
}

impl Ended {
    fn lost(reason: &str) -> Self {
        Ended::Early(CaptureError::Lost { reason: reason.to_owned() })
    }
}

/// The threads that read for the command.
struct Readers {
    _keys: Option<crate::stoppable::StoppableThread>,
    _input: Option<crate::stoppable::StoppableThread>,
}

impl<'a> Client<'a> {
    /// The side of a person with this terminal, if there is one, for a command that has just been started. `connections`:
    /// those of this process's descriptors.
    pub(crate) fn new(
        child: Child,
        signals: Signals,
        (to, heard): (Arc<ToRecorder>, UnixStream),
        (person, size): (Option<&'a PersonTerminal>, TerminalSize),
        connections: Connections,
    ) -> Self {
        Client {
            person,
            shared: !connections.all_terminals(),
            wants_keys: false,
            raw_for_modes: false,
            leader: Pid::from_child(&child),
            child,
            to,
            heard,
            decoder: Decoder::default(),
            gates: Vec::new(),
            outputs: Vec::new(),
            together: connections.together,
            signals,
            exited: None,
            kill_at: None,
            undelivered: None,
            size,
            held: false,
            continued: false,
            ended: None,
        }
    }

    /// Runs the session: shows what the recorder sends until it sends nothing more. Returns how the command ended.
    ///
    /// # Errors
    /// The recorder records no longer, or this side cannot go on.
    pub(crate) fn run(&mut self, input: bool, outputs: [bool; 2]) -> Result<ExitStatus, CaptureError> {
        let readers = self
            .open(input, outputs)
            .map_err(|source| CaptureError::Start { step: "read the terminal", source })?;
        // The window may have changed during the request to the agent, when changes were not noticed yet.
        self.take_size();
        let ended = self.pass_on();
        drop(readers);
        ended
    }

    /// Closes the outputs.
    pub(crate) fn close(&mut self) {
        self.outputs.clear();
    }

    /// What could not be passed on of the outputs, and why.
    pub(crate) fn take_undelivered(&mut self) -> Option<String> {
        self.undelivered.take()
    }

    /// Opens all connections between the recorder and the person.
    fn open(&mut self, input: bool, [output, error]: [bool; 2]) -> io::Result<Readers> {
        let mut gate = |input| {
            let gate = Arc::new(Gate::new(input, Arc::clone(&self.to))?);
            self.gates.push((input, Arc::clone(&gate)));
            io::Result::Ok(gate)
        };
        let mut keys = None;
        if let Some(person) = self.person {
            if !self.shared {
                person.make_raw()?;
            }
            keys = Some(keys::start(person.clone(), gate(Input::Terminal)?, self.shared)?);
            self.outputs.push(Shown::new(Output::Terminal, person.sink()));
        }
        let input = if input { Some(stdin_pipe::start(gate(Input::Input)?)?) } else { None };
        if output {
            self.outputs.push(Shown::new(Output::Output, Sink::to(stdio::stdout())));
        }
        if error {
            self.outputs.push(Shown::new(Output::ErrorOutput, Sink::to(stdio::stderr())));
        }
        Ok(Readers { _keys: keys, _input: input })
    }

    fn pass_on(&mut self) -> Result<ExitStatus, CaptureError> {
        loop {
            self.wait()?;
            for place in 0..self.outputs.len() {
                let passed = self.outputs[place].advance(&self.to);
                self.take_note(place, passed);
            }
            self.mind_terminal()?;
            self.release_what_was_closed();
            match self.ended.take() {
                None => {}
                Some(Ended::Early(error)) => return Err(error),
                Some(Ended::Whole) => {
                    let not_yet = || CaptureError::Lost {
                        reason: "the recorder ended the session before the command did".to_owned(),
                    };
                    return self.exited.ok_or_else(not_yet);
                }
            }
        }
    }

    /// The result of showing output.
    fn take_note(&mut self, place: usize, passed: Passed) {
        let output = self.outputs[place].output();
        match passed {
            Passed::Well => {}
            // Nobody is watching any more. As when a terminal window is closed, the command gets a hang-up, and is
            // recorded to its end.
            Passed::TerminalGone => {
                self.to.say(FromPerson::Dropped(output));
                self.pass_signal(Signal::HUP);
            }
            // The command behind a pipe notices it at its own next write.
            Passed::ReaderGone => self.to.say(FromPerson::Broken(output)),
            Passed::Failed(error) => {
                self.to.say(FromPerson::Broken(output));
                let which = match output {
                    Output::ErrorOutput => "standard error",
                    Output::Terminal | Output::Output => "standard output",
                };
                self.undelivered = Some(format!("its {which} could not be written: {error}"));
            }
        }
    }

    /// Waits for something to do, and does everything except output.
    fn wait(&mut self) -> Result<(), CaptureError> {
        let timeout = self.timeout(Instant::now());
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::new(&self.heard, PollFlags::IN),
        ];
        fds.extend(self.outputs.iter().filter_map(Shown::interest));
        match poll(&mut fds, timeout.map(timespec).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => {
                return Err(CaptureError::Start { step: "wait for the command", source: error.into() });
            }
        }
        let [signalled, said] = [&fds[0], &fds[1]].map(|fd| !fd.revents().is_empty());
        if said {
            self.hear()?;
        }
        if signalled {
            let signals = self.signals.take();
            self.handle(&signals)?;
        }
        self.kill_when_due();
        Ok(())
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let until_kill = self.kill_at.map(|at| at.saturating_duration_since(now));
        let until_release = self.outputs.iter().filter_map(|output| output.until_release(now));
        let mind = self
            .person
            .filter(|person| !person.is_gone() && (self.shared || !person.is_raw()))
            .map(|_| MIND_TERMINAL_EVERY);
        until_kill.into_iter().chain(until_release.filter(|_| self.exited.is_none())).chain(mind).min()
    }

    /// Handles a message of the recorder.
    fn hear(&mut self) -> Result<(), CaptureError> {
        let start_error = |source| CaptureError::Start { step: "hear the recorder", source };
        match receive(&self.heard, &mut self.decoder).map_err(start_error)? {
            Heard::Something => {}
            Heard::NothingNow => return Ok(()),
            Heard::End => {
                self.ended.get_or_insert_with(|| Ended::lost("the recorder has ended unexpectedly"));
                return Ok(());
            }
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        let heard = self.hear_all(&mut decoder);
        self.decoder = decoder;
        heard.map_err(|bad| start_error(io::Error::new(io::ErrorKind::InvalidData, bad)))
    }

    fn hear_all(&mut self, decoder: &mut Decoder) -> Result<(), agent_protocol::person::BadMessage> {
        while let Some(message) = decoder.next::<FromRecorder<'_>>()? {
            match message {
                FromRecorder::Output(of, bytes) => {
                    if let Some(place) = self.place(of) {
                        let passed = self.outputs[place].show(bytes, &self.to);
                        self.take_note(place, passed);
                    }
                }
                FromRecorder::OutputEnd(of) => {
                    if let Some(place) = self.place(of) {
                        self.outputs[place].end(&self.to);
                    }
                }
                FromRecorder::Room(of, bytes) => {
                    self.gates
                        .iter()
                        .filter(|(input, _)| *input == of)
                        .for_each(|(_, gate)| gate.give(bytes));
                }
                FromRecorder::InputBroken(of) => {
                    self.gates
                        .iter()
                        .filter(|(input, _)| *input == of)
                        .for_each(|(_, gate)| gate.break_off());
                }
                FromRecorder::WantsKeys(wants) => self.wants_keys = wants,
                FromRecorder::Held => self.held = true,
                FromRecorder::Continued => self.continued = true,
                FromRecorder::Ended => self.ended = Some(Ended::Whole),
                FromRecorder::Lost(reason) => self.ended = Some(Ended::lost(reason)),
                FromRecorder::Stopped(reason) => {
                    self.ended = Some(Ended::Early(CaptureError::Ended { reason: reason.to_owned() }));
                }
                FromRecorder::Notice(text) => self.tell(text),
                FromRecorder::Signal { group, signal } => {
                    let group = i32::try_from(group).ok().and_then(Pid::from_raw);
                    let signal = Signal::from_named_raw(i32::from(signal));
                    if let Some((group, signal)) = group.zip(signal) {
                        // A group that has ended needs no signal.
                        let _ = kill_process_group(group, signal);
                    }
                }
                FromRecorder::Unknown(_) => {}
            }
        }
        Ok(())
    }

    /// Shows the person a text that is not the command's, on a line of its own.
    fn tell(&self, text: &str) {
        let line = format!("hansard-agent: {}", sanitised(text));
        // Nobody else writes while this does. If it cannot be shown, the session goes on.
        let _ = match self.person.filter(|person| person.is_raw()) {
            Some(_) => write!(io::stderr(), "\r\n{line}\r\n"),
            None => writeln!(io::stderr(), "{line}"),
        };
    }

    fn place(&self, of: Output) -> Option<usize> {
        self.outputs.iter().position(|output| output.output() == of)
    }

    fn handle(&mut self, signals: &[i32]) -> Result<(), CaptureError> {
        for signal in signals {
            match *signal {
                SIGCHLD => self.look_after_command()?,
                SIGWINCH => self.take_size(),
                SIGCONT => self.go_on()?,
                SIGTSTP => self.stop_with_command()?,
                SIGHUP => self.pass_signal(Signal::HUP),
                SIGINT => self.pass_signal(Signal::INT),
                SIGQUIT => self.pass_signal(Signal::QUIT),
                signal => self.end_by(signal),
            }
        }
        Ok(())
    }

    /// Handles a signal that would end this process by ending the session in order.
    fn end_by(&mut self, signal: i32) {
        // A program does not expect a real-time signal.
        self.pass_signal(Signal::from_named_raw(signal).unwrap_or(Signal::TERM));
        if self.person.is_some() {
            // Interactive shells ignore SIGTERM; losing the terminal ends them.
            self.pass_signal(Signal::HUP);
        }
        self.to.say(FromPerson::Hurry);
        self.kill_at.get_or_insert(Instant::now() + KILL_AFTER_TERMINATE);
    }

    fn look_after_command(&mut self) -> Result<(), CaptureError> {
        if self.exited.is_some() {
            return Ok(());
        }
        let wait_error = |source| CaptureError::Start { step: "wait for the command", source };
        if let Some(status) = self.child.try_wait().map_err(wait_error)? {
            // Linux gives every ended process a code of 8 bits or a signal.
            let status =
                ExitStatus::from_parts(status.code(), status.signal()).unwrap_or(ExitStatus::Code(u8::MAX));
            self.exited = Some(status);
            self.to.say(FromPerson::Exited(status));
            self.outputs.iter_mut().for_each(|output| output.tell_at_once(&self.to));
            return Ok(());
        }
        let stopped = waitid(WaitId::Pid(self.leader), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG)
            .map_err(|errno| wait_error(errno.into()))?
            .and_then(|status| status.stopping_signal())
            .and_then(Signal::from_named_raw);
        match stopped {
            Some(signal) => self.stop_after_command(signal),
            None => Ok(()),
        }
    }

    /// The command has stopped itself. This process stops too, and gives the terminal back to the shell, which can
    /// continue both.
    fn stop_after_command(&mut self, signal: Signal) -> Result<(), CaptureError> {
        if job_control::somebody_would_continue_us() {
            return self.stop(signal, true);
        }
        if self.person.is_some() {
            // Without a shell the person would be left with a dead terminal.
            self.send(Signal::CONT);
        }
        Ok(())
    }

    /// Handles a request to stop this process, which is meant for the session.
    fn stop_with_command(&mut self) -> Result<(), CaptureError> {
        // The kernel ignores Ctrl-Z if nobody could continue the process.
        if job_control::somebody_would_continue_us() {
            self.hold()?;
            self.stop(Signal::TSTP, false)?;
        }
        Ok(())
    }

    /// Stops the command and every process that has its terminal, before this process stops.
    fn hold(&mut self) -> Result<(), CaptureError> {
        self.send_to_command(Signal::STOP);
        self.held = false;
        self.to.say(FromPerson::Suspended);
        self.hear_until(|client| client.held)
    }

    /// Handles messages of the recorder until it has answered, within a bounded time.
    fn hear_until(&mut self, answered: impl Fn(&Self) -> bool) -> Result<(), CaptureError> {
        let deadline = Instant::now() + ANSWERS_WITHIN;
        while !answered(self) && self.ended.is_none() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { break };
            let mut fds = [PollFd::new(&self.heard, PollFlags::IN)];
            if poll(&mut fds, Some(&timespec(left))) != Err(Errno::INTR) {
                self.hear()?;
            }
        }
        Ok(())
    }

    /// Stops this process, and lets the command continue when this process is continued.
    fn stop(&mut self, signal: Signal, together: bool) -> Result<(), CaptureError> {
        if let Some(person) = self.person {
            person.restore();
        }
        job_control::stop(signal, together);
        // This process was continued.
        let meanwhile: Vec<i32> =
            self.signals.take().into_iter().filter(|signal| ![SIGTSTP, SIGCONT].contains(signal)).collect();
        self.go_on()?;
        // A shell that continues reads the size of its terminal and sets it again to the same value, so the new size
        // must be set before.
        self.continued = false;
        self.to.say(FromPerson::Resumed);
        self.hear_until(|client| client.continued)?;
        // This comes before all other checks: it is known that the command has stopped.
        self.send_to_command(Signal::CONT);
        self.handle(&meanwhile)
    }

    /// Takes the terminal again if it belongs to this process now, and reads its present size.
    fn go_on(&mut self) -> Result<(), CaptureError> {
        if let Some(person) = self.person {
            let was_raw = person.is_raw();
            person.forget_raw();
            if !self.shared || was_raw {
                make_raw(person)?;
            }
        }
        self.take_size();
        Ok(())
    }

    /// Makes the person's terminal raw as soon as that is possible and wanted.
    fn mind_terminal(&mut self) -> Result<(), CaptureError> {
        let Some(person) = self.person.filter(|person| !person.is_gone()) else {
            return Ok(());
        };
        if !self.shared {
            if !person.is_raw() {
                make_raw(person)?;
                if person.is_raw() {
                    // A process in the background gets no signal about a new size.
                    self.take_size();
                }
            }
        } else if self.wants_keys && !person.is_raw() && person.is_plain() {
            make_raw(person)?;
            self.raw_for_modes = person.is_raw();
        } else if !self.wants_keys && self.raw_for_modes {
            self.raw_for_modes = false;
            person.restore();
        }
        Ok(())
    }

    /// If the command has closed an output, it is closed for its reader, too.
    fn release_what_was_closed(&mut self) {
        if self.exited.is_none() {
            let now = Instant::now();
            let together = self.together;
            self.outputs.retain(|output| !output.is_released(now, together));
        }
    }

    /// Tells the recorder the size of the person's terminal, if it has changed.
    fn take_size(&mut self) {
        let Some(person) = self.person else { return };
        // If the terminal is gone, its last size remains.
        let Some(size) = person.size() else { return };
        if size != self.size {
            self.size = size;
            self.to.say(FromPerson::Size(size));
        }
    }

    /// Sends a signal to the foreground processes of the terminal and to the command itself. Both get it even if they
    /// are stopped.
    fn pass_signal(&self, signal: Signal) {
        self.send(signal);
        if signal != Signal::KILL {
            self.send(Signal::CONT);
        }
    }

    fn send(&self, signal: Signal) {
        if let Ok(number) = u8::try_from(signal.as_raw()) {
            self.to.say(FromPerson::Signal(number));
        }
        self.send_to_command(signal);
    }

    /// Sends a signal to the command's own process group; to its launcher as long as that leads none.
    fn send_to_command(&self, signal: Signal) {
        if self.exited.is_none() && kill_process_group(self.leader, signal) == Err(Errno::SRCH) {
            // It was not waited for, so that its number is nobody else's. One that has ended needs no signal.
            let _ = kill_process(self.leader, signal);
        }
    }

    fn kill_when_due(&mut self) {
        if self.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.kill_at = None;
            self.pass_signal(Signal::KILL);
            // If the end was requested, it does not wait for a person who is not reading.
            for output in &mut self.outputs {
                output.give_up();
                self.to.say(FromPerson::Dropped(output.output()));
            }
        }
    }

    /// Ends a command whose terminal is closed already.
    pub(crate) fn end_command(&mut self) {
        if self.exited.is_some() {
            return;
        }
        self.send_to_command(Signal::HUP);
        self.send_to_command(Signal::CONT);
        let deadline = Instant::now() + KILL_AFTER_LOSS;
        while let Ok(None) = self.child.try_wait() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                self.send_to_command(Signal::KILL);
                let _ = self.child.wait();
                return;
            };
            // SIGCHLD wakes this.
            let mut fds = [PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
            let _ = poll(&mut fds, Some(&timespec(left)));
            self.signals.take();
        }
    }
}

fn make_raw(person: &PersonTerminal) -> Result<(), CaptureError> {
    person.make_raw().map_err(|source| CaptureError::Start { step: "set up the terminal", source })
}
