//! A descriptor that this process inherited under a number that its parent gave it.

use std::io;
use std::os::fd::FromRawFd as _;

use rustix::fd::OwnedFd;
use rustix::io::{FdFlags, fcntl_setfd};

/// Takes it over; no program that is started from here inherits it.
///
/// # Errors
/// There is no such descriptor, or it is one of the three standard ones.
pub(crate) fn take(number: i32) -> io::Result<OwnedFd> {
    let none = || io::Error::new(io::ErrorKind::InvalidInput, format!("{number} is no inherited descriptor"));
    // The link says whether it is open, before anything is made of the number.
    if number <= 2 || std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_err() {
        return Err(none());
    }
    // SAFETY: the descriptor is open, and nothing else in this process owns it: the launcher calls this first thing, when
    // only the standard descriptors and those that its parent left open exist.
    #[expect(unsafe_code, reason = "a number from the command line cannot be made a descriptor otherwise")]
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_inherited_is_refused() {
        for number in [-1, 0, 2, i32::MAX] {
            assert!(take(number).is_err(), "{number}");
        }
    }
}
