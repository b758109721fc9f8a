//! Signals for the processes in the foreground of the recorded terminal. The number of a process group that has ended may
//! be another's by now, and the recorder may signal anybody's processes: so each of them is checked to be on this
//! terminal, by a descriptor that names no other process.

use std::collections::BTreeSet;

use agent_protocol::processes::{self, ProcessFacts};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

/// How often to look for processes that were started meanwhile.
const MOST_ROUNDS: usize = 5;

/// What a terminal sends to whatever is in its foreground, whoever's it is.
const OF_TERMINALS: [Signal; 5] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TSTP, Signal::CONT];

/// Sends a signal to every process of this group whose controlling terminal has this device number. A process of another
/// user than the person (`sudo`) gets what a terminal may send, and nothing else. False if this process may not signal one
/// of the others.
pub(crate) fn signal(group: i32, terminal: u64, user_id: u32, signal: Signal) -> bool {
    // Usually its leader is still there: as long as it is, the number is no other group's.
    if OF_TERMINALS.contains(&signal)
        && is_member(group, group, terminal)
        && let Some(group) = Pid::from_raw(group)
    {
        return kill_process_group(group, signal) != Err(Errno::PERM);
    }
    let mut signalled = BTreeSet::new();
    let mut may = true;
    for _ in 0..MOST_ROUNDS {
        let before = signalled.len();
        for process_id in processes::all().unwrap_or_default() {
            if signalled.contains(&process_id) || !is_member(process_id, group, terminal) {
                continue;
            }
            let Some(pid) = Pid::from_raw(process_id) else { continue };
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // Once more: the descriptor is of whatever has the number now.
            if is_member(process_id, group, terminal) {
                let own = processes::effective_user(process_id).ok().flatten() == Some(user_id);
                let signal = match signal {
                    _ if own || OF_TERMINALS.contains(&signal) => signal,
                    Signal::STOP => Signal::TSTP,
                    _ => continue,
                };
                may &= pidfd_send_signal(&pidfd, signal) != Err(Errno::PERM);
                signalled.insert(process_id);
            }
        }
        if signalled.len() == before {
            break;
        }
    }
    may
}

fn is_member(process_id: i32, group: i32, terminal: u64) -> bool {
    let facts = ProcessFacts::find(process_id).ok().flatten();
    facts.is_some_and(|facts| facts.group == group && facts.terminal == terminal)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn ours() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn what_is_left_of_a_group_gets_the_signal_although_its_leader_has_ended() {
        let mut leader = Command::new("sh");
        let leader = leader.args(["-c", "sleep 1000 & echo $!"]).process_group(0);
        let mut leader = leader.stdout(Stdio::piped()).spawn().unwrap();
        let group = i32::try_from(leader.id()).unwrap();
        let mut line = String::new();
        BufReader::new(leader.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let left: i32 = line.trim().parse().unwrap();
        leader.wait().unwrap();
        let terminal = ProcessFacts::find(left).unwrap().unwrap().terminal;
        let pidfd = pidfd_open(Pid::from_raw(left).unwrap(), PidfdFlags::empty()).unwrap();
        assert!(signal(group, terminal, ours(), Signal::KILL));
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        assert_eq!(poll(&mut fds, None), Ok(1));
    }

    #[test]
    fn a_group_on_another_terminal_gets_no_signal() {
        let mut bystander = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let group = i32::try_from(bystander.id()).unwrap();
        let facts = ProcessFacts::find(group).unwrap().unwrap();
        assert_eq!(facts.group, group);
        assert!(signal(group, facts.terminal + 1, ours(), Signal::KILL));
        assert!(signal(group, facts.terminal + 1, ours(), Signal::HUP));
        assert!(bystander.try_wait().unwrap().is_none());
        // Here it is on the terminal that it is said to be on, or on none.
        assert!(signal(group, facts.terminal, ours() + 1, Signal::KILL));
        assert!(bystander.try_wait().unwrap().is_none(), "it is another user's");
        assert!(signal(group, facts.terminal, ours(), Signal::KILL));
        bystander.wait().unwrap();
    }
}
