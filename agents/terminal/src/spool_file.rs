//! The file of a spool: every call of the system by which a recorder writes is here, so that tests can let each one fail.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// A spool, open for appending.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    file: File,
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

/// The calls that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Write,
    Allocate,
    Sync,
    Shorten,
}

impl SpoolFile {
    pub(crate) fn new(file: File) -> Self {
        SpoolFile {
            file,
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(SpoolFile {
            file: self.file.try_clone()?,
            #[cfg(test)]
            faults: self.faults.clone(),
        })
    }

    #[cfg_attr(not(test), allow(clippy::unused_self, reason = "only tests let calls fail"))]
    fn may(&self, call: Call) -> Result<(), Errno> {
        #[cfg(test)]
        self.faults.next(call)?;
        #[cfg(not(test))]
        let _ = call;
        Ok(())
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Takes room on the disk behind the end of the file, which stays where it is.
    pub(crate) fn allocate(&self, from: u64, bytes: u64) -> Result<(), Errno> {
        self.may(Call::Allocate)?;
        fallocate(&self.file, FallocateFlags::KEEP_SIZE, from, bytes)
    }

    pub(crate) fn sync_data(&self) -> io::Result<()> {
        self.may(Call::Sync)?;
        self.file.sync_data()
    }

    /// Cuts off what stands behind this. The room that was taken behind it is given back, too.
    pub(crate) fn shorten(&self, length: u64) -> io::Result<()> {
        self.may(Call::Shorten)?;
        self.file.set_len(length)
    }

    /// How much is free on its file system, if that says it.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        let file_system = rustix::fs::fstatvfs(&self.file).ok()?;
        Some(file_system.f_bavail.saturating_mul(file_system.f_frsize))
    }
}

impl Write for &SpoolFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.may(Call::Write) {
            #[cfg(test)]
            if self.faults.tear(bytes.len()) {
                (&self.file).write_all(&bytes[..bytes.len() / 2])?;
            }
            return Err(error.into());
        }
        (&self.file).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for SpoolFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Calls that fail as a test wants it.
#[cfg(test)]
pub(crate) mod faults {
    use std::sync::{Arc, Mutex};

    use rustix::io::Errno;

    use super::Call;

    /// How calls fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// One fails; a write leaves nothing.
        Once(Errno),
        /// One fails, and a write leaves half of what it was to write.
        Torn(Errno),
        /// One fails with half a write, and another one so many calls later.
        Twice(Errno, usize),
        /// No more room is given from then on; what was taken before can be written.
        FullFromThen,
        /// The disk is gone from then on.
        GoneFromThen,
    }

    #[derive(Debug, Default)]
    struct State {
        calls: usize,
        fault: Option<(usize, Fault)>,
        has_failed: bool,
        tears: bool,
    }

    /// Counts calls, and lets some fail.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Faults(Arc<Mutex<State>>);

    impl Faults {
        /// From the call of this number on, counted from 0.
        pub(crate) fn at(call: usize, fault: Fault) -> Self {
            Faults(Arc::new(Mutex::new(State { fault: Some((call, fault)), ..State::default() })))
        }

        /// Whether any call has failed.
        pub(crate) fn have_struck(&self) -> bool {
            self.0.lock().unwrap().has_failed
        }

        pub(super) fn next(&self, call: Call) -> Result<(), Errno> {
            let mut state = self.0.lock().unwrap();
            let number = state.calls;
            state.calls += 1;
            let error = match state.fault {
                Some((at, Fault::Once(error) | Fault::Torn(error))) if number == at => Some(error),
                Some((at, Fault::Twice(error, later))) if number == at || number == at + later => Some(error),
                Some((at, Fault::FullFromThen)) if number >= at && call == Call::Allocate => {
                    Some(Errno::NOSPC)
                }
                Some((at, Fault::GoneFromThen)) if number >= at => Some(Errno::IO),
                _ => None,
            };
            state.has_failed |= error.is_some();
            state.tears =
                error.is_some() && matches!(state.fault, Some((_, Fault::Torn(_) | Fault::Twice(..))));
            error.map_or(Ok(()), Err)
        }

        pub(super) fn tear(&self, bytes: usize) -> bool {
            self.0.lock().unwrap().tears && bytes > 1
        }
    }
}
