//! How a process ended, as the kernel says it: to anyone who has a descriptor of the process, once it was waited for.

use recording::ExitStatus;
use rustix::fd::OwnedFd;
use rustix::ioctl::{self, Updater, opcode};

/// `struct pidfd_info` of `linux/pidfd.h`, in its first length, which every kernel with the call accepts.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    /// What is asked for, and then what was answered.
    mask: u64,
    cgroup_id: u64,
    process: [u32; 3],
    users_and_groups: [u32; 8],
    /// A wait status.
    exit_code: i32,
}

/// `PIDFD_INFO_EXIT`: since Linux 6.15.
const EXIT: u64 = 1 << 3;
/// `PIDFD_GET_INFO`: since Linux 6.13.
const GET_INFO: ioctl::Opcode = opcode::read_write::<PidfdInfo>(0xff, 11);

/// How it ended; `None` where the kernel does not say, or nobody has waited for it yet.
pub(crate) fn of(pidfd: &OwnedFd) -> Option<ExitStatus> {
    let mut info = PidfdInfo { mask: EXIT, ..PidfdInfo::default() };
    // SAFETY: the opcode is that of this call, whose argument is this structure, which the kernel fills within the
    // length that the opcode states.
    #[expect(unsafe_code, reason = "no library offers this call")]
    let answered = unsafe { ioctl::ioctl(pidfd, Updater::<{ GET_INFO }, PidfdInfo>::new(&mut info)) };
    (answered.is_ok() && info.mask & EXIT != 0).then(|| of_wait_status(info.exit_code)).flatten()
}

fn of_wait_status(status: i32) -> Option<ExitStatus> {
    const SIGNAL: i32 = 0x7f;
    match status & SIGNAL {
        0 => u8::try_from((status >> 8) & 0xff).ok().map(ExitStatus::Code),
        signal => u8::try_from(signal).ok().map(ExitStatus::Signal),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn a_wait_status_is_a_code_or_a_signal() {
        assert_eq!(of_wait_status(3 << 8), Some(ExitStatus::Code(3)));
        assert_eq!(of_wait_status(9), Some(ExitStatus::Signal(9)));
        // With a core dump.
        assert_eq!(of_wait_status(0x80 | 11), Some(ExitStatus::Signal(11)));
    }

    #[test]
    fn the_kernel_tells_how_a_process_ended_or_that_it_does_not_know() {
        for (script, expected) in [("exit 3", ExitStatus::Code(3)), ("kill -9 $$", ExitStatus::Signal(9))] {
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
            child.wait().unwrap();
            // Older kernels say nothing.
            assert!([None, Some(expected)].contains(&of(&pidfd)), "{script}: {:?}", of(&pidfd));
        }
        let living = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap();
        assert_eq!(of(&living), None);
    }
}
