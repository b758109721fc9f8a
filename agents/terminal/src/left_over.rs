//! The processes that the kernel ties to a session: those of the session that the command leads, and those that
//! descend from it. What began a session of its own and outlived its parents is tied to nothing.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use agent_protocol::processes::{self, ProcessFacts};
use agent_protocol::recorder::CommandNote;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::timespec;

/// How long what is left may take to end by itself, after the terminal was hung up.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// How often to look for further ones: a process that forks while it is killed leaves a child.
const MOST_ROUNDS: u32 = 20;

/// Processes that are tied to a session.
#[derive(Debug, Default)]
pub struct LeftOver {
    processes: BTreeMap<(i32, u64), OwnedFd>,
}

impl LeftOver {
    /// Those that are tied to it now. None when the command itself is gone: the number of its session may be another's
    /// then, and nothing says what descends from it.
    #[must_use]
    pub fn find(command: &CommandNote) -> Self {
        let mut left = Self::default();
        left.look_again(command);
        left
    }

    /// Adds those that were started since.
    fn look_again(&mut self, command: &CommandNote) {
        if processes::is_there(command.process_id, command.start_ticks).unwrap_or(false) {
            self.processes.extend(find(command));
        }
        self.processes.retain(|_, pidfd| !has_ended(pidfd));
    }

    /// Ends them: asks them to, waits a moment, and then kills them. Returns how many could not be ended.
    pub fn end(mut self, command: &CommandNote) -> usize {
        for pidfd in self.processes.values() {
            // As a terminal that is hung up does; a process that is stopped must continue to notice it.
            let _ = pidfd_send_signal(pidfd, Signal::HUP);
            let _ = pidfd_send_signal(pidfd, Signal::CONT);
        }
        self.wait_for_ends();
        for _ in 0..MOST_ROUNDS {
            self.look_again(command);
            // The command last: as long as it is there, its children are found.
            let mut all: Vec<_> = self.processes.iter().collect();
            all.sort_by_key(|((id, _), _)| *id == command.process_id);
            let killed =
                all.iter().filter(|(_, pidfd)| pidfd_send_signal(pidfd, Signal::KILL).is_ok()).count();
            if killed == 0 {
                break;
            }
            self.wait_for_ends();
        }
        self.look_again(command);
        self.processes.len()
    }

    fn wait_for_ends(&self) {
        let deadline = Instant::now() + ENDS_WITHIN;
        for pidfd in self.processes.values() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
            // Whether it ended is looked at again.
            let _ = poll(&mut fds, Some(&timespec(remaining)));
        }
    }
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&timespec(Duration::ZERO))), Ok(1))
}

/// Every process that is tied to the session, with a descriptor of it.
fn find(command: &CommandNote) -> Vec<((i32, u64), OwnedFd)> {
    let all: BTreeMap<i32, ProcessFacts> = processes::all()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|id| Some((id, ProcessFacts::find(id).ok()??)))
        .collect();
    let tied = |id: i32| -> bool {
        let mut current = id;
        // A chain of parents is never longer than there are processes.
        for _ in 0..all.len() {
            let Some(facts) = all.get(&current) else { return false };
            // Whoever has the number of the command's session began after the command, or is the command.
            if facts.start_ticks < command.start_ticks {
                return false;
            }
            if facts.session == command.process_id
                || (current == command.process_id && facts.start_ticks == command.start_ticks)
            {
                return true;
            }
            current = facts.parent;
        }
        false
    };
    all.iter()
        .filter(|(id, _)| tied(**id))
        .filter_map(|(id, facts)| Some(((*id, facts.start_ticks), open(*id, facts)?)))
        .collect()
}

/// A descriptor of the process that was looked at, and of no other that has its number by now.
fn open(process_id: i32, facts: &ProcessFacts) -> Option<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_raw(process_id)?, PidfdFlags::empty()).ok()?;
    let now: io::Result<Option<ProcessFacts>> = ProcessFacts::find(process_id);
    now.ok()?.filter(|now| now.start_ticks == facts.start_ticks).map(|_| pidfd)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn session(script: &str) -> (Child, CommandNote, Vec<i32>) {
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || lines.next().unwrap().unwrap().parse::<i32>().unwrap();
        let (leader, others) = (next(), vec![next(), next()]);
        let facts = ProcessFacts::find(leader).unwrap().unwrap();
        (child, CommandNote { process_id: leader, start_ticks: facts.start_ticks, terminal: None }, others)
    }

    #[test]
    fn what_ignores_the_hang_up_is_killed_wherever_it_went_and_nobody_else() {
        let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
        // One in the same session, and one that descends from it in a session of its own.
        let script = "trap '' HUP; echo $$; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait";
        let (mut child, note, others) = session(script);
        assert_eq!(LeftOver::find(&note).end(&note), 0);
        child.wait().unwrap();
        for id in others {
            assert_eq!(ProcessFacts::find(id).unwrap(), None, "{id} is left");
        }
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }

    #[test]
    fn a_command_that_is_gone_leaves_nothing_that_is_known_to_be_its_own() {
        // What has the number of its session now may be anybody's.
        let (mut child, note, others) = session("echo $$; sleep 1000 & echo $!; echo $!; read -r _");
        // The shell reads to the end of its input, which this closes.
        child.wait().unwrap();
        assert_eq!(LeftOver::find(&note).end(&note), 0);
        assert!(ProcessFacts::find(others[0]).unwrap().is_some());
        rustix::process::kill_process(Pid::from_raw(others[0]).unwrap(), Signal::KILL).unwrap();
    }

    #[test]
    fn a_session_with_the_same_number_is_another() {
        let (mut child, note, others) = session("echo $$; sleep 1000 & echo $!; echo $!; wait");
        let another = CommandNote { start_ticks: note.start_ticks + 1_000_000, ..note.clone() };
        assert_eq!(LeftOver::find(&another).processes.len(), 0);
        assert_eq!(LeftOver::find(&note).processes.len(), 2, "{others:?}");
        assert_eq!(LeftOver::find(&note).end(&note), 0);
        child.wait().unwrap();
    }
}
