//! The recorder's process: it is started by the agent, with the agent's order on its standard input, and records one
//! session. It has no runtime, no network and no keys, and once the command runs it needs no further process, thread or
//! descriptor. It belongs to no terminal and to no process group of others, and outlives its agent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use agent_protocol::capture::{CaptureError, SpoolName};
use agent_protocol::lines;
use agent_protocol::local::LocalReply;
use agent_protocol::recorder::{CommandDescriptor, RecorderAnswer, RecorderOrder, TerminalIdentity};
use recording::{Cause, Shortfall, ShortfallKind, TerminalSize};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::stdio;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use transfer_observer::classify;

use crate::beginning::{Beginning, Expected};
use crate::command_ends::{self, Opened};
use crate::control::Control;
use crate::recorder::{self, Equipment, Facts, in_one_line};
use crate::scribe::Scribe;
use crate::spooler::Spooler;
use crate::wire::ToPerson;
use crate::{events_spool_name, spool_name};

/// How far from being ended for want of memory: the last of what an administrator can reach.
const OUT_OF_MEMORY_SCORE: &str = "-900";

/// Runs a recorder's whole life. False if it could not record, or not to the end; the recording and the person's side
/// have been told.
#[must_use]
pub fn run_recorder() -> bool {
    keep_panics();
    let Ok(agent) = stdio::stdin().try_clone_to_owned().map(UnixStream::from) else { return false };
    let order = match lines::receive::<RecorderOrder>(&agent) {
        Ok(Some(order)) => order,
        // The agent changed its mind, or is gone.
        Ok(None) => return true,
        Err(error) => {
            answer(
                &agent,
                &RecorderAnswer::Failed { reason: format!("the order is not understood: {error}") },
            );
            return false;
        }
    };
    let (mut recording, without) = match Recording::prepare(order) {
        Ok(prepared) => prepared,
        Err(error) => {
            answer(&agent, &RecorderAnswer::Failed { reason: in_one_line(&error) });
            return false;
        }
    };
    // The agent first: it notes the session before anybody can say that it began.
    if !answer(&agent, &RecorderAnswer::Ready { without }) {
        recording.scribe.give_up(Cause::SESSION_BROKEN_OFF, "the agent ended before the session began");
        return false;
    }
    drop(agent);
    if let Err(error) = recording.tell_person() {
        recording.scribe.give_up(
            Cause::SESSION_BROKEN_OFF,
            &format!("the person's side could not be told that the session begins: {error}"),
        );
        return false;
    }
    let spool = recording.scribe.copy();
    let Recording { person, scribe, equipment, facts, .. } = recording;
    let record = || recorder::run(ToPerson::over(person), scribe, equipment, facts).is_ok();
    panic::catch_unwind(AssertUnwindSafe(record)).unwrap_or_else(|_| {
        // Nobody reads what this process prints: the recording says it.
        if let Ok(spool) = spool {
            let why = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            spool.give_up(Cause::SESSION_BROKEN_OFF, &format!("the recorder failed unexpectedly: {why}"));
        }
        false
    })
}

/// What the last panic said.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps what a panic says for the recording.
fn keep_panics() {
    panic::set_hook(Box::new(|panicked| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panicked.to_string());
    }));
}

fn answer(agent: &UnixStream, answer: &RecorderAnswer) -> bool {
    lines::send(agent, answer, &[]).is_ok()
}

/// Everything for one recording.
struct Recording {
    person: UnixStream,
    scribe: Scribe,
    /// What runs instead of the command, where that is a transfer.
    instead: Option<Vec<String>>,
    notice: Option<String>,
    equipment: Equipment,
    facts: Facts,
    descriptors: Vec<(CommandDescriptor, OwnedFd)>,
}

impl Recording {
    /// Also says what could not be had that is not needed.
    fn prepare(
        (order, descriptors): (RecorderOrder, Vec<OwnedFd>),
    ) -> Result<(Self, Vec<String>), CaptureError> {
        let step = |step| move |source| CaptureError::Start { step, source };
        let mut without = leave_everything_else().map_err(step("leave the agent's terminal"))?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the agent gave none");
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(missing);
        let person = UnixStream::from(next().map_err(step("find the connection"))?);
        let listener = UnixListener::from(next().map_err(step("find the control socket"))?);
        let command_note = File::from(next().map_err(step("find the file for the command"))?);
        let mut spools: BTreeMap<SpoolName, File> =
            order.spools.iter().cloned().zip(descriptors.map(File::from)).collect();
        let mut spool = |name| {
            let spool = spools.remove(&name).ok_or_else(missing).map_err(step("find the spool"))?;
            Spooler::new(spool, order.start_boottime_micros, order.least_free_bytes)
                .map_err(step("prepare the spool"))
        };

        let size = order.terminal.unwrap_or(TerminalSize::WITHOUT_TERMINAL);
        let Opened { ours, mut theirs, not_by_name } =
            command_ends::open(&order.connections, size, order.user_id)?;
        without.extend(not_by_name.map(|error| {
            degraded(
                "terminal_not_by_name",
                format!("programs cannot open the terminal by its name: {error}"),
            )
        }));
        let terminal = theirs.iter().find(|(what, _)| *what == CommandDescriptor::Terminal);
        let terminal = terminal
            .map(|(_, slave)| {
                rustix::fs::fstat(slave)
                    .map(|stat| TerminalIdentity { file_system: stat.st_dev, device: stat.st_rdev })
            })
            .transpose()
            .map_err(|errno| step("look at the pseudo-terminal")(errno.into()))?;
        let expected = Expected { user_id: order.user_id, terminal };
        let (beginning, launch) =
            Beginning::new(expected).map_err(step("speak with the command's launcher"))?;
        theirs.push((CommandDescriptor::Launch, launch));
        let control = Control::over(listener).map_err(step("use the control socket"))?;
        let told_to_end = told_to_end().map_err(step("handle signals"))?;
        let shown = spool(spool_name())?;
        if !shown.room_is_reserved() {
            let reason = "the spool's file system cannot reserve room: if others fill it, the last records may be missing";
            without.push(degraded("room_not_reserved", reason));
        }
        let mut scribe = if order.connections.any_terminal() {
            Scribe::of_terminal(shown, order.failure_policy)
        } else {
            let transfer = order.transfer.as_ref();
            let transfer = transfer.and_then(|order| {
                classify(order.command.as_bytes(), order.home.as_deref().map(str::as_bytes))
            });
            let events = spool(events_spool_name())?;
            Scribe::of_pipes(shown, events, transfer.as_ref(), order.most_output_bytes, order.failure_policy)
        };
        // The log of the agent is not where a reader of the recording looks.
        for shortfall in without.iter().chain(&order.shortfalls) {
            scribe.ledger(shortfall.clone())?;
        }
        let instead = order.transfer.map(|transfer| transfer.instead);
        let notice = order.notice;
        let facts = Facts {
            token: order.terminal_session_token,
            size,
            terminal_device: terminal.map(|terminal| terminal.device),
            user_id: order.user_id,
            shared: order.connections.any_terminal() && !order.connections.all_terminals(),
            somebody_reads: order.connections.somebody_reads,
            ends_what_is_left: order.ends_what_is_left,
            sync: order.sync,
        };
        let equipment = Equipment { ends: ours, beginning, command_note, control, told_to_end };
        let without = without.into_iter().map(|shortfall| shortfall.reason).collect();
        Ok((Recording { person, scribe, instead, notice, equipment, facts, descriptors: theirs }, without))
    }

    /// Answers the person's side, in place of the agent, with the descriptors of the command. None of them stays here: the
    /// end of what a command writes is seen only when nobody has it open any longer.
    fn tell_person(&mut self) -> io::Result<()> {
        let descriptors = std::mem::take(&mut self.descriptors);
        let reply = LocalReply::Recorded {
            terminal_session_token: self.facts.token.clone(),
            descriptors: descriptors.iter().map(|(what, _)| *what).collect(),
            instead: self.instead.take(),
            notice: self.notice.take(),
        };
        let sent: Vec<_> = descriptors.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
        lines::send(&self.person, &reply, &sent)?;
        // Nobody else waits for this side from here on; each call says for itself whether it waits.
        self.person.set_read_timeout(None)?;
        self.person.set_write_timeout(None)
    }
}

/// Makes this process independent of the agent's terminal and process group, and unreadable for other processes of its
/// user. Returns what could not be had.
fn leave_everything_else() -> io::Result<Vec<Shortfall>> {
    let mut without = Vec::new();
    rustix::process::setsid()?;
    // Its memory holds what is typed, and its descriptors are the evidence.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if let Err(error) = fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE) {
        let reason = format!(
            "the recorder is not spared when memory runs out: oom_score_adj {OUT_OF_MEMORY_SCORE} was refused: {error}"
        );
        without.push(degraded("not_spared_without_memory", reason));
    }
    Ok(without)
}

fn degraded(cause: &'static str, reason: impl Into<String>) -> Shortfall {
    Shortfall::new(ShortfallKind::DegradedMode, Cause::new(cause), reason)
}

/// A descriptor that becomes readable when this process is asked to end.
fn told_to_end() -> io::Result<OwnedFd> {
    let (read, write) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    // A write beyond a limit on the size of files then fails, and the session ends with that reason.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    Ok(read.into())
}
