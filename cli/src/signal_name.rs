//! The names of signals on Linux, where recorded commands run. Those of the viewer's system may be others.

/// From number 1 on.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// A signal by its number and its name, `signal 9 (SIGKILL)`. Real-time signals have no names.
pub(crate) fn named_signal(number: u8) -> String {
    match usize::from(number).checked_sub(1).and_then(|place| NAMES.get(place)) {
        Some(name) => format!("signal {number} ({name})"),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_its_name() {
        for (number, name) in [
            (1, "signal 1 (SIGHUP)"),
            (9, "signal 9 (SIGKILL)"),
            (15, "signal 15 (SIGTERM)"),
            (31, "signal 31 (SIGSYS)"),
            (0, "signal 0"),
            (34, "signal 34"),
        ] {
            assert_eq!(named_signal(number), name);
        }
        // This system is one of those that are meant.
        for number in 1..=31 {
            if let Some(name) = signal_hook::low_level::signal_name(number.into()) {
                assert_eq!(named_signal(number), format!("signal {number} ({name})"));
            }
        }
    }
}
