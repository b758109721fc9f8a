//! The signals that end a program which does not handle them. Whatever holds a person's terminal in its own modes handles them all.

use rustix::process::Signal;

/// The highest number of a signal on Linux, `SIGRTMAX`.
const LAST: i32 = 64;

/// Those whose default does not end a process, those that no process can handle, and those by which a program's own fault ends
/// it. `SIGPIPE` is the standard library's: a write fails instead.
const NOT_ENDING: [Signal; 14] = [
    Signal::KILL,
    Signal::STOP,
    Signal::ILL,
    Signal::FPE,
    Signal::SEGV,
    Signal::BUS,
    Signal::PIPE,
    Signal::CHILD,
    Signal::CONT,
    Signal::TSTP,
    Signal::TTIN,
    Signal::TTOU,
    Signal::URG,
    Signal::WINCH,
];

/// Their numbers, those of the real-time signals included. The C library keeps the first real-time signals to itself and refuses a
/// handler for them.
pub fn ending() -> impl Iterator<Item = i32> {
    (1..=LAST).filter(|number| !NOT_ENDING.iter().any(|signal| signal.as_raw() == *number))
}

/// Whether this process ignored a signal when it began: `nohup` and shells without job control mean that it stays so. Ask before a
/// handler is set.
pub fn ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask.checked_shr(number.cast_unsigned().wrapping_sub(1)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_process_is_listed() {
        let ending: Vec<i32> = ending().collect();
        for signal in [Signal::HUP, Signal::INT, Signal::ALARM, Signal::USR1, Signal::VTALARM, Signal::XCPU] {
            assert!(ending.contains(&signal.as_raw()), "{signal:?}");
        }
        assert!(ending.contains(&34) && ending.contains(&LAST));
        assert!(!ending.contains(&Signal::SEGV.as_raw()) && !ending.contains(&Signal::CONT.as_raw()));
        // The standard library's.
        assert!(ignored(Signal::PIPE.as_raw()) && !ignored(Signal::USR1.as_raw()));
    }
}
