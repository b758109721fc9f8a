//! The life of a recording: Open, then Sealed, then Delivered; and how that looks on the wire (DECISIONS F9).

use recording::{CaptureKind, ChainValue, ContentHash, LedgerSummary, Micros, Stream};

use crate::condition_keys::{RecordingFacts, SessionOwner};
use crate::expiration::ExpirationDays;
use crate::parameter::Word;
use crate::storage_target::RecordStorageTarget;
use crate::succession::Succession;
use crate::{AccountId, AgentId, InstanceId, TerminalSessionToken, Timestamp};

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// The exit record arrived: it ended by itself.
    Exited,
    /// It was closed without one: the recorder or the agent died, or was cut off.
    Interrupted {
        /// Why, in the agent's or the control plane's words.
        reason: String,
    },
}

/// Where a recording stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingState {
    /// Segments arrive.
    Open,
    /// Nothing has been heard for so long that it is shown as interrupted; the agent may still come back and
    /// go on.
    Abandoned {
        /// When something last arrived; expiry counts from here.
        last_heard_at: Timestamp,
    },
    /// The control plane ended it, because its holder was removed: there is no manifest, and nothing can be added until the
    /// next agent of the instance takes it over.
    Closed {
        /// When; of a recording that was abandoned before, when something last arrived. Expiry counts from here.
        ended_at: Timestamp,
        /// Why.
        reason: String,
    },
    /// The agent signed the manifest; not every evidence object is known to be in the bucket yet.
    Sealed {
        /// When the session ended.
        ended_at: Timestamp,
        /// How.
        end: SessionEnd,
    },
    /// Every evidence object is in the bucket and was read back.
    Delivered {
        /// When the session ended.
        ended_at: Timestamp,
        /// How.
        end: SessionEnd,
    },
}

/// The status of a recording on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireStatus {
    /// The session goes on.
    Running,
    /// It ended by itself.
    Finished,
    /// It was cut off; what arrived can be played.
    Interrupted,
    /// Nothing usable arrived.
    Failed,
}

impl WireStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Interrupted, Self::Failed];

    /// The status of this word, exactly as the wire has it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::of(word)
    }

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

impl Word for WireStatus {
    const ALL: &'static [Self] = &WireStatus::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

/// What has arrived of a recording so far, of all its streams together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// How many segments.
    pub segments: u32,
    /// Their stored size, in bytes.
    pub stored_bytes: u64,
    /// The time of the last event, since the start.
    pub last_at: Micros,
}

/// What has arrived of one stream of a recording so far. A segment is claimed only in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivedStream {
    /// Which stream.
    pub stream: Stream,
    /// How many segments; also the number of the one that is expected next.
    pub segments: u32,
    /// Their stored size, in bytes.
    pub stored_bytes: u64,
    /// The chain value after the last one.
    pub chain: ChainValue,
    /// The time of the last event, since the start.
    pub last_at: Micros,
}

impl ArrivedStream {
    /// The streams that a recording with these exact bytes of `start.json` can have, before anything has arrived: those whose
    /// segments this version understands, since it reads each before it claims it.
    #[must_use]
    pub fn of_new_recording(start_document: &[u8]) -> Vec<Self> {
        let understood = Stream::NAMED.into_iter().filter(|stream| stream.is_understood());
        understood
            .map(|stream| Self {
                stream,
                segments: 0,
                stored_bytes: 0,
                chain: ChainValue::first(start_document, stream),
                last_at: Micros::ZERO,
            })
            .collect()
    }
}

impl Arrived {
    /// What has arrived once this segment is claimed.
    #[must_use]
    pub fn with(self, claimed: &SegmentAcknowledged) -> Self {
        Self {
            segments: self.segments.saturating_add(1),
            stored_bytes: self.stored_bytes.saturating_add(claimed.length),
            last_at: self.last_at.max(claimed.arrived.last_at),
        }
    }
}

/// A recording, as the control plane knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Its identifier, and that of its terminal session.
    pub token: TerminalSessionToken,
    /// Its account.
    pub account: AccountId,
    /// Its instance.
    pub instance: InstanceId,
    /// The agent that made it, as its `start.json` says.
    pub agent: AgentId,
    /// What it is of.
    pub kind: CaptureKind,
    /// Who opened the session, where a signed call proves it (DECISIONS I6).
    pub owner: Option<SessionOwner>,
    /// The session's user, as the agent claims. No decision depends on it.
    pub claimed_owner: Option<String>,
    /// The recorded command on one line, as the agent claims.
    pub command: Option<String>,
    /// Who ran the process that captured it.
    pub recorder: recording::Recorder,
    /// What happens to the session when its recording fails, as the agent says.
    pub failure_policy: Option<recording::FailurePolicy>,
    /// How far delivery may be behind what is shown, as the agent says.
    pub delivery_mode: Option<recording::DeliveryMode>,
    /// Where its objects go.
    pub target: RecordStorageTarget,
    /// The folder of its objects below the bucket, without a trailing slash.
    pub folder: recording::ObjectName,
    /// SHA-256 of start.json.
    pub start_sha256: ContentHash,
    /// When the session started, by the instance's clock as the agent corrected it. It is a claim, and kept as such.
    pub started_at: Timestamp,
    /// When the control plane first heard of it.
    pub opened_at: Timestamp,
    /// When something last arrived: of a sealed recording, its seal.
    pub last_heard_at: Timestamp,
    /// Fixed by the configuration in force when it started.
    pub expiration: ExpirationDays,
    /// Where it stands.
    pub state: RecordingState,
    /// What has arrived.
    pub arrived: Arrived,
    /// What it lacks or did less, as far as it has arrived. `None` of a recording that was opened before this was kept, until
    /// its manifest says it.
    pub ledger: Option<LedgerSummary>,
    /// Who delivers it in the place of [`Recording::agent`], if an agent has taken it over.
    pub succession: Option<Succession>,
}

impl Recording {
    /// The agent that delivers it, and nobody else: the one that made it, or the last one that has taken it over.
    #[must_use]
    pub fn holder(&self) -> &AgentId {
        self.succession.as_ref().map_or(&self.agent, |succession| &succession.successor)
    }

    /// Its ledger with what one more segment says.
    #[must_use]
    pub fn ledger_with(&self, claimed: &SegmentAcknowledged) -> Option<LedgerSummary> {
        self.ledger.clone().map(|ledger| ledger.plus(&claimed.ledger))
    }

    /// The start that the control plane uses: a session cannot have started after the control plane heard of it. Lists
    /// are sorted, folders are named and policies compute the age by this time, so that a claim of the year 9999 does
    /// not keep a recording on top of every list and below every age.
    #[must_use]
    pub fn listed_at(&self) -> Timestamp {
        self.started_at.min(self.opened_at)
    }

    /// What policies can ask about it.
    #[must_use]
    pub fn facts(&self) -> RecordingFacts {
        RecordingFacts {
            token: self.token.clone(),
            started_at: self.listed_at(),
            owner: self.owner.clone(),
            kind: self.kind,
        }
    }

    /// Its length so far, in milliseconds.
    #[must_use]
    pub fn duration_millis(&self) -> i64 {
        match &self.state {
            RecordingState::Open | RecordingState::Abandoned { .. } | RecordingState::Closed { .. } => {
                i64::try_from(self.arrived.last_at.get() / 1_000).unwrap_or(i64::MAX)
            }
            RecordingState::Sealed { ended_at, .. } | RecordingState::Delivered { ended_at, .. } => {
                (ended_at.as_millis() - self.started_at.as_millis()).max(0)
            }
        }
    }

    /// Its length for a list, in milliseconds: that of a session that goes on is the time since its start, though nothing may
    /// have arrived lately.
    #[must_use]
    pub fn length_so_far_millis(&self, now: Timestamp) -> i64 {
        let known = self.duration_millis();
        match &self.state {
            RecordingState::Open => known.max(now.as_millis().saturating_sub(self.listed_at().as_millis())),
            RecordingState::Abandoned { .. }
            | RecordingState::Closed { .. }
            | RecordingState::Sealed { .. }
            | RecordingState::Delivered { .. } => known,
        }
    }

    /// When it becomes hidden; provisional (counted from `now`) while it runs.
    #[must_use]
    pub fn expires_at(&self, now: Timestamp) -> Timestamp {
        match &self.state {
            RecordingState::Open => self.expiration.counted_from(now),
            RecordingState::Abandoned { last_heard_at: end }
            | RecordingState::Closed { ended_at: end, .. } => self.expiration.counted_from(*end),
            RecordingState::Sealed { ended_at, .. } | RecordingState::Delivered { ended_at, .. } => {
                self.expiration.counted_from(self.bounded_end(*ended_at))
            }
        }
    }

    /// The end that expiry counts from. The agent's clock says when a session ended, and an instance without a good
    /// one would have its recordings expire at once or never; so the end lies between the first that the control
    /// plane heard of the recording and its seal.
    fn bounded_end(&self, claimed: Timestamp) -> Timestamp {
        claimed.min(self.last_heard_at).max(self.opened_at)
    }

    /// Whether it is hidden. A running recording never is.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.state != RecordingState::Open && self.expires_at(now) <= now
    }

    /// The wire's word.
    #[must_use]
    pub fn status(&self) -> WireStatus {
        match &self.state {
            RecordingState::Open => WireStatus::Running,
            _ if self.arrived.segments == 0 => WireStatus::Failed,
            RecordingState::Abandoned { .. } | RecordingState::Closed { .. } => WireStatus::Interrupted,
            RecordingState::Sealed { end, .. } | RecordingState::Delivered { end, .. } => match end {
                SessionEnd::Exited => WireStatus::Finished,
                SessionEnd::Interrupted { .. } => WireStatus::Interrupted,
            },
        }
    }
}

/// A decided claim of a segment, for `persistence::Store::apply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentAcknowledged {
    /// The recording.
    pub token: TerminalSessionToken,
    /// The segment's number.
    pub number: u32,
    /// Its stored size in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: ContentHash,
    /// The time of its first event.
    pub first_at: Micros,
    /// What has arrived of its stream with it.
    pub arrived: ArrivedStream,
    /// What it says that the recording lacks or did less.
    pub ledger: LedgerSummary,
    /// When it was claimed.
    pub at: Timestamp,
}

/// A segment cannot be claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentRefused {
    /// The recording is sealed; nothing can be added.
    #[error("the recording is sealed; nothing can be added to it")]
    Sealed,
    /// It was closed when its agent was removed.
    #[error("the recording was closed when its agent was removed; nothing can be added to it")]
    Closed,
    /// Another number is expected.
    #[error("segment {expected} is expected next, not {offered}")]
    OutOfOrder {
        /// The number that is expected.
        expected: u32,
        /// The number that was offered.
        offered: u32,
    },
    /// Its chain value does not continue the recording's.
    #[error("the segment does not continue the chain of the segments before it")]
    ChainBroken,
    /// Its times run backwards.
    #[error("the segment's times run backwards")]
    TimesRunBackwards,
    /// Its times lie beyond what is kept, which no session reaches.
    #[error("the segment's times are beyond 9223372036854775807 microseconds")]
    TimesTooLate,
}

/// A segment whose stored bytes were read back and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSegment {
    /// Its number.
    pub number: u32,
    /// Its stored size in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: ContentHash,
    /// The chain value before it, as its own header says.
    pub chain_before: ChainValue,
    /// The chain value after it, computed from its bytes.
    pub chain_after: ChainValue,
    /// The time of its first event.
    pub first_at: Micros,
    /// The time of its last event.
    pub last_at: Micros,
    /// What it says that the recording lacks or did less.
    pub ledger: LedgerSummary,
}

/// Decides whether a segment continues its stream.
///
/// # Errors
/// [`SegmentRefused`] says what does not fit. The caller handles a segment that was claimed before: it compares it with
/// what is stored and gives the same answer again.
pub fn acknowledge(
    recording: &Recording,
    arrived: &ArrivedStream,
    segment: CheckedSegment,
    now: Timestamp,
) -> Result<SegmentAcknowledged, SegmentRefused> {
    match &recording.state {
        RecordingState::Open | RecordingState::Abandoned { .. } => {}
        RecordingState::Closed { .. } => return Err(SegmentRefused::Closed),
        RecordingState::Sealed { .. } | RecordingState::Delivered { .. } => {
            return Err(SegmentRefused::Sealed);
        }
    }
    if segment.number != arrived.segments {
        return Err(SegmentRefused::OutOfOrder { expected: arrived.segments, offered: segment.number });
    }
    if segment.chain_before != arrived.chain {
        return Err(SegmentRefused::ChainBroken);
    }
    if segment.first_at < arrived.last_at || segment.last_at < segment.first_at {
        return Err(SegmentRefused::TimesRunBackwards);
    }
    // A database keeps signed numbers: another time would be stored than the manifest will name.
    if i64::try_from(segment.last_at.get()).is_err() {
        return Err(SegmentRefused::TimesTooLate);
    }
    Ok(SegmentAcknowledged {
        token: recording.token.clone(),
        number: segment.number,
        length: segment.length,
        sha256: segment.sha256,
        first_at: segment.first_at,
        arrived: ArrivedStream {
            stream: arrived.stream,
            segments: arrived.segments + 1,
            stored_bytes: arrived.stored_bytes + segment.length,
            chain: segment.chain_after,
            last_at: segment.last_at,
        },
        ledger: segment.ledger,
        at: now,
    })
}

/// A decided seal, for `persistence::Store::apply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingSealed {
    /// The recording.
    pub token: TerminalSessionToken,
    /// How many segments of all streams had arrived when it was decided; one that comes between makes it be decided anew.
    pub segments: u32,
    /// When the session ended.
    pub ended_at: Timestamp,
    /// How.
    pub end: SessionEnd,
    /// SHA-256 of the manifest's bytes.
    pub manifest_sha256: ContentHash,
    /// What the recording lacks or did less, if that was not kept while its segments arrived and the manifest says it.
    pub ledger: Option<LedgerSummary>,
    /// When it was sealed.
    pub at: Timestamp,
}

/// A recording cannot be sealed as its manifest asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealRefused {
    /// It was sealed by another manifest.
    #[error("the recording was sealed before, by another manifest")]
    AlreadySealed,
    /// It was closed when its agent was removed.
    #[error("the recording was closed when its agent was removed; it cannot be sealed any more")]
    Closed,
    /// The manifest's segments are not those that arrived.
    #[error("the manifest lists {listed} segments of the stream {stream}, and {arrived} arrived")]
    SegmentsDiffer {
        /// Of which stream.
        stream: Stream,
        /// Segments in the manifest.
        listed: u32,
        /// Segments that arrived.
        arrived: u32,
    },
    /// The manifest ends the chain elsewhere.
    #[error(
        "the manifest's last chain value of the stream {stream} is not that of the segments which arrived"
    )]
    ChainDiffers {
        /// Of which stream.
        stream: Stream,
    },
    /// The session would end before it started.
    #[error("the manifest says that the session ended before it started")]
    EndsBeforeStart,
}

/// What a manifest whose signature was checked says about the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedManifest {
    /// Its streams, each once.
    pub streams: Vec<CheckedStream>,
    /// When the session ended.
    pub ended_at: Timestamp,
    /// How.
    pub end: SessionEnd,
    /// SHA-256 of its exact bytes.
    pub sha256: ContentHash,
    /// What its ledgers say together; `None` when a stream has none.
    pub ledger: Option<LedgerSummary>,
}

/// What a manifest says about one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedStream {
    /// Which stream.
    pub stream: Stream,
    /// How many segments it lists.
    pub segments: u32,
    /// The chain value after the last one.
    pub chain: ChainValue,
}

/// Decides whether a manifest seals its recording, of whose streams this has arrived.
///
/// # Errors
/// [`SealRefused`] says what does not fit. The caller handles a repeated manifest, as with segments.
pub fn seal(
    recording: &Recording,
    arrived: &[ArrivedStream],
    manifest: CheckedManifest,
    now: Timestamp,
) -> Result<RecordingSealed, SealRefused> {
    match &recording.state {
        RecordingState::Open | RecordingState::Abandoned { .. } => {}
        RecordingState::Closed { .. } => return Err(SealRefused::Closed),
        RecordingState::Sealed { .. } | RecordingState::Delivered { .. } => {
            return Err(SealRefused::AlreadySealed);
        }
    }
    for stream in arrived {
        let stream_of = |listed: &&CheckedStream| listed.stream == stream.stream;
        let listed = manifest.streams.iter().find(stream_of);
        let (segments, chain) = listed.map_or((0, stream.chain), |listed| (listed.segments, listed.chain));
        if segments != stream.segments {
            let (stream, arrived) = (stream.stream, stream.segments);
            return Err(SealRefused::SegmentsDiffer { stream, listed: segments, arrived });
        }
        if chain != stream.chain {
            return Err(SealRefused::ChainDiffers { stream: stream.stream });
        }
    }
    let has_arrived = |stream: Stream| arrived.iter().any(|arrived| arrived.stream == stream);
    if let Some(other) = manifest.streams.iter().find(|listed| !has_arrived(listed.stream)) {
        let (stream, listed) = (other.stream, other.segments);
        return Err(SealRefused::SegmentsDiffer { stream, listed, arrived: 0 });
    }
    if manifest.ended_at < recording.started_at {
        return Err(SealRefused::EndsBeforeStart);
    }
    Ok(RecordingSealed {
        token: recording.token.clone(),
        segments: recording.arrived.segments,
        ended_at: manifest.ended_at,
        end: manifest.end,
        manifest_sha256: manifest.sha256,
        // What was read in the segments is not replaced by what the agent says of them.
        ledger: if recording.ledger.is_none() { manifest.ledger } else { None },
        at: now,
    })
}

/// Every evidence object is in the bucket, for `persistence::Store::apply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingDelivered {
    /// The recording.
    pub token: TerminalSessionToken,
    /// When that was known.
    pub at: Timestamp,
}
