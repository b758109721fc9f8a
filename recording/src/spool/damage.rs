//! The search for records behind damage.

use std::io::{self, Read, Seek, SeekFrom};

use super::{
    Examined, Frame, MAX_PAYLOAD_BYTES, READ_BYTES, RECORD_HEADER_BYTES, RecordKind, examine, frame,
};

/// How many bytes are read, including those read again for a checksum, before a search is given up.
const MOST_EFFORT_BYTES: usize = 64 * 1024 * 1024;

/// The cost of reading one piece, whatever it contains.
const EFFORT_OF_A_READ: usize = 4096;

/// The result of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Searched {
    /// The next whole record of a known kind begins here.
    Found {
        /// Its offset in the spool.
        offset: u64,
    },
    /// There is none up to the end of the spool as it is now.
    Nothing,
    /// None was found with as much effort as one damaged place is worth.
    GivenUp,
    /// There was no more time. [`DamageSearch::advance`] continues from here.
    Paused,
}

/// A search for the next whole record behind damage. It is bounded, and it may be interrupted.
///
/// If the damaged record itself gives its length, that is tried first, because printed text may look like a record.
/// Zeros and holes are skipped, because no record of a known kind begins in them.
#[derive(Debug)]
pub struct DamageSearch {
    /// Up to where there is nothing.
    at: u64,
    effort: usize,
    begun: bool,
}

impl DamageSearch {
    /// A search behind the damage at this offset.
    pub fn new(offset: u64) -> Self {
        DamageSearch { at: offset, effort: MOST_EFFORT_BYTES, begun: false }
    }

    /// Searches as long as `goes_on` says. `next_data` gives the first offset from the given one on that is not in a
    /// hole, or nothing when all the rest is one; where holes cannot be told, it gives the offset back.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn advance<S: Read + Seek>(
        &mut self,
        source: &mut S,
        mut next_data: impl FnMut(&mut S, u64) -> io::Result<Option<u64>>,
        mut goes_on: impl FnMut() -> bool,
    ) -> io::Result<Searched> {
        let begun_at = self.at;
        let mut window = Window { source, at: self.at, bytes: Vec::new(), start: 0, reads: 0 };
        if !self.begun {
            self.begun = true;
            if let Some(searched) = window.behind_the_damaged_record()? {
                return Ok(searched);
            }
            window.advance(1);
        }
        let mut reads_paid = 0;
        loop {
            if !window.has(RECORD_HEADER_BYTES)? {
                return Ok(Searched::Nothing);
            }
            // All of one piece costs reading it once; asking for the time costs little against that.
            if window.reads > reads_paid {
                let cost = (window.reads - reads_paid) * EFFORT_OF_A_READ;
                reads_paid = window.reads;
                if !self.pay(cost) {
                    return Ok(Searched::GivenUp);
                }
                self.at = window.at;
                // However little time there is, each turn makes progress.
                if self.at > begun_at && !goes_on() {
                    return Ok(Searched::Paused);
                }
            }
            match window.zeros() {
                Zeros::Until(bytes) => window.advance(bytes),
                Zeros::AllThereIs => {
                    // A header may begin with the last of them.
                    let end = window.at + window.rest().len() as u64;
                    match next_data(window.source, end)? {
                        None => return Ok(Searched::Nothing),
                        Some(data) => {
                            let next = data.max(end) - (RECORD_HEADER_BYTES as u64 - 1);
                            window.jump(next.max(window.at + 1));
                        }
                    }
                }
                Zeros::None => {
                    let mut cost = 1;
                    if let Some(length) = window.plausible_length() {
                        cost = length;
                        if window.record_stands(0)? {
                            return Ok(Searched::Found { offset: window.at });
                        }
                    }
                    if !self.pay(cost) {
                        return Ok(Searched::GivenUp);
                    }
                    window.advance(1);
                    self.at = window.at;
                    // A checksum over a whole record takes longer than asking.
                    if cost > EFFORT_OF_A_READ && !goes_on() {
                        return Ok(Searched::Paused);
                    }
                }
            }
        }
    }

    fn pay(&mut self, cost: usize) -> bool {
        match self.effort.checked_sub(cost) {
            Some(left) => {
                self.effort = left;
                true
            }
            None => false,
        }
    }
}

/// Zeros at the place that is looked at.
enum Zeros {
    /// No header's worth of them.
    None,
    /// So many positions at which no record begins.
    Until(usize),
    /// Nothing else in the window.
    AllThereIs,
}

/// A piece of the source, read as it is needed.
struct Window<'a, S> {
    source: &'a mut S,
    /// The offset of the place that is looked at.
    at: u64,
    bytes: Vec<u8>,
    /// Where that place is in the bytes.
    start: usize,
    reads: usize,
}

impl<S: Read + Seek> Window<'_, S> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.at += bytes as u64;
    }

    fn jump(&mut self, to: u64) {
        self.bytes.clear();
        self.start = 0;
        self.at = to;
    }

    /// What the damaged record's own length says, if it makes sense.
    fn behind_the_damaged_record(&mut self) -> io::Result<Option<Searched>> {
        if !self.has(RECORD_HEADER_BYTES)? {
            return Ok(Some(Searched::Nothing));
        }
        if self.rest()[..RECORD_HEADER_BYTES].iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let Some(length) = self.stated_length() else { return Ok(None) };
        if self.record_stands(length)? {
            return Ok(Some(Searched::Found { offset: self.at + length as u64 }));
        }
        // It is the last one so far, and what stands inside it is no record of its own.
        Ok((self.rest().len() == length).then_some(Searched::Nothing))
    }

    fn zeros(&self) -> Zeros {
        let rest = self.rest();
        if rest[..RECORD_HEADER_BYTES].iter().any(|byte| *byte != 0) {
            return Zeros::None;
        }
        match rest.iter().position(|byte| *byte != 0) {
            // The header of a known kind is not all zeros, so it begins at most so far before.
            Some(other) => Zeros::Until(other - (RECORD_HEADER_BYTES - 1)),
            None => Zeros::AllThereIs,
        }
    }

    /// How long the record here would be by its own words, if they make sense.
    fn stated_length(&self) -> Option<usize> {
        let length = u32::from_be_bytes(*self.rest().first_chunk()?) as usize;
        (length <= MAX_PAYLOAD_BYTES).then_some(RECORD_HEADER_BYTES + length)
    }

    /// The same, if its kind is known too.
    fn plausible_length(&self) -> Option<usize> {
        let kind = RecordKind(self.rest()[RECORD_HEADER_BYTES - 1]);
        self.stated_length().filter(|_| kind.is_known())
    }

    /// Whether a whole record stands so many bytes further on.
    fn record_stands(&mut self, further: usize) -> io::Result<bool> {
        if !self.has(further + RECORD_HEADER_BYTES)? {
            return Ok(false);
        }
        loop {
            let here = &self.rest()[further..];
            match frame(here) {
                Frame::Damaged => return Ok(false),
                Frame::Incomplete => {
                    if !self.fill()? {
                        return Ok(false);
                    }
                }
                Frame::Whole(_) => return Ok(matches!(examine(here), Examined::Whole(..))),
            }
        }
    }

    fn has(&mut self, bytes: usize) -> io::Result<bool> {
        while self.rest().len() < bytes {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let filled = self.bytes.len();
        self.source.seek(SeekFrom::Start(self.at + filled as u64))?;
        self.bytes.resize(filled + READ_BYTES, 0);
        let outcome = loop {
            match self.source.read(&mut self.bytes[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        self.bytes.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        self.reads += 1;
        Ok(outcome? > 0)
    }
}
