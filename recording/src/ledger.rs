//! The loss ledger: what a recording lacks, and what it was told to do less, each with its times.
//!
//! Whoever records writes a [`Shortfall`] where it happens: into the spool ([`RecordKind::SHORTFALL`](crate::RecordKind)), and so into
//! the lines of a stream. Equal ones are merged into the [`LedgerEntry`] that the manifest lists, so that a manifest stays small
//! whatever a session does, and [`verify`](crate::verify()) makes the same entries from the segments again.

mod stream;
mod summary;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spool::MAX_REASON_BYTES;
use crate::timestamp::Micros;

pub use stream::{LedgerDiffers, LedgerEntry, MOST_CAUSES, StreamLedger};
pub use summary::{KindSummary, LedgerSummary};

/// The kinds of shortfalls. There are no others in this version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortfallKind {
    /// A stretch is missing, and nobody chose that it should be.
    Gap,
    /// Something was captured, or could have been, and was thrown away.
    Drop,
    /// Something was recorded without its end.
    Truncation,
    /// There was more at once than is recorded.
    RateLimit,
    /// More is not recorded than a limit that was stated before, and what stands in its place is.
    StatedLimit,
    /// The recording went on with less than its configuration asks for.
    DegradedMode,
}

impl ShortfallKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Gap, Self::Drop, Self::Truncation, Self::RateLimit, Self::StatedLimit, Self::DegradedMode];

    /// The kind's name in documents and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Drop => "drop",
            Self::Truncation => "truncation",
            Self::RateLimit => "rate_limit",
            Self::StatedLimit => "stated_limit",
            Self::DegradedMode => "degraded_mode",
        }
    }

    /// The kind's name for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Drop => "drop",
            Self::Truncation => "truncation",
            Self::RateLimit => "rate limit",
            Self::StatedLimit => "stated limit",
            Self::DegradedMode => "degraded mode",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the recording lacks something by it: then it is complete with loss. A stated limit and a degraded mode
    /// leave the verdict as it is.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        match self {
            Self::Gap | Self::Drop | Self::Truncation | Self::RateLimit => true,
            Self::StatedLimit | Self::DegradedMode => false,
        }
    }
}

impl fmt::Display for ShortfallKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Why, for a program: lower-case letters, digits and underscores, the first a letter. Later versions add some.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cause(Cow<'static, str>);

/// The text is not a [`Cause`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no cause, which has 1 to {MOST} lower-case letters, digits and underscores, the first a letter", MOST = Cause::LONGEST_BYTES)]
pub struct InvalidCause(String);

impl Cause {
    /// The longest cause.
    pub const LONGEST_BYTES: usize = 40;

    /// A gap that says no cause: recorders that knew no ledger wrote no other.
    pub const UNSTATED: Self = Self::new("unstated");
    /// Stands in the manifest for further causes when a stream has very many.
    pub const OTHER: Self = Self::new("other");
    /// Part of the spool cannot be read.
    pub const SPOOL_DAMAGED: Self = Self::new("spool_damaged");
    /// The spool is not as its recorder wrote it.
    pub const SPOOL_TAMPERED: Self = Self::new("spool_tampered");
    /// The recorder could write no more to the spool.
    pub const SPOOL_FAILED: Self = Self::new("spool_failed");
    /// The session was ended before its command had ended by itself: by an administrator, or by a limit.
    pub const SESSION_ENDED: Self = Self::new("session_ended");
    /// The session was broken off, although there was room for its recording: its person's side was gone, or its command could not
    /// begin, or not be read.
    pub const SESSION_BROKEN_OFF: Self = Self::new("session_broken_off");
    /// The recordings of the person took too much of the spool, or the session's own became too long, and the session went on
    /// without it.
    pub const SPOOL_LIMIT: Self = Self::new("spool_limit");
    /// The spool ends in the middle of a record.
    pub const RECORD_TORN: Self = Self::new("record_torn");
    /// The agent does not understand a record of the spool.
    pub const RECORD_NOT_UNDERSTOOD: Self = Self::new("record_not_understood");
    /// A record's time was ahead of the clock, and the clock's was taken instead.
    pub const TIME_AHEAD_OF_CLOCK: Self = Self::new("time_ahead_of_clock");
    /// An exit record is not believed.
    pub const EXIT_NOT_BELIEVED: Self = Self::new("exit_not_believed");
    /// The recorder went on after its exit record.
    pub const RECORDER_CONTINUED: Self = Self::new("recorder_continued");

    /// The control plane did not acknowledge what was shown for too long: the session went on as if it were delivered `async`.
    pub const DELIVERY_NOT_ACKNOWLEDGED: Self = Self::new("delivery_not_acknowledged");

    /// A cause that a program knows. It is checked when it is compiled, in a constant.
    ///
    /// # Panics
    /// The text is not a cause.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        assert!(is_cause(text), "a cause has 1 to 40 lower-case letters, digits and underscores");
        Self(Cow::Borrowed(text))
    }

    /// The cause of this text.
    ///
    /// # Errors
    /// It is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Result<Self, InvalidCause> {
        if is_cause(text) { Ok(Self(text.to_owned().into())) } else { Err(InvalidCause(text.to_owned())) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_cause(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > Cause::LONGEST_BYTES || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut place = 0;
    while place < bytes.len() {
        if !matches!(bytes[place], b'a'..=b'z' | b'0'..=b'9' | b'_') {
            return false;
        }
        place += 1;
    }
    true
}

impl TryFrom<String> for Cause {
    type Error = InvalidCause;

    fn try_from(text: String) -> Result<Self, InvalidCause> {
        Self::parse(&text)
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> Self {
        cause.0.into_owned()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Something that a recording lacks or did less, as whoever noticed it writes it. Its time is that of its record or line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct Shortfall {
    /// Of which kind.
    pub kind: ShortfallKind,
    /// Why, for a program.
    pub cause: Cause,
    /// Why, in words for a reader.
    pub reason: String,
    /// How many bytes are known to be lost; 0 when that is not known.
    pub lost_bytes: u64,
    /// How many events are known to be lost; 0 when that is not known.
    pub lost_events: u64,
    /// How often it happened; at least once.
    pub count: u64,
    /// When it happened first, if that was before.
    pub since: Option<Micros>,
}

impl Shortfall {
    /// One that happened once, with nothing known to be lost. A reason that is too long for the spool is cut.
    #[must_use]
    pub fn new(kind: ShortfallKind, cause: Cause, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        Self { kind, cause, reason, lost_bytes: 0, lost_events: 0, count: 1, since: None }
    }

    /// A gap without a stated cause.
    pub(crate) fn unstated(reason: String, lost_bytes: u64) -> Self {
        let (kind, cause) = (ShortfallKind::Gap, Cause::UNSTATED);
        Self { kind, cause, reason, lost_bytes, lost_events: 0, count: 1, since: None }
    }

    /// With so many bytes that are known to be lost.
    #[must_use]
    pub fn with_lost_bytes(self, lost_bytes: u64) -> Self {
        Self { lost_bytes, ..self }
    }

    /// With so many events that are known to be lost.
    #[must_use]
    pub fn with_lost_events(self, lost_events: u64) -> Self {
        Self { lost_events, ..self }
    }

    /// That happened so often since a time: whoever counts need not write a record each time.
    #[must_use]
    pub fn counted(self, count: u64, since: Micros) -> Self {
        Self { count: count.max(1), since: Some(since), ..self }
    }

    /// All of it in one sentence without a full stop, as [`LedgerEntry::sentence`] says it.
    #[must_use]
    pub fn sentence(&self, at: Micros) -> String {
        LedgerEntry::of(at, self, self.cause.clone()).sentence()
    }

    /// Whether it says more than a recorder could say that knew no ledger.
    pub(crate) fn is_stated(&self) -> bool {
        is_stated(self.kind, &self.cause)
    }

    /// The same as a recorder said it that knew no ledger; `None` when that would say that something is lost, and nothing is.
    pub(crate) fn without_cause(&self) -> Option<Self> {
        self.kind.is_loss().then(|| Self::unstated(self.reason.clone(), self.lost_bytes))
    }

    /// The same, as it is written at a time.
    pub(crate) fn written_at(&self, at: Micros) -> Self {
        Self { since: self.since.filter(|since| *since < at), ..self.clone() }
    }
}

/// Whether this says more than that there is a gap.
fn is_stated(kind: ShortfallKind, cause: &Cause) -> bool {
    kind != ShortfallKind::Gap || *cause != Cause::UNSTATED
}

/// The members of a shortfall in a line. A gap without a stated cause has only the first two.
#[derive(Serialize, Deserialize)]
struct Text {
    reason: String,
    lost_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<ShortfallKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(default, skip_serializing_if = "is_zero")]
    lost_events: u64,
    #[serde(default = "once", skip_serializing_if = "is_once")]
    count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Micros>,
}

fn once() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_once(count: &u64) -> bool {
    *count == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The members of a line do not make a shortfall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum InvalidShortfall {
    #[error("a kind needs a cause, and a cause a kind")]
    Half,
    #[error("what never happened is no shortfall")]
    Never,
}

impl TryFrom<Text> for Shortfall {
    type Error = InvalidShortfall;

    fn try_from(text: Text) -> Result<Self, InvalidShortfall> {
        let Text { reason, lost_bytes, kind, cause, lost_events, count, since } = text;
        let (kind, cause) = match (kind, cause) {
            (Some(kind), Some(cause)) => (kind, cause),
            (None, None) => (ShortfallKind::Gap, Cause::UNSTATED),
            _ => return Err(InvalidShortfall::Half),
        };
        if count == 0 {
            return Err(InvalidShortfall::Never);
        }
        Ok(Self { kind, cause, reason, lost_bytes, lost_events, count, since })
    }
}

impl From<Shortfall> for Text {
    fn from(shortfall: Shortfall) -> Self {
        let stated = shortfall.is_stated();
        let Shortfall { kind, cause, reason, lost_bytes, lost_events, count, since } = shortfall;
        let (kind, cause) = (stated.then_some(kind), stated.then_some(cause));
        Self { reason, lost_bytes, kind, cause, lost_events, count, since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_of_a_recorder_without_a_ledger_reads_back_as_it_was_written() {
        let text = r#"{"reason":"the disk was full","lost_bytes":42}"#;
        let gap: Shortfall = serde_json::from_str(text).unwrap();
        assert_eq!(gap, Shortfall::unstated("the disk was full".to_owned(), 42));
        assert_eq!(serde_json::to_string(&gap).unwrap(), text);
        assert!(!gap.is_stated());
    }

    #[test]
    fn a_shortfall_reads_back_with_everything_it_says() {
        for kind in ShortfallKind::ALL {
            assert_eq!(ShortfallKind::parse(kind.as_str()), Some(kind));
            let shortfall = Shortfall::new(kind, Cause::new("too_much"), "there was too much")
                .with_lost_bytes(7)
                .with_lost_events(3)
                .counted(9, Micros::new(5));
            let text = serde_json::to_string(&shortfall).unwrap();
            assert_eq!(serde_json::from_str::<Shortfall>(&text).unwrap(), shortfall, "{text}");
            assert!(text.contains(&format!("\"kind\":\"{kind}\",\"cause\":\"too_much\"")), "{text}");
        }
    }

    #[test]
    fn what_is_no_shortfall_is_refused() {
        for text in [
            r#"{"reason":"r","lost_bytes":0,"kind":"gap"}"#,
            r#"{"reason":"r","lost_bytes":0,"cause":"a"}"#,
            r#"{"reason":"r","lost_bytes":0,"kind":"loss","cause":"a"}"#,
            r#"{"reason":"r","lost_bytes":0,"kind":"gap","cause":"A"}"#,
            r#"{"reason":"r","lost_bytes":0,"kind":"gap","cause":""}"#,
            r#"{"reason":"r","lost_bytes":0,"kind":"gap","cause":"a","count":0}"#,
            r#"{"reason":"r","lost_bytes":-1}"#,
            r#"{"lost_bytes":1}"#,
        ] {
            assert!(serde_json::from_str::<Shortfall>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let reason = "€".repeat(MAX_REASON_BYTES);
        let shortfall = Shortfall::new(ShortfallKind::Drop, Cause::OTHER, reason);
        assert!(shortfall.reason.len() <= MAX_REASON_BYTES && shortfall.reason.ends_with('€'));
    }
}
