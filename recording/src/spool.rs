//! The spool: raw records on the agent's disk, written before anything is shown.
//!
//! A record is, in big-endian numbers:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the payload |
//! | 4 | CRC-32C over all the other bytes of the record, in their order |
//! | 8 | time in microseconds since the start |
//! | 1 | kind |
//! | length | payload |

mod damage;
mod giving_up;
mod shortfall;

use std::io::{self, Read, Write};

pub use giving_up::{LONGEST_GIVING_UP_BYTES, find_giving_up};

use crate::end::ExitStatus;
use crate::events::EventLine;
use crate::ledger::Shortfall;
use crate::terminal::event::{TerminalEvent, TerminalEventKind, TerminalSize};
use crate::timestamp::Micros;

pub use damage::{DamageSearch, Searched};

/// Bytes of a record before its payload: length, CRC-32C, time, kind.
pub const RECORD_HEADER_BYTES: usize = 17;

/// The longest reason of a shortfall.
pub const MAX_REASON_BYTES: usize = 1024;

/// The longest record of a shortfall.
pub const LONGEST_SHORTFALL_BYTES: usize =
    RECORD_HEADER_BYTES + shortfall::MOST_BEFORE_REASON_BYTES + MAX_REASON_BYTES;

/// The longest payload of a record. Longer output is given to the spool in pieces.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// Bytes of a terminal's output.
    pub const TERMINAL_OUTPUT: Self = Self(1);
    /// A terminal's new size: columns and rows, two bytes each.
    pub const TERMINAL_RESIZE: Self = Self(2);
    /// A gap in what was captured: the number of lost bytes in eight bytes, and the reason in UTF-8.
    pub const GAP: Self = Self(3);
    /// The end of the recorded command: 0 and the exit code, or 1 and the signal.
    pub const EXIT: Self = Self(4);
    /// Bytes that went to a standard error which is no terminal.
    pub const ERROR_OUTPUT: Self = Self(5);
    /// A line of the stream `events` without its time.
    pub const EVENT: Self = Self(6);
    /// Something that the recording lacks or did less, with its kind and its cause.
    pub const SHORTFALL: Self = Self(7);

    /// Whether it is known.
    fn is_known(self) -> bool {
        (Self::TERMINAL_OUTPUT.0..=Self::SHORTFALL.0).contains(&self.0)
    }
}

/// One record of a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolRecord<'a> {
    /// When it was captured.
    pub at: Micros,
    /// What the payload holds.
    pub kind: RecordKind,
    /// The captured bytes.
    pub payload: &'a [u8],
}

/// A record whose payload is not what its kind says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a spool record of kind {kind} does not hold what it should: {why}")]
pub struct BadRecord {
    kind: u8,
    why: &'static str,
}

impl SpoolRecord<'_> {
    /// The terminal event that the record holds.
    ///
    /// # Errors
    /// The kind is not one of a terminal's, or the payload is not what the kind says.
    pub fn terminal_event(&self) -> Result<TerminalEvent, BadRecord> {
        let bad = |why| BadRecord { kind: self.kind.0, why };
        if self.at > Micros::LATEST {
            return Err(bad("no session lasts so long"));
        }
        let kind = match self.kind {
            RecordKind::TERMINAL_OUTPUT => TerminalEventKind::Output(self.payload.to_vec()),
            RecordKind::ERROR_OUTPUT => TerminalEventKind::ErrorOutput(self.payload.to_vec()),
            RecordKind::TERMINAL_RESIZE => match *self.payload {
                [c1, c0, r1, r0] => TerminalEventKind::Resize(TerminalSize {
                    columns: u16::from_be_bytes([c1, c0]),
                    rows: u16::from_be_bytes([r1, r0]),
                }),
                _ => return Err(bad("a size has four bytes")),
            },
            RecordKind::GAP => TerminalEventKind::Shortfall(self.gap()?),
            RecordKind::SHORTFALL => TerminalEventKind::Shortfall(self.shortfall()?),
            RecordKind::EXIT => match *self.payload {
                [0, code] => TerminalEventKind::Exit(ExitStatus::Code(code)),
                [1, signal] => TerminalEventKind::Exit(ExitStatus::Signal(signal)),
                _ => return Err(bad("an exit is 0 and a code, or 1 and a signal")),
            },
            RecordKind(_) => return Err(bad("this kind is unknown")),
        };
        Ok(TerminalEvent { at: self.at, kind })
    }

    fn gap(&self) -> Result<Shortfall, BadRecord> {
        let bad = |why| BadRecord { kind: self.kind.0, why };
        let (lost, reason) =
            self.payload.split_first_chunk().ok_or_else(|| bad("a gap has eight bytes or more"))?;
        if reason.len() > MAX_REASON_BYTES {
            return Err(bad("the reason is too long"));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| bad("the reason is not UTF-8"))?;
        Ok(Shortfall::unstated(reason.to_owned(), u64::from_be_bytes(*lost)))
    }

    /// The line of the stream `events` that the record holds.
    ///
    /// # Errors
    /// The kind is not one of that stream's, or the payload is not what the kind says.
    pub fn event_line(&self) -> Result<EventLine, BadRecord> {
        let bad = |why| BadRecord { kind: self.kind.0, why };
        if self.at > Micros::LATEST {
            return Err(bad("no session lasts so long"));
        }
        match self.kind {
            RecordKind::EVENT => EventLine::of_payload(self.at, self.payload).map_err(bad),
            RecordKind::GAP => Ok(EventLine::shortfall(self.at, &self.gap()?)),
            RecordKind::SHORTFALL => Ok(EventLine::shortfall(self.at, &self.shortfall()?)),
            RecordKind(_) => Err(bad("it is no event")),
        }
    }
}

/// Appends records to a spool; each record, or each batch, is one write.
///
/// After a failed write the file may end with a torn record, and readers take what follows it for damage: the writer
/// therefore refuses to continue until the file has been cut at [`SpoolWriter::good_end`] and opened again. Where the
/// file cannot be cut, one record may still follow: see [`find_giving_up`].
#[derive(Debug)]
pub struct SpoolWriter<W: Write> {
    writer: W,
    buffer: Vec<u8>,
    good_end: u64,
    failed: bool,
}

impl<W: Write> SpoolWriter<W> {
    /// A writer at the good end of a spool; 0 for a new one.
    pub fn new(writer: W, good_end: u64) -> Self {
        Self { writer, buffer: Vec::new(), good_end, failed: false }
    }

    /// Appends one record. Returns the offset of its end.
    ///
    /// # Errors
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`], the write fails, or an earlier one has failed.
    pub fn append(&mut self, at: Micros, kind: RecordKind, payload: &[u8]) -> io::Result<u64> {
        self.append_batch([SpoolRecord { at, kind, payload }])
    }

    /// Appends records with one write. Returns the offset of the last one's end.
    ///
    /// # Errors
    /// As for [`SpoolWriter::append`]; a payload that is too long is found before anything is written.
    pub fn append_batch<'a>(
        &mut self,
        records: impl IntoIterator<Item = SpoolRecord<'a>>,
    ) -> io::Result<u64> {
        self.buffer.clear();
        for record in records {
            encode_record(&record, &mut self.buffer)?;
        }
        self.write_buffer()
    }

    /// Appends a terminal event; output that is longer than a record becomes several. Returns the offset of the end.
    ///
    /// # Errors
    /// As for [`SpoolWriter::append`].
    pub fn append_terminal(&mut self, event: &TerminalEvent) -> io::Result<u64> {
        let at = event.at;
        let mut output = |kind, bytes: &[u8]| {
            self.append_batch(bytes.chunks(MAX_PAYLOAD_BYTES).map(|payload| SpoolRecord {
                at,
                kind,
                payload,
            }))
        };
        match &event.kind {
            TerminalEventKind::Output(bytes) => output(RecordKind::TERMINAL_OUTPUT, bytes),
            TerminalEventKind::ErrorOutput(bytes) => output(RecordKind::ERROR_OUTPUT, bytes),
            TerminalEventKind::Resize(size) => {
                let ([c1, c0], [r1, r0]) = (size.columns.to_be_bytes(), size.rows.to_be_bytes());
                self.append(at, RecordKind::TERMINAL_RESIZE, &[c1, c0, r1, r0])
            }
            TerminalEventKind::Shortfall(shortfall) => self.append_shortfall(at, shortfall),
            TerminalEventKind::Exit(ExitStatus::Code(code)) => self.append(at, RecordKind::EXIT, &[0, *code]),
            TerminalEventKind::Exit(ExitStatus::Signal(signal)) => {
                self.append(at, RecordKind::EXIT, &[1, *signal])
            }
        }
    }

    /// Appends a line of the stream `events`. Returns the offset of the end.
    ///
    /// # Errors
    /// As for [`SpoolWriter::append`]; or the line is longer than any line of the stream.
    pub fn append_event(&mut self, line: &EventLine) -> io::Result<u64> {
        let payload =
            line.to_payload().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()))?;
        self.append(line.at, RecordKind::EVENT, payload.as_bytes())
    }

    /// The offset up to which whole records are written.
    pub fn good_end(&self) -> u64 {
        self.good_end
    }

    /// The writer below, for instance to sync it to the disk.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// The writer below.
    pub fn into_inner(self) -> W {
        self.writer
    }

    fn write_buffer(&mut self) -> io::Result<u64> {
        if self.failed {
            return Err(io::Error::other(format!(
                "an earlier write to the spool has failed; cut it to {} bytes and open it anew",
                self.good_end
            )));
        }
        self.writer.write_all(&self.buffer).inspect_err(|_| self.failed = true)?;
        self.good_end += self.buffer.len() as u64;
        // A session that once showed much does not keep the memory.
        self.buffer.shrink_to(READ_BYTES);
        Ok(self.good_end)
    }
}

fn encode_record(record: &SpoolRecord<'_>, buffer: &mut Vec<u8>) -> io::Result<()> {
    if record.payload.len() > MAX_PAYLOAD_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a spool record holds at most {MAX_PAYLOAD_BYTES} bytes, not {}", record.payload.len()),
        ));
    }
    let length =
        u32::try_from(record.payload.len()).expect("no longer than the longest payload").to_be_bytes();
    let mut head = [0; 9];
    head[..8].copy_from_slice(&record.at.get().to_be_bytes());
    head[8] = record.kind.0;
    let checksum = checksum(&length, &head, record.payload);
    buffer.reserve(RECORD_HEADER_BYTES + record.payload.len());
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&checksum.to_be_bytes());
    buffer.extend_from_slice(&head);
    buffer.extend_from_slice(record.payload);
    Ok(())
}

fn checksum(length: &[u8], head: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(length), head), payload)
}

/// What follows the last good record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailing {
    /// Nothing: the spool ends with a whole record.
    Nothing,
    /// The beginning of a record. A writer may be about to complete it; after a crash it is a torn tail.
    Incomplete {
        /// How many bytes of it there are so far.
        bytes: u64,
    },
    /// The bytes are not a record: the checksum or the length is wrong. See [`DamageSearch`].
    Damaged,
}

/// Reads records from an offset on, and stops at the first that is not whole. A growing spool is read on by asking
/// again.
#[derive(Debug)]
pub struct SpoolReader<R: Read> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    /// The length of the record that ends at `start`.
    last_length: usize,
    good_end: u64,
}

enum Examined<'a> {
    Whole(SpoolRecord<'a>, usize),
    Incomplete,
    Damaged,
}

impl<R: Read> SpoolReader<R> {
    /// A reader whose source stands at this offset of the spool, where a record begins.
    pub fn new(reader: R, offset: u64) -> Self {
        Self { reader, buffer: Vec::new(), start: 0, last_length: 0, good_end: offset }
    }

    /// The next record; `None` when there is no further whole record (yet).
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn next_record(&mut self) -> io::Result<Option<SpoolRecord<'_>>> {
        while matches!(frame(&self.buffer[self.start..]), Frame::Incomplete) {
            if !self.fill()? {
                return Ok(None);
            }
        }
        match examine(&self.buffer[self.start..]) {
            Examined::Whole(record, length) => {
                self.start += length;
                self.last_length = length;
                self.good_end += length as u64;
                Ok(Some(record))
            }
            Examined::Incomplete | Examined::Damaged => Ok(None),
        }
    }

    /// The bytes of the record that [`SpoolReader::next_record`] has just given; none at any other time.
    pub fn last_record(&self) -> &[u8] {
        &self.buffer[self.start - self.last_length..self.start]
    }

    /// The offset behind the last record that was returned: where a reader can resume, and where a torn spool is
    /// cut.
    pub fn good_end(&self) -> u64 {
        self.good_end
    }

    /// What follows the last good record. Call it when [`SpoolReader::next_record`] has returned `None`.
    pub fn trailing(&self) -> Trailing {
        let rest = &self.buffer[self.start..];
        match examine(rest) {
            Examined::Whole(..) => Trailing::Nothing,
            Examined::Incomplete if rest.is_empty() => Trailing::Nothing,
            Examined::Incomplete => Trailing::Incomplete { bytes: rest.len() as u64 },
            Examined::Damaged => Trailing::Damaged,
        }
    }

    /// The bytes behind the last good record, as far as they were read. Ask as for [`SpoolReader::trailing`].
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads more of the source; false when it has no more (yet).
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.last_length = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES, 0);
        let outcome = loop {
            match self.reader.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        self.buffer.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        Ok(outcome? > 0)
    }
}

enum Frame {
    Whole(usize),
    Incomplete,
    Damaged,
}

/// Where the record at the beginning of the bytes ends, by its length alone.
fn frame(bytes: &[u8]) -> Frame {
    let Some(length) = bytes.first_chunk() else { return Frame::Incomplete };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_PAYLOAD_BYTES {
        Frame::Damaged
    } else if bytes.len() < RECORD_HEADER_BYTES + length {
        Frame::Incomplete
    } else {
        Frame::Whole(RECORD_HEADER_BYTES + length)
    }
}

fn examine(bytes: &[u8]) -> Examined<'_> {
    let end = match frame(bytes) {
        Frame::Whole(end) => end,
        Frame::Incomplete => return Examined::Incomplete,
        Frame::Damaged => return Examined::Damaged,
    };
    let (head, payload) = bytes[..end].split_at(RECORD_HEADER_BYTES);
    if checksum(&head[..4], &head[8..], payload).to_be_bytes() != head[4..8] {
        return Examined::Damaged;
    }
    let mut at = [0; 8];
    at.copy_from_slice(&head[8..16]);
    let record = SpoolRecord { at: Micros::new(u64::from_be_bytes(at)), kind: RecordKind(head[16]), payload };
    Examined::Whole(record, end)
}

#[cfg(test)]
mod tests;
