//! The recorder's side of a session: it has the pseudo-terminal, the other ends of the command's pipes, and the spool.
//! It writes what it reads to the spool, and only then sends it to the person's side.

use std::error::Error as _;
use std::io;
use std::time::{Duration, Instant};

use agent_protocol::capture::CaptureError;
use agent_protocol::person::{Decoder, FromPerson, FromRecorder, Input, Output};
use recording::{ExitStatus, TerminalSize};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp};

use crate::channel::Channel;
use crate::command_input::CommandInput;
use crate::launch::{self, RecorderEnds};
use crate::spooler::Spooler;
use crate::timespec;
use crate::wire::{Heard, ToPerson, receive};

/// How often a terminal that nobody has open is checked.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often to check whether the command has changed the modes of its keys.
const MIND_MODES_EVERY: Duration = Duration::from_millis(200);
/// How long messages of a person's side are still read after it was told that the session ends.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// What the recorder knows of the person's side when it begins.
pub(crate) struct PersonFacts {
    /// The size of the command's terminal.
    pub(crate) size: TerminalSize,
    /// The modes of a terminal that other programs use too: the person's side is told when the command sets its own.
    pub(crate) shared_modes: Option<LocalModes>,
    /// For standard output and standard error: whether a reader waits for the end.
    pub(crate) somebody_reads: [bool; 2],
}

/// The modes by which a program shows that it wants the keys one by one, or without echo.
pub(crate) fn watched(modes: LocalModes) -> LocalModes {
    modes & (LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

/// Records until the command has ended and everything that it printed is in the spool and accepted. Then the person's
/// side sends its last message, and the exit record says that nothing follows.
pub(crate) fn run(
    person: ToPerson,
    mut spooler: Spooler,
    ends: RecorderEnds,
    facts: PersonFacts,
) -> Result<(), CaptureError> {
    let mut recorder = match Recorder::new(person, ends, facts) {
        Ok(recorder) => recorder,
        Err(source) => {
            let error = CaptureError::Start { step: "read the terminal", source };
            spooler.give_up(&in_one_line(&error));
            return Err(error);
        }
    };
    let mut decoder = Decoder::default();
    let ended = recorder.record(&mut spooler, &mut decoder);
    // The hang-up of the terminal reaches everything that still runs on it.
    recorder.close();
    match ended {
        Ok(status) => {
            recorder.say_last(&FromRecorder::Ended);
            recorder.hear_out(&mut decoder);
            spooler.exit(status)
        }
        Err(error) => {
            // However it ends, the recording says why.
            let reason = match &error {
                CaptureError::Lost { reason } => reason.clone(),
                other => in_one_line(other),
            };
            spooler.give_up(&reason);
            recorder.say_last(&FromRecorder::Lost(&reason));
            Err(error)
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn in_one_line(error: &CaptureError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn lost(reason: impl std::fmt::Display) -> CaptureError {
    CaptureError::Lost { reason: reason.to_string() }
}

fn person_lost(error: io::Error) -> CaptureError {
    lost(format_args!("the person's side is lost: {error}"))
}

struct Recorder {
    person: ToPerson,
    master: Option<OwnedFd>,
    inputs: Vec<CommandInput>,
    channels: Vec<Channel>,
    /// The command's own process group, as long as it exists.
    leader: Option<Pid>,
    exited: Option<(ExitStatus, Instant)>,
    hurry: bool,
    size: TerminalSize,
    shared_modes: Option<LocalModes>,
    /// What the person's side was last told about the keys.
    wants_keys: bool,
}

/// What was ready when polled.
struct Ready {
    person: bool,
    inputs: Vec<PollFlags>,
    channels: Vec<bool>,
}

impl Recorder {
    fn new(person: ToPerson, ends: RecorderEnds, facts: PersonFacts) -> io::Result<Self> {
        let RecorderEnds { master, input, output, error } = ends;
        let [output_is_read, error_is_read] = facts.somebody_reads;
        let (mut inputs, mut channels) = (Vec::new(), Vec::new());
        if let Some(master) = &master {
            inputs.push(CommandInput::new(Input::Terminal, master.try_clone()?));
            channels.push(Channel::new(Output::Terminal, master.try_clone()?, false));
        }
        inputs.extend(input.map(|input| CommandInput::new(Input::Input, input)));
        channels.extend(output.map(|output| Channel::new(Output::Output, output, output_is_read)));
        channels.extend(error.map(|error| Channel::new(Output::ErrorOutput, error, error_is_read)));
        Ok(Recorder {
            person,
            master,
            inputs,
            channels,
            leader: None,
            exited: None,
            hurry: false,
            size: facts.size,
            shared_modes: facts.shared_modes,
            wants_keys: false,
        })
    }

    fn close(&mut self) {
        self.inputs.clear();
        self.channels.clear();
        self.master = None;
    }

    fn record(&mut self, spooler: &mut Spooler, decoder: &mut Decoder) -> Result<ExitStatus, CaptureError> {
        let mut inputs = vec![PollFlags::empty(); self.inputs.len()];
        loop {
            for (input, ready) in self.inputs.iter_mut().zip(inputs) {
                input.advance(ready, &mut self.person).map_err(person_lost)?;
            }
            self.inputs.retain(|input| !input.is_over());
            self.mind_modes().map_err(person_lost)?;
            let ready = self.wait(spooler)?;
            self.person.flush().map_err(person_lost)?;
            if ready.person {
                self.hear(decoder, spooler)?;
            }
            for (channel, ready) in self.channels.iter_mut().zip(&ready.channels) {
                if *ready || channel.is_hung_up() {
                    channel.advance(spooler, &mut self.person)?;
                }
            }
            if let Some((status, since)) = self.exited {
                let now = Instant::now();
                let mut all_done = true;
                for (channel, ready) in self.channels.iter_mut().zip(&ready.channels) {
                    channel.end_when_overdue(since, now);
                    all_done &= !ready && channel.is_done(since, self.hurry, now);
                }
                if all_done {
                    return Ok(status);
                }
            }
            inputs = ready.inputs;
        }
    }

    fn wait(&self, spooler: &mut Spooler) -> Result<Ready, CaptureError> {
        let mut fds = vec![
            PollFd::new(&self.person, self.person.interest()),
            PollFd::from_borrowed_fd(spooler.failure_fd(), PollFlags::IN),
        ];
        let of_inputs: Vec<Option<PollFd<'_>>> = self.inputs.iter().map(CommandInput::interest).collect();
        let of_channels: Vec<Option<PollFd<'_>>> = self.channels.iter().map(Channel::interest).collect();
        let wanted: Vec<bool> = of_inputs.iter().chain(&of_channels).map(Option::is_some).collect();
        fds.extend(of_inputs.into_iter().chain(of_channels).flatten());
        match poll(&mut fds, self.timeout(Instant::now()).map(timespec).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => {
                return Ok(Ready {
                    person: false,
                    inputs: vec![PollFlags::empty(); self.inputs.len()],
                    channels: vec![false; self.channels.len()],
                });
            }
            Err(error) => {
                return Err(CaptureError::Start { step: "wait for the command", source: error.into() });
            }
        }
        let mut answers = fds.iter().map(PollFd::revents);
        let person = answers.next().unwrap_or(PollFlags::empty());
        let failed = answers.next().is_some_and(|flags| !flags.is_empty());
        let mut answers = wanted.into_iter().map(|wanted| {
            if wanted { answers.next().unwrap_or(PollFlags::empty()) } else { PollFlags::empty() }
        });
        let inputs = answers.by_ref().take(self.inputs.len()).collect();
        let channels = answers.map(|flags| !flags.is_empty()).collect();
        if failed {
            spooler.check()?;
        }
        let person = person.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        Ok(Ready { person, inputs, channels })
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let of_channels: Vec<Option<Duration>> = self
            .channels
            .iter()
            .map(|channel| match self.exited {
                Some((_, since)) => channel.until_done(since, self.hurry, now),
                None => channel.is_hung_up().then_some(LOOK_AGAIN),
            })
            .collect();
        // A channel that is done needs no wait; but while another one is waited for, it must not be checked over and
        // over.
        let all_are_done = of_channels.iter().all(|wait| *wait == Some(Duration::ZERO));
        let least = if all_are_done { Duration::ZERO } else { LOOK_AGAIN };
        let of_channels = of_channels.into_iter().flatten();
        let of_channels = of_channels.map(|wait| if wait.is_zero() { least } else { wait });
        // The processes left over are checked, too, even if nothing more is printed.
        let overdue = self.exited.filter(|_| self.master.is_some()).map(|_| MIND_MODES_EVERY);
        let mind = (self.shared_modes.is_some() && self.master.is_some()).then_some(MIND_MODES_EVERY);
        of_channels.chain(overdue).chain(mind).min()
    }

    /// Handles a message of the person's side.
    fn hear(&mut self, decoder: &mut Decoder, spooler: &mut Spooler) -> Result<(), CaptureError> {
        match receive(self.person.stream(), decoder).map_err(person_lost)? {
            Heard::Something => {}
            Heard::NothingNow => return Ok(()),
            Heard::End => return Err(lost("the person's side ended before the command did")),
        }
        while let Some(message) = decoder.next::<FromPerson<'_>>().map_err(lost)? {
            self.handle(message, spooler)?;
        }
        Ok(())
    }

    fn handle(&mut self, message: FromPerson<'_>, spooler: &mut Spooler) -> Result<(), CaptureError> {
        match message {
            FromPerson::Started { process_id } => {
                self.leader = i32::try_from(process_id).ok().and_then(Pid::from_raw);
            }
            FromPerson::Input(of, bytes) => {
                // Bytes for an input that has ended are lost, as they would be in a pipe.
                if let Some(input) = self.inputs.iter_mut().find(|input| input.input() == of) {
                    input.take(bytes).map_err(lost)?;
                }
            }
            FromPerson::InputEnd(of) => {
                self.inputs.iter_mut().filter(|input| input.input() == of).for_each(CommandInput::end);
            }
            FromPerson::Taken(of, bytes) => {
                if let Some(channel) = self.channel(of) {
                    channel.taken(bytes);
                }
            }
            FromPerson::Dropped(of) => {
                if let Some(channel) = self.channel(of) {
                    channel.drop_what_comes();
                }
            }
            FromPerson::Broken(of) => {
                if let Some(channel) = self.channel(of) {
                    channel.break_off(spooler)?;
                }
            }
            FromPerson::Size(size) => self.take_size(size, spooler)?,
            FromPerson::Signal(signal) => {
                if let Some(signal) = Signal::from_named_raw(i32::from(signal)) {
                    self.send_to_foreground(signal);
                }
            }
            FromPerson::Suspended => {
                self.send_to_foreground(Signal::STOP);
                self.person.say(&FromRecorder::Held).map_err(person_lost)?;
            }
            FromPerson::Resumed => {
                self.send_to_foreground(Signal::CONT);
                self.person.say(&FromRecorder::Continued).map_err(person_lost)?;
            }
            FromPerson::Hurry => self.hurry = true,
            FromPerson::Exited(status) => {
                self.leader = None;
                self.exited = Some((status, Instant::now()));
            }
            FromPerson::Failed(reason) => return Err(lost(reason)),
            FromPerson::Unknown(_) => {}
        }
        Ok(())
    }

    fn channel(&mut self, of: Output) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.output() == of)
    }

    /// Sets a new size of the command's terminal.
    fn take_size(&mut self, size: TerminalSize, spooler: &mut Spooler) -> Result<(), CaptureError> {
        let Some(master) = &self.master else { return Ok(()) };
        if size != self.size {
            self.size = size;
            // It is written to the spool first, so that nothing drawn for the new size comes before it.
            spooler.resize(size)?;
            // If it fails, the terminal is closed, which the next read notices.
            let _ = launch::set_size(master, size);
        }
        Ok(())
    }

    /// Sends a signal to the foreground processes of the terminal, unless they are the command itself: its parent
    /// sends to that.
    fn send_to_foreground(&self, signal: Signal) {
        let foreground = self.master.as_ref().and_then(|master| tcgetpgrp(master).ok());
        if let Some(group) = foreground.filter(|group| Some(*group) != self.leader) {
            // A group that has ended needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Tells the person's side when the command changes how it wants its keys.
    fn mind_modes(&mut self) -> io::Result<()> {
        let (Some(first), Some(master)) = (self.shared_modes, &self.master) else { return Ok(()) };
        let Ok(settings) = tcgetattr(master) else { return Ok(()) };
        let wants_keys = watched(settings.local_modes) != first;
        if wants_keys != self.wants_keys && self.person.is_idle() {
            self.wants_keys = wants_keys;
            self.person.say(&FromRecorder::WantsKeys(wants_keys))?;
        }
        Ok(())
    }

    /// Sends the message that ends the session. A person's side that does not receive it notices that the recorder is
    /// gone.
    fn say_last(&mut self, message: &FromRecorder<'_>) {
        let deadline = Instant::now() + LAST_WORDS_WITHIN;
        let mut said = self.person.say(message);
        while said.is_ok() && !self.person.is_idle() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            let mut fds = [PollFd::from_borrowed_fd(self.person.as_fd(), PollFlags::OUT)];
            let _ = poll(&mut fds, Some(&timespec(left)));
            said = self.person.flush();
        }
    }

    /// Waits until the person's side has sent its last message, by which time it has shown the person everything.
    fn hear_out(&self, decoder: &mut Decoder) {
        loop {
            let mut fds = [PollFd::from_borrowed_fd(self.person.as_fd(), PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            match receive(self.person.stream(), decoder) {
                Ok(Heard::Something) => while let Ok(Some(_)) = decoder.next::<FromPerson<'_>>() {},
                Ok(Heard::NothingNow) => {}
                Ok(Heard::End) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
