//! The segment that a cutter is filling, and the rules of when it is cut. They are the same for every stream.

use std::time::Duration;

use crate::spool::RECORD_HEADER_BYTES;
use crate::timestamp::Micros;

/// A segment is full when its lines have so many bytes, whatever the policy says. The longest record may still be added:
/// as lines it has six times its bytes, and at most twice when it is no text.
pub(crate) const FULL_LINES_BYTES: usize = 16 * 1024 * 1024;
/// What the buffer may keep between segments.
const IDLE_BYTES: usize = 64 * 1024;
/// The last step that makes segments longer: the default's then span about four hours.
const LAST_STEP: u32 = 10;
/// The most segments that a recording may have, of all its streams together: a manifest lists every one, and has at most
/// 8 MiB.
pub const MOST_SEGMENTS: u32 = 23_000;
/// With so many segments a session is ended, or goes on unrecorded: what its spools hold still has its room in the manifest.
pub const ENOUGH_SEGMENTS: u32 = 20_000;
/// The longest spool that a recorder writes. Cut into segments without a pause, it has room in the manifest beside all that the
/// clock has cut before, also where no agent was there that counted them.
pub const MOST_SPOOL_BYTES: u64 = 32 * 1024 * 1024 * 1024;
/// The most that a lengthened segment takes. Random bytes double when they are written as lines; an object may have 8 MiB.
const MOST_SPOOLED_BYTES: u64 = 2 * 1024 * 1024;

/// When a segment is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutPolicy {
    /// After this many bytes of spool records.
    pub most_spooled_bytes: u64,
    /// This long after its first event.
    pub longest: Duration,
    /// The same for a stream's first segment, so that a new recording is soon to be seen.
    pub longest_first: Duration,
    /// After so many segments, segments become longer: each such step doubles the time that they span. A manifest lists
    /// every segment, and is sent in one call: without the steps a program that never stops printing would fill it.
    pub segments_of_a_step: u32,
}

impl Default for CutPolicy {
    /// 1 MiB, 15 seconds, 5 seconds for the first, and steps of 250 segments: 2,500 are enough for weeks.
    fn default() -> Self {
        Self {
            most_spooled_bytes: 1024 * 1024,
            longest: Duration::from_secs(15),
            longest_first: Duration::from_secs(5),
            segments_of_a_step: 250,
        }
    }
}

impl CutPolicy {
    /// The same, with half as many segments: for a stream that stands in the manifest beside the terminal's.
    #[must_use]
    pub fn beside_terminal(self) -> Self {
        Self { segments_of_a_step: self.segments_of_a_step / 2, ..self }
    }

    /// The same for a recording that is delivered while it is shown: a segment for each second in which anything happens.
    /// Longer ones come after 1,500 of them, and only after hours of output without a pause are they so long that output
    /// is held for one.
    #[must_use]
    pub fn sync(self) -> Self {
        let second = Duration::from_secs(1);
        Self { longest: second, longest_first: second, segments_of_a_step: 1500, ..self }
    }

    fn step(&self, number: u32) -> u32 {
        (number / self.segments_of_a_step.max(1)).min(LAST_STEP)
    }

    fn most_spooled_bytes(&self, number: u32) -> u64 {
        match self.step(number) {
            0 => self.most_spooled_bytes,
            _ => {
                self.most_spooled_bytes.max(self.most_spooled_bytes.saturating_mul(2).min(MOST_SPOOLED_BYTES))
            }
        }
    }

    fn longest(&self, number: u32) -> Duration {
        match number {
            0 => self.longest_first,
            _ => self.longest.saturating_mul(1 << self.step(number)),
        }
    }
}

/// What is in the segment that is being filled.
#[derive(Debug)]
pub(crate) struct Filling {
    policy: CutPolicy,
    /// The segment's number.
    number: u32,
    /// With so many events it is full.
    most_events: usize,
    /// Its lines so far.
    pub(crate) lines: Vec<u8>,
    spooled_bytes: u64,
    events: usize,
    /// The times of the first and the last of the lines.
    times: Option<(Micros, Micros)>,
}

impl Filling {
    pub(crate) fn new(policy: CutPolicy, number: u32, most_events: usize) -> Self {
        Self { policy, number, most_events, lines: Vec::new(), spooled_bytes: 0, events: 0, times: None }
    }

    /// Counts a record, and the events that it may have become.
    pub(crate) fn count(&mut self, payload_bytes: usize, events: usize) {
        self.spooled_bytes += (RECORD_HEADER_BYTES + payload_bytes) as u64;
        self.events += events;
    }

    /// Notes the time of what was added to the lines.
    pub(crate) fn note_time(&mut self, at: Micros) {
        self.times = Some((self.times.map_or(at, |(first, _)| first), at));
    }

    /// The events so far, or more.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// The times of the first and the last of the lines; `None` while there is nothing to cut.
    pub(crate) fn times(&self) -> Option<(Micros, Micros)> {
        self.times
    }

    /// Whether it is to be cut now: it is full or old enough. Never while there is nothing to cut.
    pub(crate) fn due(&self, now: Micros) -> bool {
        self.is_full() || self.due_at().is_some_and(|due_at| now >= due_at)
    }

    /// Whether it is to be cut before anything more is added.
    pub(crate) fn is_full(&self) -> bool {
        self.times.is_some()
            && (self.spooled_bytes >= self.policy.most_spooled_bytes(self.number)
                || self.lines.len() >= FULL_LINES_BYTES
                || self.events >= self.most_events)
    }

    /// When it will be old enough to be cut; `None` while there is nothing to cut.
    pub(crate) fn due_at(&self) -> Option<Micros> {
        let longest = Micros::from(self.policy.longest(self.number)).get();
        self.times.map(|(first, _)| Micros::new(first.get().saturating_add(longest)))
    }

    /// Begins the next one, when it was cut. A session that once showed much does not keep the memory while it is idle.
    pub(crate) fn begin_next(&mut self) {
        self.number += 1;
        self.lines.clear();
        self.lines.shrink_to(IDLE_BYTES);
        (self.spooled_bytes, self.events, self.times) = (0, 0, None);
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::chain::{ChainValue, ContentHash};
    use crate::manifest::{SegmentEntry, StreamEntry, Totals};
    use crate::stream::Stream;

    /// As much as stands in a manifest besides its segments, and more.
    const LEFT_BYTES: usize = 256 * 1024;

    #[derive(Serialize)]
    struct Streams {
        streams: Vec<StreamEntry>,
    }

    fn document_bytes(segments: u32) -> usize {
        // The longest that there can be: of ten years, and as large as an object may be.
        let long = Micros::new(10 * 366 * 24 * 3600 * 1_000_000);
        let entry = SegmentEntry {
            number: MOST_SEGMENTS,
            length: crate::segment::MAX_SEGMENT_BYTES as u64,
            sha256: ContentHash::of(b""),
            chain: ChainValue::first(b"", Stream::Terminal),
            first_at: long,
            last_at: long,
        };
        let stream = StreamEntry {
            stream: Stream::Terminal,
            final_chain: entry.chain,
            segments: vec![entry; segments as usize],
            totals: Totals::default(),
            ledger: None,
        };
        crate::start::to_document(&Streams { streams: vec![stream] }).len()
    }

    #[test]
    fn a_manifest_has_room_for_the_most_segments() {
        assert!(document_bytes(MOST_SEGMENTS) + LEFT_BYTES <= 8 * 1024 * 1024);
    }

    /// So many segments are cut of a spool that is full: those that the clock cuts until the last step, and those that have all
    /// the bytes that one may have.
    fn most_segments_of(policy: &CutPolicy) -> u64 {
        let by_clock = u64::from(policy.segments_of_a_step * LAST_STEP);
        let first = u64::from(policy.segments_of_a_step);
        let of_first = first * policy.most_spooled_bytes(0);
        let full =
            first + (MOST_SPOOL_BYTES - of_first) / policy.most_spooled_bytes(policy.segments_of_a_step);
        by_clock + full
    }

    #[test]
    fn the_longest_spool_has_room_in_a_manifest_without_an_agent_that_counts() {
        let policy = CutPolicy::default();
        // Of the events there are far fewer bytes than of output: their segments are cut by the clock.
        let events = u64::from(policy.beside_terminal().segments_of_a_step * LAST_STEP);
        // From the last step on, each segment spans four hours: a year has some two thousand.
        let a_year = 366 * 24 * 3600 / policy.longest(u32::MAX).as_secs();
        let most = most_segments_of(&policy) + events + a_year;
        assert!(most <= u64::from(MOST_SEGMENTS), "{most}");
        assert!(
            most_segments_of(&policy) + events > u64::from(ENOUGH_SEGMENTS),
            "no more is kept free than needed"
        );
    }

    #[test]
    fn steps_make_segments_longer_and_never_smaller() {
        let policy = CutPolicy::default();
        let spans = |number| (policy.longest(number).as_secs(), policy.most_spooled_bytes(number));
        assert_eq!(spans(0), (5, 1024 * 1024));
        assert_eq!(spans(249), (15, 1024 * 1024));
        assert_eq!(spans(250), (30, 2 * 1024 * 1024));
        assert_eq!(spans(u32::MAX), (15 << LAST_STEP, 2 * 1024 * 1024));
        let large = CutPolicy { most_spooled_bytes: u64::MAX, ..policy };
        assert_eq!(large.most_spooled_bytes(250), u64::MAX);
        let sync = |number| policy.sync().longest(number).as_secs();
        assert_eq!([0, 1499, 1500, 3000, 4500].map(sync), [1, 1, 2, 4, 8]);
        assert_eq!(policy.beside_terminal().longest(125), policy.longest(250));
    }
}
