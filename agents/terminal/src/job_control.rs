//! Stops this process when the command stops, so that the shell that started it gets its terminal back.

use nix::unistd::{Pid, getpgid, getpgrp, getppid, getsid};
use rustix::process::{Signal, getpid, kill_process};

/// Stops this process until somebody continues it. `together`: with all of its process group, as Ctrl-Z does.
pub(crate) fn stop(signal: Signal, together: bool) {
    if together {
        let _ = rustix::process::kill_current_process_group(signal);
    }
    if signal != Signal::STOP || !together {
        // Other signals stop by themselves; this one has a handler here, so the default action follows.
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// Whether a shell could continue this process if it stopped. That is so if a process of the same session, but
/// outside of this process group, started it or another member of the group. If not, the process group is *orphaned*
/// and the kernel ignores Ctrl-Z.
///
/// Sessions, groups and parents outside of this process's PID namespace all have the id 0. Comparing session ids is
/// correct even so: a process with session id 0 has not begun a session inside the namespace, and is in the session
/// of its parent.
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
    // The name, in parentheses, may contain any characters. After it come the state and the parent.
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
