//! What is noted of each cut segment.

use agent_protocol::capture::SegmenterState;
use recording::{ChainValue, ExitStatus, SegmentEntry, Stream};
use serde::{Deserialize, Serialize};

use crate::run::last_record::LastRecord;

/// What stands beside each cut segment. It outlives the segment's bytes, because the manifest needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::run) struct CutRecord {
    /// The stream that it is a segment of. Those of agents that knew no other are a terminal's.
    #[serde(default = "terminal")]
    pub(in crate::run) stream: Stream,
    pub(in crate::run) entry: SegmentEntry,
    pub(in crate::run) chain_before: ChainValue,
    /// The offset in the spool up to which the segments hold everything.
    pub(in crate::run) spool_end: u64,
    /// Where the stream stood after the cut: its segmenter alone reads that.
    pub(in crate::run) state: SegmenterState,
    /// How the command ended, if that stands in this segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::run) exit: Option<ExitStatus>,
    /// The reason of the last gap so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::run) last_gap: Option<String>,
    /// Some of the spool up to here could not be read: it is never erased.
    #[serde(default)]
    pub(in crate::run) damaged: bool,
    /// Why no exit record is believed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::run) distrusted: Option<String>,
    /// The last record up to `spool_end`, which must still stand there when more is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::run) last_record: Option<LastRecord>,
}

impl CutRecord {
    /// Up to where the spool may be erased once the segment is delivered.
    pub(super) fn erasable_bytes(&self) -> u64 {
        self.last_record.as_ref().map_or(self.spool_end, LastRecord::offset)
    }
}

fn terminal() -> Stream {
    Stream::Terminal
}
