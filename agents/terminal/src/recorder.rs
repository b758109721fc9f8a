//! The recorder's side of a session: it has the pseudo-terminal, the other ends of the command's pipes, and the spool.
//! It writes what it reads to the spool, and only then sends it to the person's side. It believes the person's side
//! nothing that it can ask the kernel for.

mod holding;
mod standstill;
mod unseen;
mod waiting;

use std::error::Error as _;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use agent_protocol::capture::{CaptureError, SpoolName};
use agent_protocol::person::{Decoder, FromPerson, FromRecorder, Input, Output};
use agent_protocol::processes;
use agent_protocol::recorder::{CommandNote, ControlReply, ControlRequest, SyncLimits};
use recording::{Cause, ExitStatus, TerminalSessionToken, TerminalSize};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::process::Signal;
use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp};

use crate::beginning::{Beginning, Begun, CommandProcess};
use crate::channel::Channel;
use crate::command_ends::{self, RecorderEnds};
use crate::command_input::CommandInput;
use crate::control::Control;
use crate::left_over::LeftOver;
use crate::scribe::Scribe;
use crate::unacknowledged::Unacknowledged;
use crate::wire::{Heard, ToPerson, receive};
use crate::{events_spool_name, foreground, kernel_exit, spool_name, timespec};
use holding::Holding;
use standstill::Standstill;

/// The longest time that nothing is recorded because an agent asks for it, unless it asks again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long the person's side may take to say how the command ended. It may be stopped for a while.
const REPORTS_END_WITHIN: Duration = Duration::from_secs(600);
/// How often to check whether the command has changed the modes of its keys.
const MIND_MODES_EVERY: Duration = Duration::from_millis(200);
/// How long messages of a person's side are still read after it was told that the session ends.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(1);

/// The modes by which a program shows that it wants the keys one by one, or without echo.
fn watched(modes: LocalModes) -> LocalModes {
    modes & (LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

/// What the recorder knows when it begins.
pub(crate) struct Facts {
    /// Which session.
    pub(crate) token: TerminalSessionToken,
    /// The size of the command's terminal.
    pub(crate) size: TerminalSize,
    /// The number of its device, if there is one.
    pub(crate) terminal_device: Option<u64>,
    /// The person.
    pub(crate) user_id: u32,
    /// Other programs use the person's terminal, too: the person's side is told when the command sets modes of its own.
    pub(crate) shared: bool,
    /// For standard output and standard error: whether a reader waits for the end.
    pub(crate) somebody_reads: [bool; 2],
    /// Whether this process may end what is left of the session.
    pub(crate) ends_what_is_left: bool,
    /// How late the control plane may acknowledge what is shown.
    pub(crate) sync: Option<SyncLimits>,
}

/// What it records with.
pub(crate) struct Equipment {
    pub(crate) ends: RecorderEnds,
    pub(crate) beginning: Beginning,
    /// Where the process of the command is noted.
    pub(crate) command_note: File,
    pub(crate) control: Control,
    /// Readable when this process is told to end.
    pub(crate) told_to_end: OwnedFd,
}

/// Records until the command has ended and everything that it printed is in the spool and accepted. The exit record is
/// the last thing that this process writes.
pub(crate) fn run(
    person: ToPerson,
    mut scribe: Scribe,
    equipment: Equipment,
    facts: Facts,
) -> Result<(), CaptureError> {
    let mut recorder = match Recorder::new(person, equipment, facts) {
        Ok(recorder) => recorder,
        Err(source) => {
            let error = CaptureError::Start { step: "read the terminal", source };
            scribe.give_up(cause_of(&error), &in_one_line(&error));
            return Err(error);
        }
    };
    let ended = recorder.record(&mut scribe, &mut Decoder::default());
    if ended.is_err() {
        recorder.keep_what_nobody_saw(&mut scribe);
    }
    let noted = recorder.standstill.note(&mut scribe);
    let ended = ended.and_then(|status| noted.map(|()| status));
    // Before the hang-up, which ends parents by which children are found.
    let left = ended.as_ref().err().and_then(|_| recorder.find_what_is_left());
    // The hang-up of the terminal reaches everything that still runs on it.
    recorder.close();
    match ended.and_then(|status| scribe.check().map(|()| status)) {
        Ok(status) => match scribe.exit(status) {
            Ok(()) => {
                recorder.say_last(&FromRecorder::Ended);
                Ok(())
            }
            Err(error) => {
                recorder.say_last(&FromRecorder::Lost(&reason_of(&error)));
                Err(error)
            }
        },
        Err(error) => {
            // However it ends, the recording says why.
            let reason = reason_of(&error);
            scribe.give_up(cause_of(&error), &reason);
            recorder.say_last(&match &error {
                CaptureError::Ended { .. } => FromRecorder::Stopped(&reason),
                _ => FromRecorder::Lost(&reason),
            });
            if let Some((command, left)) = left {
                left.end(&command);
            }
            Err(error)
        }
    }
}

/// The reason alone, for the recording and for whoever says what happened in words of its own.
fn reason_of(error: &CaptureError) -> String {
    match error {
        CaptureError::Lost { reason }
        | CaptureError::BrokenOff { reason }
        | CaptureError::Ended { reason } => reason.clone(),
        other => in_one_line(other),
    }
}

/// Why nothing stands behind the end of the recording, in the ledger's word.
pub(crate) fn cause_of(error: &CaptureError) -> Cause {
    match error {
        CaptureError::Ended { .. } => Cause::SESSION_ENDED,
        CaptureError::BrokenOff { .. } | CaptureError::Start { .. } => Cause::SESSION_BROKEN_OFF,
        CaptureError::Lost { .. } | CaptureError::NotDelivered { .. } => Cause::SPOOL_FAILED,
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
    CaptureError::BrokenOff { reason: reason.to_string() }
}

fn person_lost(error: io::Error) -> CaptureError {
    lost(format_args!("the person's side is lost: {error}"))
}

struct Recorder {
    token: TerminalSessionToken,
    person: ToPerson,
    person_is_gone: bool,
    standstill: Standstill,
    master: Option<OwnedFd>,
    inputs: Vec<CommandInput>,
    channels: Vec<Channel>,
    command: Command,
    command_note: File,
    control: Control,
    told_to_end: OwnedFd,
    /// Since when the command is known to have ended, of which the person's side says nothing yet.
    ended_since: Option<Instant>,
    exited: Option<(ExitStatus, Instant)>,
    hurry: bool,
    size: TerminalSize,
    terminal_device: Option<u64>,
    user_id: u32,
    shared: bool,
    /// The modes of a shared terminal when the command began.
    shared_modes: Option<LocalModes>,
    /// What the person's side was last told about the keys.
    wants_keys: bool,
    ends_what_is_left: bool,
    recorded_bytes: u64,
    holding: Holding,
    /// Why the session is to end, if somebody wants that.
    end_because: Option<String>,
}

/// The process of the command.
enum Command {
    Begins(Beginning),
    Runs(CommandProcess),
}

impl Command {
    /// The process, once it is known.
    fn process(&self) -> Option<&CommandProcess> {
        match self {
            Command::Begins(beginning) => beginning.reported(),
            Command::Runs(process) => Some(process),
        }
    }
}

impl Recorder {
    fn new(person: ToPerson, equipment: Equipment, facts: Facts) -> io::Result<Self> {
        let Equipment { ends, beginning, command_note, control, told_to_end } = equipment;
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
            token: facts.token,
            standstill: Standstill::of(person.stream()),
            person,
            person_is_gone: false,
            master,
            inputs,
            channels,
            command: Command::Begins(beginning),
            command_note,
            control,
            told_to_end,
            ended_since: None,
            exited: None,
            hurry: false,
            size: facts.size,
            terminal_device: facts.terminal_device,
            user_id: facts.user_id,
            shared: facts.shared,
            shared_modes: None,
            wants_keys: false,
            ends_what_is_left: facts.ends_what_is_left,
            recorded_bytes: 0,
            holding: Holding::new(facts.sync.map(|limits| Unacknowledged::new(&limits, spools()))),
            end_because: None,
        })
    }

    fn close(&mut self) {
        self.inputs.clear();
        self.channels.clear();
        self.master = None;
    }

    fn record(&mut self, scribe: &mut Scribe, decoder: &mut Decoder) -> Result<ExitStatus, CaptureError> {
        let mut inputs = vec![PollFlags::empty(); self.inputs.len()];
        loop {
            self.mind_delivery(scribe)?;
            let flows = self.flows();
            if flows && !self.person_is_gone {
                let inputs = self.inputs.iter_mut().zip(inputs);
                for (input, ready) in inputs.filter(|(input, _)| self.holding.lets_in(input.input())) {
                    input.advance(ready, &mut self.person).map_err(person_lost)?;
                }
                self.inputs.retain(|input| !input.is_over());
                self.mind_modes().map_err(person_lost)?;
            }
            let ready = self.wait(scribe)?;
            if self.exited.is_none()
                && self.ended_since.is_some_and(|since| since.elapsed() >= REPORTS_END_WITHIN)
            {
                return Err(lost("the command has ended, and the person's side did not say so in time"));
            }
            if !self.person_is_gone {
                self.person.flush().map_err(person_lost)?;
            }
            if ready.beginning {
                self.begin()?;
            }
            if ready.person {
                self.hear(decoder, scribe)?;
            }
            if ready.control {
                self.mind_control(scribe);
            }
            if let Some(text) = scribe.take_notice().filter(|_| !self.person_is_gone) {
                self.person.say(&FromRecorder::Notice(&text)).map_err(person_lost)?;
            }
            if let Some(reason) = self.end_because.take() {
                return Err(CaptureError::Ended { reason });
            }
            if self.holding.is_held() {
                self.put_off_end_of_output();
            } else if flows {
                self.move_output(&ready.channels, scribe)?;
            }
            let command = self.command.process().map(|process| &process.note);
            self.standstill.look(Instant::now(), command, scribe)?;
            if let Some((status, since)) = self.exited.filter(|_| !self.holding.is_held()) {
                let now = Instant::now();
                let mut all_done = true;
                for (channel, ready) in self.channels.iter_mut().zip(&ready.channels) {
                    channel.end_when_overdue(since, self.person_is_gone, now);
                    all_done &= !ready && channel.is_done(since, self.hurry, now);
                }
                if all_done {
                    return Ok(status);
                }
            }
            inputs = ready.inputs;
        }
    }

    /// Whether bytes pass between the command and the person. Until the command begins, the person's side reads nothing.
    fn flows(&self) -> bool {
        matches!(self.command, Command::Runs(_)) || self.exited.is_some()
    }

    fn move_output(&mut self, ready: &[bool], scribe: &mut Scribe) -> Result<(), CaptureError> {
        for (channel, ready) in self.channels.iter_mut().zip(ready) {
            if *ready || channel.is_hung_up() {
                let moved = channel.advance(scribe, &mut self.person)?;
                self.recorded_bytes += moved as u64;
                if moved > 0 {
                    self.standstill.output_was_sent(Instant::now());
                    self.control.tap(&FromRecorder::Output(channel.output(), channel.recorded(moved)));
                }
            }
        }
        Ok(())
    }

    /// Takes what the launcher of the command says.
    fn begin(&mut self) -> Result<(), CaptureError> {
        let Command::Begins(beginning) = &mut self.command else { return Ok(()) };
        match beginning.advance()? {
            Begun::Waits => {}
            Begun::Reported => {
                // Before it goes on: whoever asks whether a process is inside of this session looks there.
                if let Some(process) = beginning.reported() {
                    note_command(&self.command_note, &process.note)
                        .map_err(|error| lost(format_args!("the command cannot be noted: {error}")))?;
                }
                beginning
                    .answer()
                    .map_err(|error| lost(format_args!("the command cannot begin: {error}")))?;
            }
            Begun::Runs(process) => {
                self.command = Command::Runs(process);
                if let Some(master) = self.master.as_ref().filter(|_| self.shared) {
                    self.shared_modes = tcgetattr(master).ok().map(|modes| watched(modes.local_modes));
                }
            }
        }
        Ok(())
    }

    fn mind_control(&mut self, scribe: &mut Scribe) {
        // Before anything is acknowledged that was written just now.
        self.holding.note_written(scribe);
        let Recorder {
            control, person, command, token, exited, size, master, recorded_bytes, holding, ..
        } = self;
        let end_because = &mut self.end_because;
        control.advance(|request| match request {
            ControlRequest::State => ControlReply::State {
                terminal_session_token: token.clone(),
                command: command.process().map(|process| process.note.clone()),
                has_ended: exited.is_some(),
                terminal: master.as_ref().map(|_| *size),
                recorded_bytes: *recorded_bytes,
                is_held: holding.is_held(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            ControlRequest::End { reason } => {
                end_because.get_or_insert(reason);
                ControlReply::Done
            }
            ControlRequest::Say { text } => match person.say(&FromRecorder::Notice(&text)) {
                Ok(()) => ControlReply::Done,
                Err(error) => ControlReply::Refused { reason: format!("the person cannot be told: {error}") },
            },
            ControlRequest::Acknowledged { spools } => match holding.acknowledge(&spools) {
                Ok(()) => ControlReply::Done,
                Err(reason) => ControlReply::Refused { reason },
            },
            ControlRequest::Pause { reason, millis } => {
                let length = Duration::from_millis(millis).min(LONGEST_PAUSE);
                match scribe.pause(reason, Instant::now() + length) {
                    Ok(()) => ControlReply::Done,
                    Err(reason) => ControlReply::Refused { reason },
                }
            }
            // The connection does this itself.
            ControlRequest::Tap => ControlReply::Done,
        });
    }

    /// Handles a message of the person's side.
    fn hear(&mut self, decoder: &mut Decoder, scribe: &mut Scribe) -> Result<(), CaptureError> {
        match receive(self.person.stream(), decoder).map_err(person_lost)? {
            Heard::Something => {}
            Heard::NothingNow => return Ok(()),
            Heard::End if self.exited.is_some() => {
                // Nothing more is shown. What the command printed is recorded all the same, and how it ended.
                self.person_is_gone = true;
                self.hurry = true;
                self.channels.iter_mut().for_each(Channel::drop_what_comes);
                return Ok(());
            }
            Heard::End => return Err(lost("the person's side ended before the command did")),
        }
        while let Some(message) = decoder.next::<FromPerson<'_>>().map_err(lost)? {
            self.handle(message, scribe)?;
        }
        Ok(())
    }

    fn handle(&mut self, message: FromPerson<'_>, scribe: &mut Scribe) -> Result<(), CaptureError> {
        match message {
            FromPerson::Input(of, bytes) => {
                // Bytes for an input that has ended are lost, as they would be in a pipe.
                if let Some(input) = self.inputs.iter_mut().find(|input| input.input() == of) {
                    input.take(bytes).map_err(lost)?;
                    if of == Input::Input {
                        scribe.input(bytes)?;
                    }
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
            // A terminal is not closed by whoever looks at it: what is printed there is recorded to the end.
            FromPerson::Broken(Output::Terminal) => {
                if let Some(channel) = self.channel(Output::Terminal) {
                    channel.drop_what_comes();
                }
            }
            FromPerson::Broken(of) => {
                if let Some(channel) = self.channel(of) {
                    channel.break_off(scribe)?;
                }
            }
            FromPerson::Size(size) => self.take_size(size, scribe)?,
            FromPerson::Signal(signal) => {
                if let Some(signal) = Signal::from_named_raw(i32::from(signal)) {
                    self.send_to_foreground(signal).map_err(person_lost)?;
                }
            }
            FromPerson::Suspended => {
                self.send_to_foreground(Signal::STOP).map_err(person_lost)?;
                self.person.say(&FromRecorder::Held).map_err(person_lost)?;
            }
            FromPerson::Resumed => {
                self.send_to_foreground(Signal::CONT).map_err(person_lost)?;
                self.person.say(&FromRecorder::Continued).map_err(person_lost)?;
            }
            FromPerson::Hurry => self.hurry = true,
            FromPerson::Exited(status) => {
                let of_kernel = self.exit_of_command()?;
                if self.exited.is_none() {
                    if of_kernel.is_none() {
                        scribe.status_is_a_claim()?;
                    }
                    self.exited = Some((of_kernel.unwrap_or(status), Instant::now()));
                }
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
    fn take_size(&mut self, size: TerminalSize, scribe: &mut Scribe) -> Result<(), CaptureError> {
        let Some(master) = &self.master else { return Ok(()) };
        if size != self.size {
            self.size = size;
            // It is written to the spool first, so that nothing drawn for the new size comes before it.
            scribe.resize(size)?;
            // If it fails, the terminal is closed, which the next read notices.
            let _ = command_ends::set_size(master, size);
        }
        Ok(())
    }

    /// How the command ended, if the kernel says it. That it ended is never taken from the person's side.
    fn exit_of_command(&self) -> Result<Option<ExitStatus>, CaptureError> {
        let Some(process) = self.command.process() else {
            return Err(lost("the command ended before it had begun"));
        };
        let mut fds = [PollFd::new(&process.pidfd, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(Duration::ZERO))) {
            Ok(1) => {
                let of_kernel = kernel_exit::of(&process.pidfd);
                let CommandNote { process_id, start_ticks, .. } = process.note;
                // The kernel says it once somebody has waited for the process, which an honest side has.
                if of_kernel.is_none() && processes::is_there(process_id, start_ticks).unwrap_or(true) {
                    return Err(lost(
                        "the person's side reported the end of a command that it has not waited for",
                    ));
                }
                Ok(of_kernel)
            }
            _ => Err(lost("the person's side reported an end of the command that has not come")),
        }
    }

    /// Sends a signal to the foreground processes of the terminal, unless they are the command itself: its parent
    /// sends to that.
    fn send_to_foreground(&mut self, signal: Signal) -> io::Result<()> {
        let foreground = self.master.as_ref().and_then(|master| tcgetpgrp(master).ok());
        let command = self.command.process().filter(|_| self.exited.is_none()).map(|process| process.pid);
        let (Some(group), Some(terminal)) =
            (foreground.filter(|group| Some(*group) != command), self.terminal_device)
        else {
            return Ok(());
        };
        let group = group.as_raw_nonzero().get();
        if !foreground::signal(group, terminal, self.user_id, signal) {
            let signal = u8::try_from(signal.as_raw()).unwrap_or_default();
            self.person.say(&FromRecorder::Signal { group: group.unsigned_abs(), signal })?;
        }
        Ok(())
    }

    /// The processes of a session that is not recorded any longer.
    fn find_what_is_left(&self) -> Option<(CommandNote, LeftOver)> {
        let process = self.command.process().filter(|_| self.ends_what_is_left)?;
        Some((process.note.clone(), LeftOver::find(&process.note)))
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
}

/// The spools of a session, in the order of [`Scribe::written`].
fn spools() -> [SpoolName; 2] {
    [spool_name(), events_spool_name()]
}

/// Writes down which process the command is.
fn note_command(mut to: &File, note: &CommandNote) -> io::Result<()> {
    serde_json::to_writer(&mut to, note)?;
    to.sync_data()
}

#[cfg(test)]
mod tests;
