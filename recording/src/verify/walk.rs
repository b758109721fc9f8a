//! Checks the segments of one stream in their order: hashes, chain and headers of any stream, and the content of
//! streams that this version understands.

use super::{StreamVerification, chain_of};
use crate::chain::{ChainValue, ContentHash};
use crate::content::content_of;
use crate::content::walk::{CheckedContent, Content};
use crate::ledger::{LedgerSummary, StreamLedger};
use crate::manifest::{Manifest, SegmentEntry, StreamEntry, Totals};
use crate::segment::{MAX_SEGMENT_BYTES, SegmentError, SegmentHeader};
use crate::start::Start;
use crate::stream::Stream;
use crate::timestamp::Micros;

pub(super) struct Walk<'a> {
    start: &'a Start,
    stream: Stream,
    chain: ChainValue,
    /// `None` if this version does not understand the stream.
    content: Option<Box<dyn Content>>,
    segments: u32,
    last_at: Option<Micros>,
    totals: Totals,
    unknown_events: u64,
    /// What the counted segments lack.
    ledger: StreamLedger,
    /// The segment that was checked last and is not counted yet.
    checked: Option<(ChainValue, CheckedContent)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(stream: Stream, start: &'a Start, start_document: &[u8]) -> Self {
        Self {
            start,
            stream,
            chain: ChainValue::first(start_document, stream),
            content: content_of(stream, start),
            segments: 0,
            last_at: None,
            totals: Totals::default(),
            unknown_events: 0,
            ledger: StreamLedger::default(),
            checked: None,
        }
    }

    /// The number of the next segment.
    pub(super) fn next(&self) -> u32 {
        self.segments
    }

    /// Whether a segment was checked that is not counted yet.
    pub(super) fn has_checked(&self) -> bool {
        self.checked.is_some()
    }

    /// The time of the last event counted so far.
    pub(super) fn last_at(&self) -> Option<Micros> {
        self.last_at
    }

    /// Checks the next segment.
    pub(super) fn check(&mut self, object: &[u8], expected: Option<&SegmentEntry>) -> Result<(), String> {
        let sha256 = ContentHash::of(object);
        let length = object.len() as u64;
        if let Some(expected) = expected
            && (expected.length != length || expected.sha256 != sha256)
        {
            return Err("its bytes are not those that the manifest lists".to_owned());
        }
        if object.len() > MAX_SEGMENT_BYTES {
            return Err(chain_of(&SegmentError::TooLong { length: object.len() }));
        }
        let (header, _) = SegmentHeader::parse(object).map_err(|error| chain_of(&error))?;
        self.agrees(&header)?;
        let content = match &mut self.content {
            Some(content) => content.segment(object).map_err(|error| chain_of(&error))?,
            // Only the manifest states when its last event was.
            None => CheckedContent {
                last_at: expected.map_or(header.first_at, |listed| listed.last_at),
                totals: Totals::default(),
                unknown: 0,
                ledger: LedgerSummary::default(),
            },
        };
        if content.last_at < header.first_at
            || expected
                .is_some_and(|listed| (listed.first_at, listed.last_at) != (header.first_at, content.last_at))
        {
            return Err("its times are not those that the manifest lists".to_owned());
        }
        self.checked = Some((self.chain.next(self.segments, length, &sha256), content));
        Ok(())
    }

    /// Whether a segment with this header is the next one of the stream.
    fn agrees(&self, header: &SegmentHeader) -> Result<(), &'static str> {
        if header.recording != self.start.recording
            || header.stream != self.stream
            || header.number != self.segments
        {
            return Err("its header names another recording or another place");
        }
        if header.chain_before != self.chain {
            return Err("its header stands on another chain: an earlier segment or start.json was another");
        }
        if self.last_at.is_some_and(|last_at| header.first_at < last_at) {
            return Err("its first event is before the last of the segment before it");
        }
        Ok(())
    }

    /// Counts the segment that was checked.
    pub(super) fn go_on(&mut self) {
        let Some((chain, content)) = self.checked.take() else { return };
        self.chain = chain;
        self.segments += 1;
        self.last_at = Some(content.last_at);
        self.totals = std::mem::take(&mut self.totals).plus(&content.totals);
        self.unknown_events += content.unknown;
        if let Some(content) = &self.content {
            self.ledger = content.ledger().clone();
        }
    }

    /// Whether the manifest agrees with the segments about the stream as a whole.
    pub(super) fn agrees_with_manifest(
        &self,
        manifest: &Manifest,
        entry: Option<&StreamEntry>,
    ) -> Result<(), String> {
        if self.last_at.is_some_and(|last_at| manifest.duration < last_at) {
            return Err("its duration is shorter than its segments".to_owned());
        }
        let Some(content) = &self.content else { return Ok(()) };
        if entry.is_some_and(|entry| !entry.totals.agrees_with(&self.totals)) {
            return Err("its counts are not those of its segments".to_owned());
        }
        if let Some(entry) = entry {
            let agrees = self.ledger.agrees_with(entry.ledger.as_ref());
            agrees.map_err(|differs| format!("of the stream {}, {differs}", self.stream))?;
        }
        if !self.start.kind.ends_in_its_terminal() {
            return Ok(());
        }
        content.agrees_with_end(&manifest.end).map_err(str::to_owned)
    }

    /// The result for the stream.
    pub(super) fn ends(&self, entry: Option<&StreamEntry>) -> StreamVerification {
        let totals = match (&self.content, entry) {
            (None, Some(entry)) => entry.totals.clone(),
            _ => self.totals.clone(),
        };
        let ledger = match (&self.content, entry.and_then(|entry| entry.ledger.as_ref())) {
            (None, Some(listed)) => listed.clone(),
            _ => self.ledger.clone(),
        };
        StreamVerification {
            stream: self.stream,
            segments: self.segments.into(),
            totals,
            unknown_events: self.unknown_events,
            ledger,
        }
    }
}
