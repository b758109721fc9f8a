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

/// Ends what is left of a session: asks it to, waits a moment, and then kills it. Returns how many processes could not
/// be ended.
pub fn end(command: &CommandNote) -> usize {
    let mut left = find(command);
    for (_, pidfd) in &left {
        // As a terminal that is hung up does; a process that is stopped must continue to notice it.
        let _ = pidfd_send_signal(pidfd, Signal::HUP);
        let _ = pidfd_send_signal(pidfd, Signal::CONT);
    }
    wait_for_ends(&left, ENDS_WITHIN);
    for _ in 0..MOST_ROUNDS {
        left = find(command);
        if left.is_empty() {
            return 0;
        }
        let killed = left.iter().filter(|(_, pidfd)| pidfd_send_signal(pidfd, Signal::KILL).is_ok()).count();
        if killed == 0 {
            break;
        }
        wait_for_ends(&left, ENDS_WITHIN);
    }
    left.len()
}

/// Every process that is tied to the session, with a descriptor of it.
fn find(command: &CommandNote) -> Vec<(i32, OwnedFd)> {
    let all: BTreeMap<i32, ProcessFacts> = processes::all()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|id| Some((id, ProcessFacts::find(id).ok()??)))
        .collect();
    if all.get(&command.process_id).is_some_and(|facts| facts.start_ticks != command.start_ticks) {
        // Nobody is left: a number is not given to another process as long as a session has it.
        return Vec::new();
    }
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
    all.keys().copied().filter(|id| tied(*id)).filter_map(|id| Some((id, open(id, all.get(&id)?)?))).collect()
}

/// A descriptor of the process that was looked at, and of no other that has its number by now.
fn open(process_id: i32, facts: &ProcessFacts) -> Option<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_raw(process_id)?, PidfdFlags::empty()).ok()?;
    let now: io::Result<Option<ProcessFacts>> = ProcessFacts::find(process_id);
    now.ok()?.filter(|now| now.start_ticks == facts.start_ticks).map(|_| pidfd)
}

fn wait_for_ends(left: &[(i32, OwnedFd)], within: Duration) {
    let deadline = Instant::now() + within;
    for (_, pidfd) in left {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        // Whether it ended is looked at again.
        let _ = poll(&mut fds, Some(&timespec(remaining)));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn session(script: &str) -> (Child, CommandNote, Vec<i32>) {
        let mut child =
            Command::new("setsid").args(["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || lines.next().unwrap().unwrap().parse::<i32>().unwrap();
        let (leader, others) = (next(), vec![next(), next()]);
        let facts = ProcessFacts::find(leader).unwrap().unwrap();
        (child, CommandNote { process_id: leader, start_ticks: facts.start_ticks }, others)
    }

    #[test]
    fn what_ignores_the_hang_up_is_killed_wherever_it_went_and_nobody_else() {
        let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
        // One in the same session, and one that descends from it in a session of its own.
        let script = "trap '' HUP; echo $$; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait";
        let (mut child, note, others) = session(script);
        assert_eq!(end(&note), 0);
        child.wait().unwrap();
        for id in others {
            assert_eq!(ProcessFacts::find(id).unwrap(), None, "{id} is left");
        }
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }

    #[test]
    fn a_session_with_the_same_number_is_another() {
        let (mut child, note, others) = session("echo $$; sleep 1000 & echo $!; echo $!; wait");
        let earlier = CommandNote { start_ticks: note.start_ticks + 1_000_000, ..note.clone() };
        assert_eq!(find(&earlier).len(), 0);
        assert_eq!(find(&note).len(), 2, "{others:?}");
        assert_eq!(end(&note), 0);
        child.wait().unwrap();
    }
}
