//! Calls of the system by which files are written, each of which a test can let fail. Outside of tests there is nothing.

#[cfg(not(test))]
use std::io;

/// Stands before a call that can fail for want of room or of a disk.
#[cfg(not(test))]
#[inline]
#[allow(clippy::unnecessary_wraps, reason = "in tests it fails")]
pub(crate) const fn may_fail() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use tests::may_fail;

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::io;

    use rustix::io::Errno;

    thread_local! {
        /// How many calls are to come before the one that fails, and how.
        static NEXT: Cell<Option<(usize, Errno)>> = const { Cell::new(None) };
    }

    /// Lets one call of this thread fail, after so many others.
    pub(crate) fn fail_after(calls: usize, error: Errno) {
        NEXT.set(Some((calls, error)));
    }

    /// Lets no call fail any more. True if one has.
    pub(crate) fn has_failed() -> bool {
        NEXT.take().is_none()
    }

    pub(crate) fn may_fail() -> io::Result<()> {
        match NEXT.get() {
            Some((0, error)) => {
                NEXT.set(None);
                Err(error.into())
            }
            Some((calls, error)) => {
                NEXT.set(Some((calls - 1, error)));
                Ok(())
            }
            None => Ok(()),
        }
    }
}
