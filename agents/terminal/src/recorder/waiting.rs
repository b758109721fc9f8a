//! What a recorder waits for, and how long.

use std::time::{Duration, Instant};

use agent_protocol::capture::CaptureError;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::{Command, MIND_MODES_EVERY, REPORTS_END_WITHIN, Recorder};
use crate::command_input::CommandInput;
use crate::scribe::Scribe;
use crate::timespec;

/// How often a terminal that nobody has open is checked.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What was ready when polled.
pub(super) struct Ready {
    pub(super) person: bool,
    pub(super) beginning: bool,
    pub(super) control: bool,
    pub(super) inputs: Vec<PollFlags>,
    pub(super) channels: Vec<bool>,
}

impl Recorder {
    /// Waits until there is something to do.
    pub(super) fn wait(&mut self, scribe: &mut Scribe) -> Result<Ready, CaptureError> {
        let now = Instant::now();
        let mut fds = vec![
            // One that is gone is always ready.
            match self.person_is_gone {
                false => PollFd::new(&self.person, self.person.interest()),
                true => PollFd::new(&self.told_to_end, PollFlags::empty()),
            },
            PollFd::new(&self.told_to_end, PollFlags::IN),
        ];
        let of_failures = fds.len();
        fds.extend(scribe.failure_fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let of_beginning = fds.len();
        let (begins, beginning) = match &self.command {
            Command::Begins(beginning) => (true, beginning.interest()),
            Command::Runs(_) => (false, None),
        };
        let flows = self.flows();
        let of_command = of_beginning + usize::from(beginning.is_some());
        fds.extend(beginning);
        let is_let_in = |input: &&CommandInput| self.holding.lets_in(input.input());
        let of_inputs: Vec<Option<PollFd<'_>>> =
            self.inputs.iter().map(|input| Some(input).filter(is_let_in)?.interest()).collect();
        let held = self.holding.is_held();
        let of_channels: Vec<Option<PollFd<'_>>> =
            self.channels.iter().map(|channel| Some(channel).filter(|_| !held)?.interest()).collect();
        let wanted: Vec<bool> =
            of_inputs.iter().chain(&of_channels).map(|interest| flows && interest.is_some()).collect();
        let ways = of_inputs.into_iter().chain(of_channels).flatten();
        fds.extend(ways.filter(|_| flows));
        let of_end = fds.len();
        // Ready for ever once it has ended.
        let end = self.command.process().filter(|_| self.ended_since.is_none() && self.exited.is_none());
        fds.extend(end.map(|process| PollFd::new(&process.pidfd, PollFlags::IN)));
        let of_control = fds.len();
        fds.extend(self.control.interest());
        match poll(&mut fds, self.timeout(now).map(timespec).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => {
                return Ok(Ready {
                    person: false,
                    beginning: false,
                    control: false,
                    inputs: vec![PollFlags::empty(); self.inputs.len()],
                    channels: vec![false; self.channels.len()],
                });
            }
            Err(error) => {
                return Err(CaptureError::Start { step: "wait for the command", source: error.into() });
            }
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let [person, told_to_end] = [0, 1].map(|place| fds[place].revents());
        let failed = fds[of_failures..of_beginning].iter().any(is_ready);
        // Its deadline is checked there, too.
        let beginning = begins;
        let mut answers = fds[of_command..of_end].iter().map(PollFd::revents);
        let mut answers = wanted.into_iter().map(|wanted| {
            if wanted { answers.next().unwrap_or(PollFlags::empty()) } else { PollFlags::empty() }
        });
        let inputs = answers.by_ref().take(self.inputs.len()).collect();
        let channels = answers.map(|flags| !flags.is_empty()).collect();
        let control = fds[of_control..].iter().any(is_ready);
        let has_ended = fds[of_end..of_control].iter().any(is_ready);
        if has_ended {
            self.ended_since = Some(now);
        }
        if failed {
            scribe.check()?;
        }
        if !told_to_end.is_empty() {
            self.end_because.get_or_insert_with(|| "the recorder was told to end by a signal".to_owned());
        }
        let person =
            !self.person_is_gone && person.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        Ok(Ready { person, beginning, control, inputs, channels })
    }

    /// How long that may take at most.
    pub(super) fn timeout(&self, now: Instant) -> Option<Duration> {
        let of_channels: Vec<Option<Duration>> = self
            .channels
            .iter()
            .filter(|_| !self.holding.is_held())
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
        let begins = match &self.command {
            Command::Begins(beginning) => Some(beginning.until_deadline(now)),
            Command::Runs(_) => None,
        };
        let unsaid = self.ended_since.filter(|_| self.exited.is_none());
        let unsaid =
            unsaid.map(|since| REPORTS_END_WITHIN.saturating_sub(now.saturating_duration_since(since)));
        of_channels
            .chain(overdue)
            .chain(mind)
            .chain(begins)
            .chain(unsaid)
            .chain(self.standstill.until_look(now))
            .chain(self.holding.until_change(now))
            .min()
    }
}
