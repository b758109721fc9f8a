//! The recorder's side of the spool: appended before anything is shown, on stable storage within half a second.

mod syncer;

use std::fs::File;
use std::io;

use agent_protocol::capture::CaptureError;
use agent_protocol::clock;
use recording::spool::{LONGEST_SHORTFALL_BYTES, RECORD_HEADER_BYTES};
use recording::{
    Cause, EventLine, ExitStatus, MOST_SPOOL_BYTES, Micros, RecordKind, Shortfall, ShortfallKind,
    SpoolWriter, TerminalEvent, TerminalSize,
};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::recorder::{cause_of, in_one_line};
use crate::spool_file::SpoolFile;

use syncer::Syncer;

/// Bulk output fills a disk faster than it is synced, so the free space is also checked after this many bytes.
const CHECK_EVERY_BYTES: u64 = 64 * 1024;

/// How much more room is reserved on the disk when what was reserved is used up: a little while a session prints little.
const RESERVED_FIRST_BYTES: u64 = 64 * 1024;
const RESERVED_AT_ONCE_BYTES: u64 = 1024 * 1024;

/// Space reserved for the reason why a session ended with its cause, in case the size of files is limited.
const REASON_BYTES: u64 = LONGEST_SHORTFALL_BYTES as u64;

/// Appends a session's records. Any failure is final: the caller ends the session.
pub(crate) struct Spooler {
    writer: SpoolWriter<SpoolFile>,
    start_boottime_micros: u64,
    least_free_bytes: u64,
    checked_at: u64,
    /// Up to where the disk has room for it, so that no record is written in part and the last ones always fit.
    reserved: u64,
    /// The maximum length of a file of this process.
    longest_file_bytes: u64,
    /// The maximum length of the spool of a recording that can be sealed.
    most_bytes: u64,
    syncer: Syncer,
}

impl Spooler {
    pub(crate) fn new(spool: File, start_boottime_micros: u64, least_free_bytes: u64) -> io::Result<Self> {
        Self::over(SpoolFile::new(spool), start_boottime_micros, least_free_bytes)
    }

    pub(crate) fn over(
        spool: SpoolFile,
        start_boottime_micros: u64,
        least_free_bytes: u64,
    ) -> io::Result<Self> {
        let good_end = spool.length()?;
        let syncer = Syncer::start(spool.try_clone()?, least_free_bytes)?;
        let mut spooler = Spooler {
            writer: SpoolWriter::new(spool, good_end),
            start_boottime_micros,
            least_free_bytes,
            checked_at: good_end,
            reserved: good_end,
            longest_file_bytes: getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX),
            most_bytes: MOST_SPOOL_BYTES,
            syncer,
        };
        spooler.reserve(good_end + REASON_BYTES)?;
        Ok(spooler)
    }

    /// Takes the room on the disk that is needed up to this length, and some more.
    fn reserve(&mut self, length: u64) -> io::Result<()> {
        if length <= self.reserved {
            return Ok(());
        }
        let more = if self.reserved < RESERVED_AT_ONCE_BYTES {
            RESERVED_FIRST_BYTES
        } else {
            RESERVED_AT_ONCE_BYTES
        };
        let mut up_to = length + more;
        let file = self.writer.get_mut();
        loop {
            match file.allocate(self.reserved, up_to - self.reserved) {
                Ok(()) => self.reserved = up_to,
                // Where room cannot be reserved, a write says that there is none.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.reserved = u64::MAX,
                Err(Errno::INTR) => continue,
                // There may still be as much as is needed.
                Err(Errno::NOSPC) if up_to > length => {
                    up_to = length;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            return Ok(());
        }
    }

    /// Whether the disk keeps room for what is written next.
    pub(crate) fn room_is_reserved(&self) -> bool {
        self.reserved != u64::MAX
    }

    pub(crate) fn now(&self) -> Micros {
        Micros::new(clock::boottime_micros().saturating_sub(self.start_boottime_micros))
    }

    /// How much was written to it.
    pub(crate) fn written(&self) -> u64 {
        self.writer.good_end()
    }

    /// Writes output to the spool. Only then may it be shown.
    pub(crate) fn output(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        self.append(RecordKind::TERMINAL_OUTPUT, bytes)
    }

    /// Writes output of a standard error that is not a terminal.
    pub(crate) fn error_output(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        self.append(RecordKind::ERROR_OUTPUT, bytes)
    }

    fn append(&mut self, kind: RecordKind, payload: &[u8]) -> Result<(), CaptureError> {
        let at = self.now();
        // Room for the reason is left below the limit, because nothing more would fit after a record that was torn
        // off at the limit.
        let length = (RECORD_HEADER_BYTES + payload.len()) as u64 + REASON_BYTES;
        if self.writer.good_end().saturating_add(length) > self.longest_file_bytes {
            return Err(lost("written", &Errno::FBIG.into()));
        }
        self.check_length(length)?;
        let begin = self.writer.good_end();
        if begin + payload.len() as u64 - self.checked_at >= CHECK_EVERY_BYTES {
            // Before it is written: what failed is not in the spool.
            check_free_space(self.writer.get_mut(), self.least_free_bytes)
                .map_err(|reason| CaptureError::Lost { reason })?;
            self.checked_at = begin;
        }
        self.reserve(begin + length).map_err(|error| lost("written", &error))?;
        self.writer.append(at, kind, payload).map_err(|error| lost("written", &error))?;
        self.syncer.dirty();
        Ok(())
    }

    /// Whether so much more leaves the recording one that can be sealed.
    fn check_length(&self, more: u64) -> Result<(), CaptureError> {
        if self.writer.good_end().saturating_add(more) > self.most_bytes {
            let most = self.most_bytes;
            let reason =
                format!("it has {most} bytes, and no recording can have more; a new session has a new one");
            return Err(CaptureError::Lost { reason });
        }
        Ok(())
    }

    /// Goes on after a failure, with the gap that it left in this spool. What was not written whole is cut off first.
    ///
    /// # Errors
    /// The cause of the failure lasts, or what it left cannot be cut off.
    pub(crate) fn recover(&mut self, gap: Option<Shortfall>) -> Result<(), CaptureError> {
        // As much as one burst more, so that it does not fail again at once.
        self.check_length(CHECK_EVERY_BYTES + 2 * REASON_BYTES)?;
        let good_end = self.writer.good_end();
        let file = self.writer.get_mut().try_clone().map_err(|error| lost("opened again", &error))?;
        // A little more than what is needed, so that it does not fail again at once.
        check_free_space(&file, self.least_free_bytes.saturating_add(self.least_free_bytes / 4))
            .map_err(|reason| CaptureError::Lost { reason })?;
        let cut_off = || -> io::Result<()> {
            if file.length()? != good_end {
                file.shorten(good_end)?;
            }
            file.sync_data()
        };
        cut_off().map_err(|error| lost("repaired", &error))?;
        // A writer that has failed writes nothing more, and what was reserved behind the end may have been given back.
        self.writer = SpoolWriter::new(file, good_end);
        if self.room_is_reserved() {
            self.reserved = good_end;
            self.reserve(good_end + REASON_BYTES).map_err(|error| lost("repaired", &error))?;
        }
        self.syncer.recover();
        self.checked_at = good_end;
        gap.map_or(Ok(()), |gap| self.ledger(gap))
    }

    /// Writes a line of the stream `events`.
    pub(crate) fn event(&mut self, line: &EventLine) -> Result<(), CaptureError> {
        let payload = line.to_payload().map_err(|why| CaptureError::Lost { reason: why.to_owned() })?;
        self.append(RecordKind::EVENT, payload.as_bytes())
    }

    /// Brings everything to stable storage; nothing more is written.
    pub(crate) fn close(mut self) -> Result<(), CaptureError> {
        self.syncer.stop();
        self.check()?;
        self.writer.get_mut().sync_data().map_err(|error| lost("synced", &error))
    }

    pub(crate) fn resize(&mut self, size: TerminalSize) -> Result<(), CaptureError> {
        self.append_event(&TerminalEvent::resize(self.now(), size))
    }

    /// Writes what the recording lacks from now on, or does less. Whoever finds much of the same counts it.
    pub(crate) fn ledger(&mut self, shortfall: Shortfall) -> Result<(), CaptureError> {
        self.append_event(&TerminalEvent::shortfall(self.now(), shortfall))
    }

    /// Writes the exit record, as the last action of this process: the agent trusts it only if the process ends soon
    /// afterwards. Everything before it is therefore brought to stable storage first, however long the disk takes,
    /// and the process does not wait for the record itself. The agent reads it from the page cache; if the machine
    /// fails before the record is on the disk, the recording ends as interrupted.
    ///
    /// # Errors
    /// It could not be written: the reason stands in its place, if that is still possible.
    pub(crate) fn exit(mut self, status: ExitStatus) -> Result<(), CaptureError> {
        self.syncer.stop();
        let mut end = || {
            self.check()?;
            self.writer.get_mut().sync_data().map_err(|error| lost("synced", &error))?;
            let event = TerminalEvent::exit(self.now(), status);
            self.writer.append_terminal(&event).map_err(|error| lost("written", &error))
        };
        match end() {
            Ok(_) => Ok(()),
            Err(error) => {
                self.give_up(cause_of(&error), &in_one_line(&error));
                Err(error)
            }
        }
    }

    /// The room for the reason stays, however many events there are without output.
    fn append_event(&mut self, event: &TerminalEvent) -> Result<(), CaptureError> {
        self.reserve(self.writer.good_end() + 2 * REASON_BYTES).map_err(|error| lost("written", &error))?;
        self.writer.append_terminal(event).map_err(|error| lost("written", &error))?;
        self.syncer.dirty();
        Ok(())
    }

    /// Readable when the spool has failed in the background.
    pub(crate) fn failure_fd(&self) -> BorrowedFd<'_> {
        self.syncer.failure_fd()
    }

    /// Whether a sync has failed, or too little space is left.
    pub(crate) fn check(&self) -> Result<(), CaptureError> {
        self.syncer.failure().map_or(Ok(()), |reason| Err(CaptureError::Lost { reason }))
    }

    /// Writes the reason of a failure to the spool, if that is still possible. A torn record is cut off first. In a
    /// spool that can only be appended to, it remains, and the reason states how long it is.
    pub(crate) fn give_up(mut self, cause: Cause, reason: &str) {
        self.syncer.stop();
        let at = self.now();
        let good_end = self.writer.good_end();
        leave_reason(&self.writer.into_inner(), at, good_end, cause, reason);
    }

    /// For a failure in which this value is lost.
    pub(crate) fn copy(&mut self) -> io::Result<SpoolCopy> {
        let spool = self.writer.get_mut().try_clone()?;
        Ok(SpoolCopy { spool, start_boottime_micros: self.start_boottime_micros })
    }
}

/// A second descriptor of a spool.
pub(crate) struct SpoolCopy {
    spool: SpoolFile,
    start_boottime_micros: u64,
}

impl SpoolCopy {
    /// Writes why it was given up behind what is there, which ends with a whole record unless the system failed, too.
    pub(crate) fn give_up(self, cause: Cause, reason: &str) {
        let at = Micros::new(clock::boottime_micros().saturating_sub(self.start_boottime_micros));
        if let Ok(length) = self.spool.length() {
            leave_reason(&self.spool, at, length, cause, reason);
        }
    }
}

fn leave_reason(file: &SpoolFile, at: Micros, good_end: u64, cause: Cause, reason: &str) {
    let leave = || -> io::Result<()> {
        let torn = match file.length()?.saturating_sub(good_end) {
            0 => 0,
            torn if file.shorten(good_end).is_err() => torn,
            _ => 0,
        };
        let mut writer = SpoolWriter::new(file, good_end);
        let gap = Shortfall::new(ShortfallKind::Gap, cause, reason).with_lost_bytes(torn);
        writer.append_shortfall(at, &gap)?;
        file.sync_data()
    };
    // If this fails, the recording ends as interrupted all the same, but without the reason.
    let _ = leave();
}

fn lost(step: &str, error: &io::Error) -> CaptureError {
    CaptureError::Lost { reason: format!("the spool could not be {step}: {error}") }
}

fn check_free_space(spool: &SpoolFile, least_free_bytes: u64) -> Result<(), String> {
    // If the file system does not report it, the write will fail with "no space left".
    let Some(free) = spool.free_bytes() else { return Ok(()) };
    if free < least_free_bytes {
        return Err(format!("only {free} bytes are free for the spool, {least_free_bytes} are needed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::path::PathBuf;

    use recording::SpoolReader;
    use rustix::event::{PollFd, PollFlags};
    use rustix::fs::{MemfdFlags, SealFlags};

    use super::*;
    use crate::spool_file::faults::{Fault, Faults};

    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hansard-{name}-{}", std::process::id()));
            Temporary(path)
        }

        fn open(&self) -> File {
            OpenOptions::new().create(true).append(true).read(true).open(&self.0).unwrap()
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn events(path: &Temporary) -> Vec<TerminalEvent> {
        let mut reader = SpoolReader::new(File::open(&path.0).unwrap(), 0);
        let mut events = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            events.push(record.terminal_event().unwrap());
        }
        events
    }

    #[test]
    fn what_is_lacking_is_a_record_of_its_own() {
        let path = Temporary::new("ledger");
        let mut spooler = Spooler::new(path.open(), clock::boottime_micros(), 0).unwrap();
        let late =
            Shortfall::new(ShortfallKind::DegradedMode, Cause::new("delivered_late"), "delivered late");
        spooler.ledger(late.clone()).unwrap();
        let events = events(&path);
        assert_eq!(events[0].kind, recording::TerminalEventKind::Shortfall(late));
    }

    #[test]
    fn records_end_with_the_exit() {
        let path = Temporary::new("records");
        let mut spooler = Spooler::new(path.open(), clock::boottime_micros(), 0).unwrap();
        spooler.output(b"hello").unwrap();
        spooler.resize(TerminalSize { columns: 100, rows: 30 }).unwrap();
        spooler.exit(ExitStatus::Code(3)).unwrap();
        let events = events(&path);
        assert_eq!(events.len(), 3);
        assert_eq!(events[2].kind, recording::TerminalEventKind::Exit(ExitStatus::Code(3)));
        assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }

    #[test]
    fn the_reason_follows_a_torn_record_that_cannot_be_cut_off() {
        // A file that cannot be shortened, like an append-only one.
        let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create("spool", flags).unwrap());
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
        let mut torn = file.try_clone().unwrap();
        let mut spooler = Spooler::new(file.try_clone().unwrap(), clock::boottime_micros(), 0).unwrap();
        spooler.output(b"hello").unwrap();
        let good_end = usize::try_from(spooler.writer.good_end()).unwrap();
        torn.write_all(&[0, 0, 4, 0, 1, 2, 3, 4]).unwrap();
        spooler.give_up(Cause::SPOOL_FAILED, "the disk is full");
        torn.rewind().unwrap();
        let mut bytes = Vec::new();
        torn.read_to_end(&mut bytes).unwrap();
        let reason = recording::spool::find_giving_up(&bytes[good_end..]).unwrap().terminal_event().unwrap();
        let gap = Shortfall::new(ShortfallKind::Gap, Cause::SPOOL_FAILED, "the disk is full");
        assert_eq!(reason, TerminalEvent::shortfall(reason.at, gap.with_lost_bytes(8)));
    }

    fn room_behind_its_end(spooler: &Spooler, path: &Temporary) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        let taken = std::fs::metadata(&path.0).unwrap().blocks() * 512;
        taken.saturating_sub(spooler.writer.good_end())
    }

    #[test]
    fn the_reason_has_its_room_whatever_was_written_and_whatever_failed() {
        let path = Temporary::new("room");
        let torn = Fault::Torn(Errno::IO);
        let mut file = SpoolFile::new(path.open());
        // Room is reserved once before the first write, which fails.
        file.faults = Faults::at(1, torn);
        let mut spooler = Spooler::over(file, clock::boottime_micros(), 0).unwrap();
        assert!(room_behind_its_end(&spooler, &path) >= REASON_BYTES);
        spooler.output(b"torn").unwrap_err();
        spooler.recover(None).unwrap();
        assert!(room_behind_its_end(&spooler, &path) >= REASON_BYTES, "after what was torn was cut off");
        for columns in 0..10_000 {
            spooler.resize(TerminalSize { columns, rows: 30 }).unwrap();
        }
        assert!(room_behind_its_end(&spooler, &path) >= REASON_BYTES, "after events without output");
    }

    #[test]
    fn a_spool_of_which_no_more_could_be_sealed_is_full_and_stays_so() {
        let path = Temporary::new("full");
        let mut spooler = Spooler::new(path.open(), clock::boottime_micros(), 0).unwrap();
        spooler.most_bytes = 100_000;
        let refused = (0..100).find_map(|_| spooler.output(&[b'x'; 4096]).err());
        assert!(
            matches!(refused, Some(CaptureError::Lost { reason }) if reason.contains("no recording can have more"))
        );
        let written = spooler.written();
        assert!(written <= 100_000, "{written}");
        assert!(spooler.recover(None).is_err(), "nothing is tried again and again");
        spooler.resize(TerminalSize { columns: 90, rows: 30 }).unwrap();
        spooler.exit(ExitStatus::Code(0)).unwrap();
        assert!(matches!(events(&path).last().unwrap().kind, recording::TerminalEventKind::Exit(_)));
    }

    #[test]
    fn bulk_output_does_not_outrun_the_check_of_free_space() {
        let path = Temporary::new("bulk");
        let mut spooler = Spooler::new(path.open(), clock::boottime_micros(), u64::MAX).unwrap();
        let refused = (0..100).find_map(|_| spooler.output(&[b'x'; 4096]).err());
        assert!(matches!(refused, Some(CaptureError::Lost { reason }) if reason.contains("bytes are free")));
    }

    #[test]
    fn too_little_space_is_noticed_and_its_reason_is_kept() {
        let path = Temporary::new("space");
        let mut spooler = Spooler::new(path.open(), clock::boottime_micros(), u64::MAX).unwrap();
        spooler.output(b"hello").unwrap();
        let failure = spooler.failure_fd();
        let mut fds = [PollFd::from_borrowed_fd(failure, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None).unwrap(), 1);
        let Err(CaptureError::Lost { reason }) = spooler.check() else { panic!("no failure") };
        assert!(reason.contains("bytes are free"), "{reason}");
        spooler.give_up(Cause::SPOOL_FAILED, &reason);
        let events = events(&path);
        assert_eq!(events.len(), 2);
        let recording::TerminalEventKind::Shortfall(gap) = &events[1].kind else { panic!("{events:?}") };
        assert_eq!(gap.reason, reason);
    }
}
