//! The ledger of one stream, as its manifest lists it.

use serde::{Deserialize, Serialize};

use super::{Cause, Shortfall, ShortfallKind, is_stated, is_zero};
use crate::timestamp::Micros;

/// The most causes that a stream's ledger tells apart, of all kinds together. Further ones are merged into one entry of
/// each kind, so that no session makes a manifest large.
pub const MOST_CAUSES: usize = 24;

/// The most entries of a stream's ledger.
const MOST_ENTRIES: usize = MOST_CAUSES + ShortfallKind::ALL.len();

/// The longest reason in an entry, in bytes.
const LONGEST_REASON_BYTES: usize = 240;

/// Shortfalls of one kind and cause in one stream, merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Of which kind.
    pub kind: ShortfallKind,
    /// Why, for a program.
    pub cause: Cause,
    /// When the first happened.
    pub first_at: Micros,
    /// When the last happened.
    pub last_at: Micros,
    /// How often.
    pub count: u64,
    /// How many bytes are known to be lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_bytes: u64,
    /// How many events are known to be lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_events: u64,
    /// Why the first happened, in words for a reader; the beginning of it where it is long.
    pub reason: String,
}

impl LedgerEntry {
    /// The entry of one shortfall, which happened at this time.
    pub(super) fn of(at: Micros, shortfall: &Shortfall, cause: Cause) -> Self {
        Self {
            kind: shortfall.kind,
            cause,
            first_at: shortfall.since.map_or(at, |since| since.min(at)),
            last_at: at,
            count: shortfall.count,
            lost_bytes: shortfall.lost_bytes,
            lost_events: shortfall.lost_events,
            reason: shortened(&shortfall.reason),
        }
    }

    /// All of it in one sentence without a full stop: what, when, why, and what is lost. The reason is as whoever noticed it wrote
    /// it, and must be sanitised where it is shown.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { kind, cause, first_at, last_at, count, lost_bytes, lost_events, reason } = self;
        let cause = if *cause == Cause::UNSTATED { String::new() } else { format!(" ({cause})") };
        let when = match count {
            1 => format!("at {first_at} s"),
            _ if first_at == last_at => format!("{count} times at {first_at} s"),
            _ => format!("{count} times from {first_at} s to {last_at} s"),
        };
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        format!("{}{cause} {when}{why}{}", kind.words(), lost(*lost_bytes, *lost_events))
    }

    /// Takes in another one. The reason stays that of the first.
    fn merge(&mut self, other: &Self) {
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
        self.count = self.count.saturating_add(other.count);
        self.lost_bytes = self.lost_bytes.saturating_add(other.lost_bytes);
        self.lost_events = self.lost_events.saturating_add(other.lost_events);
    }
}

/// What is known to be lost, behind a sentence.
pub(super) fn lost(bytes: u64, events: u64) -> String {
    let of = |count: u64, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{count} {what}s")),
    };
    let lost: Vec<String> = [of(bytes, "byte"), of(events, "event")].into_iter().flatten().collect();
    if lost.is_empty() { String::new() } else { format!(" ({} lost)", lost.join(" and ")) }
}

/// The beginning of a long reason, with a mark that there was more.
fn shortened(reason: &str) -> String {
    if reason.len() <= LONGEST_REASON_BYTES {
        return reason.to_owned();
    }
    let mark = "…";
    let end = reason.floor_char_boundary(LONGEST_REASON_BYTES - mark.len());
    format!("{}{mark}", &reason[..end])
}

/// What a stream lacks and did less, in the order in which it first happened. It is made by taking one shortfall after the
/// other, so that everybody who reads the stream makes the same ledger.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<LedgerEntry>", into = "Vec<LedgerEntry>")]
pub struct StreamLedger(Vec<LedgerEntry>);

/// A stream's ledger has more entries than any can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger of a stream has at most {MOST_ENTRIES} entries, not {0}")]
pub struct TooManyEntries(usize);

impl TryFrom<Vec<LedgerEntry>> for StreamLedger {
    type Error = TooManyEntries;

    fn try_from(entries: Vec<LedgerEntry>) -> Result<Self, TooManyEntries> {
        if entries.len() > MOST_ENTRIES { Err(TooManyEntries(entries.len())) } else { Ok(Self(entries)) }
    }
}

impl From<StreamLedger> for Vec<LedgerEntry> {
    fn from(ledger: StreamLedger) -> Self {
        ledger.0
    }
}

/// How the ledger of a manifest differs from the one that its segments make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerDiffers {
    /// The manifest has none, although it would need one.
    #[error("it has no ledger, and its segments have entries for one")]
    Missing,
    /// An entry is not in the manifest.
    #[error("its ledger hides an entry that its segments have")]
    Hidden,
    /// An entry is in the manifest alone.
    #[error("its ledger has an entry that its segments do not have")]
    Invented,
    /// An entry, or the order of entries, is another one.
    #[error("its ledger has other times, counts or reasons than its segments")]
    Otherwise,
}

impl StreamLedger {
    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[LedgerEntry] {
        &self.0
    }

    /// Takes the next shortfall of the stream, from a line of this time.
    pub fn add(&mut self, at: Micros, shortfall: &Shortfall) {
        let entry = |cause: &Cause| {
            self.0.iter().position(|entry| entry.kind == shortfall.kind && entry.cause == *cause)
        };
        let told_apart = || self.0.iter().filter(|entry| entry.cause != Cause::OTHER).count();
        let (found, cause) = match entry(&shortfall.cause) {
            None if shortfall.cause != Cause::OTHER && told_apart() >= MOST_CAUSES => {
                (entry(&Cause::OTHER), Cause::OTHER)
            }
            found => (found, shortfall.cause.clone()),
        };
        let one = LedgerEntry::of(at, shortfall, cause);
        match found {
            Some(place) => self.0[place].merge(&one),
            None => self.0.push(one),
        }
    }

    /// Whether anything is lost.
    #[must_use]
    pub fn has_loss(&self) -> bool {
        self.0.iter().any(|entry| entry.kind.is_loss())
    }

    /// Compares what a manifest lists with this ledger, which the segments make. Manifests that were made before there was a
    /// ledger have none, and the gaps of their segments state no cause.
    ///
    /// # Errors
    /// They differ.
    pub fn agrees_with(&self, listed: Option<&Self>) -> Result<(), LedgerDiffers> {
        let Some(listed) = listed else {
            let needed = self.0.iter().any(|entry| is_stated(entry.kind, &entry.cause));
            return if needed { Err(LedgerDiffers::Missing) } else { Ok(()) };
        };
        let lacks = |one: &Self, other: &Self| {
            let same = |a: &LedgerEntry, b: &LedgerEntry| (a.kind, &a.cause) == (b.kind, &b.cause);
            one.0.iter().any(|entry| !other.0.iter().any(|of_other| same(entry, of_other)))
        };
        if self == listed {
            Ok(())
        } else if lacks(self, listed) {
            Err(LedgerDiffers::Hidden)
        } else if lacks(listed, self) {
            Err(LedgerDiffers::Invented)
        } else {
            Err(LedgerDiffers::Otherwise)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shortfalls() -> impl Strategy<Value = Vec<(u64, Shortfall)>> {
        let kind = (0..ShortfallKind::ALL.len()).prop_map(|place| ShortfallKind::ALL[place]);
        let one = (kind, "[a-c][a-z]{0,1}", ".{0,300}", any::<u64>(), 1..=u64::MAX, any::<Option<u64>>());
        let one = one.prop_map(|(kind, cause, reason, lost_bytes, count, since)| Shortfall {
            lost_bytes,
            count,
            since: since.map(Micros::new),
            ..Shortfall::new(kind, Cause::parse(&cause).unwrap(), reason)
        });
        proptest::collection::vec((0..1_000u64, one), 0..200)
    }

    fn ledger_of(shortfalls: &[(u64, Shortfall)]) -> StreamLedger {
        let mut ledger = StreamLedger::default();
        let mut at = 0;
        for (pause, shortfall) in shortfalls {
            at += pause;
            ledger.add(Micros::new(at), shortfall);
        }
        ledger
    }

    proptest! {
        #[test]
        fn a_ledger_is_small_and_forgets_nothing(shortfalls in shortfalls()) {
            let ledger = ledger_of(&shortfalls);
            let text = serde_json::to_string(&ledger).unwrap();
            prop_assert!(ledger.entries().len() <= MOST_ENTRIES);
            prop_assert!(text.len() <= MOST_ENTRIES * 1_800, "{}", text.len());
            prop_assert_eq!(&serde_json::from_str::<StreamLedger>(&text).unwrap(), &ledger);
            for kind in ShortfallKind::ALL {
                let of_kind = shortfalls.iter().filter(|(_, shortfall)| shortfall.kind == kind);
                let (count, lost_bytes) = of_kind.fold((0u64, 0u64), |(count, lost), (_, one)| {
                    (count.saturating_add(one.count), lost.saturating_add(one.lost_bytes))
                });
                let entries = ledger.entries().iter().filter(|entry| entry.kind == kind);
                let counted = entries.fold((0u64, 0u64), |(count, lost), entry| {
                    (count.saturating_add(entry.count), lost.saturating_add(entry.lost_bytes))
                });
                prop_assert_eq!(counted, (count, lost_bytes));
            }
            let lost = shortfalls.iter().any(|(_, shortfall)| shortfall.kind.is_loss());
            prop_assert_eq!(ledger.has_loss(), lost);
            prop_assert!(ledger.agrees_with(Some(&ledger)).is_ok());
        }

        #[test]
        fn a_ledger_that_hides_or_invents_an_entry_is_found(shortfalls in shortfalls(), place: prop::sample::Index) {
            let ledger = ledger_of(&shortfalls);
            prop_assume!(!ledger.0.is_empty());
            let mut hiding = ledger.clone();
            hiding.0.remove(place.index(ledger.0.len()));
            prop_assert_eq!(ledger.agrees_with(Some(&hiding)), Err(LedgerDiffers::Hidden));
            prop_assert_eq!(hiding.agrees_with(Some(&ledger)), Err(LedgerDiffers::Invented));
            let mut fewer = ledger.clone();
            fewer.0[place.index(ledger.0.len())].count -= 1;
            prop_assert_eq!(ledger.agrees_with(Some(&fewer)), Err(LedgerDiffers::Otherwise));
        }
    }

    #[test]
    fn an_entry_is_a_sentence() {
        let drop = |count, since| {
            let drop = Shortfall::new(ShortfallKind::RateLimit, Cause::new("too_fast"), "it was too fast");
            drop.with_lost_bytes(1).with_lost_events(2).counted(count, Micros::new(since))
        };
        for (shortfall, sentence) in [
            (Shortfall::unstated("why".to_owned(), 42), "gap at 3.000000 s: why (42 bytes lost)"),
            (
                drop(1, 3_000_000),
                "rate limit (too_fast) at 3.000000 s: it was too fast (1 byte and 2 events lost)",
            ),
            (
                drop(7, 1),
                "rate limit (too_fast) 7 times from 0.000001 s to 3.000000 s: it was too fast (1 byte and 2 events lost)",
            ),
        ] {
            assert_eq!(shortfall.sentence(Micros::new(3_000_000)), sentence);
        }
    }

    #[test]
    fn more_entries_than_any_ledger_has_are_refused() {
        let mut ledger = StreamLedger::default();
        ledger.add(Micros::ZERO, &Shortfall::new(ShortfallKind::Drop, Cause::OTHER, ""));
        let many = vec![ledger.0[0].clone(); MOST_ENTRIES + 1];
        let text = serde_json::to_string(&many).unwrap();
        assert!(serde_json::from_str::<StreamLedger>(&text).is_err());
    }

    #[test]
    fn gaps_without_a_cause_need_no_ledger_and_others_do() {
        let mut ledger = StreamLedger::default();
        ledger.add(Micros::ZERO, &Shortfall::unstated("why".to_owned(), 0));
        assert_eq!(ledger.agrees_with(None), Ok(()));
        ledger.add(Micros::ZERO, &Shortfall::new(ShortfallKind::DegradedMode, Cause::OTHER, "why"));
        assert_eq!(ledger.agrees_with(None), Err(LedgerDiffers::Missing));
    }
}
