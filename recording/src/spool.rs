//! The spool: raw records on the agent's disk, written before anything is shown.

use std::io::{self, Read, Write};

use crate::event::TerminalEvent;
use crate::timestamp::Micros;

/// Bytes of a record before its payload: length, CRC-32C, time, kind.
pub const RECORD_HEADER_BYTES: usize = 17;

/// The longest payload of a record. Longer output is given to the spool in pieces.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// Bytes of a terminal's output.
    pub const TERMINAL_OUTPUT: Self = Self(1);
    /// A terminal's new size.
    pub const TERMINAL_RESIZE: Self = Self(2);
    /// A gap in what was captured.
    pub const GAP: Self = Self(3);
    /// The end of the recorded command.
    pub const EXIT: Self = Self(4);
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
        todo!()
    }
}

/// Appends records to a spool; each record, or each batch, is one write.
///
/// After a failed write the file may end with a torn record, and what follows a torn record is lost to readers: the
/// writer therefore refuses to go on until the file has been cut at [`SpoolWriter::good_end`] and opened anew.
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
        _records: impl IntoIterator<Item = SpoolRecord<'a>>,
    ) -> io::Result<u64> {
        todo!()
    }

    /// Appends a terminal event; output that is longer than a record becomes several. Returns the offset of the end.
    ///
    /// # Errors
    /// As for [`SpoolWriter::append`].
    pub fn append_terminal(&mut self, _event: &TerminalEvent) -> io::Result<u64> {
        todo!()
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
}

/// What stands behind the last good record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailing {
    /// Nothing: the spool ends with a whole record.
    Nothing,
    /// The beginning of a record. A writer may be about to complete it; after a crash it is a torn tail.
    Incomplete {
        /// How many bytes of it there are so far.
        bytes: u64,
    },
    /// Bytes that are no record: the checksum or the length is wrong. Nothing behind them can be read.
    Damaged,
}

/// Reads records from an offset on, and stops at the first that is not whole. A growing spool is read on by asking
/// again.
#[derive(Debug)]
pub struct SpoolReader<R: Read> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    good_end: u64,
}

impl<R: Read> SpoolReader<R> {
    /// A reader whose source stands at this offset of the spool, where a record begins.
    pub fn new(reader: R, offset: u64) -> Self {
        Self { reader, buffer: Vec::new(), start: 0, good_end: offset }
    }

    /// The next record; `None` when there is no further whole record (yet).
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn next_record(&mut self) -> io::Result<Option<SpoolRecord<'_>>> {
        todo!()
    }

    /// The offset behind the last record that was returned: where a reader can resume, and where a torn spool is
    /// cut.
    pub fn good_end(&self) -> u64 {
        self.good_end
    }

    /// What stood behind the last good record when [`SpoolReader::next_record`] last gave `None`.
    pub fn trailing(&self) -> Trailing {
        todo!()
    }
}
