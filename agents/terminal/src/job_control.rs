//! Stops this process when the command stops, so that the shell that started it gets its terminal back.

use nix::unistd::{Pid, getpgid, getpgrp, getppid, getsid};
use rustix::process::{Signal, getpid, kill_process};

/// Stops this process until somebody continues it. `together`: with all of its process group, as Ctrl-Z does.
pub(crate) fn stop(signal: Signal, together: bool) {
    if together {
        let _ = rustix::process::kill_current_process_group(signal);
    }
    if signal != Signal::STOP || !together {
        // Others stop by the signal itself; here it is handled, so its default is what follows.
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// Whether a shell could continue this process if it stopped: a process of the same session outside of this group started it, or
/// one of this group. The kernel ignores Ctrl-Z where that is not so (a process group that is *orphaned*).
///
/// Sessions, groups and parents outside of this process's PID namespace all have the id 0. Comparing sessions is right even so: whoever
/// shows 0 there has begun no session inside, and is in that of its parent.
pub(crate) fn somebody_would_continue_us() -> bool {
    let (Ok(session), group) = (getsid(None), getpgrp()) else { return false };
    let mut ancestor = getppid();
    while ancestor.as_raw() > 0 {
        if getsid(Some(ancestor)) != Ok(session) {
            return false;
        }
        if getpgid(Some(ancestor)) != Ok(group) {
            return true;
        }
        let Some(parent) = parent_of(ancestor) else { return false };
        ancestor = parent;
    }
    false
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything. Behind it: the state, the parent.
    let (_, behind) = stat.rsplit_once(')')?;
    Some(Pid::from_raw(behind.split_whitespace().nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_found() {
        assert_eq!(parent_of(nix::unistd::getpid()), Some(getppid()));
    }
}
