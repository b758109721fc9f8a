//! What the ledgers of all streams say of each kind, for lists.

use serde::{Deserialize, Serialize};

use super::{Cause, LedgerEntry, ShortfallKind, StreamLedger, is_zero};
use crate::timestamp::Micros;

/// What there is of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindSummary {
    /// Of which kind.
    pub kind: ShortfallKind,
    /// How often it happened.
    pub count: u64,
    /// When the first happened.
    pub first_at: Micros,
    /// When the last happened.
    pub last_at: Micros,
    /// How many bytes are known to be lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_bytes: u64,
    /// How many events are known to be lost.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_events: u64,
    /// Why the first happened, in words for a reader.
    pub reason: String,
}

impl KindSummary {
    /// All of it in one sentence without a full stop. The reason must be sanitised where it is shown.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { kind, count, first_at, last_at, lost_bytes, lost_events, reason } = self.clone();
        LedgerEntry {
            kind,
            cause: Cause::UNSTATED,
            first_at,
            last_at,
            count,
            lost_bytes,
            lost_events,
            reason,
        }
        .sentence()
    }
}

/// At most one summary of each kind, in the order of the kinds. Those of parts make that of the whole.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LedgerSummary(Vec<KindSummary>);

impl LedgerSummary {
    /// What is known of each kind that there is anything of.
    #[must_use]
    pub fn kinds(&self) -> &[KindSummary] {
        &self.0
    }

    /// Whether there is nothing of any kind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same without reasons: so it is short, and has nothing in it that a session wrote.
    #[must_use]
    pub fn without_reasons(mut self) -> Self {
        self.0.iter_mut().for_each(|kind| kind.reason.clear());
        self
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        other.0.iter().for_each(|kind| self.add(kind.clone()));
        self
    }

    /// With another stream's.
    #[must_use]
    pub fn with(mut self, ledger: &StreamLedger) -> Self {
        for entry in ledger.entries() {
            let LedgerEntry { kind, first_at, last_at, count, lost_bytes, lost_events, reason, .. } =
                entry.clone();
            self.add(KindSummary { kind, count, first_at, last_at, lost_bytes, lost_events, reason });
        }
        self
    }

    fn add(&mut self, other: KindSummary) {
        match self.0.binary_search_by_key(&other.kind, |known| known.kind) {
            Err(place) => self.0.insert(place, other),
            Ok(place) => {
                let known = &mut self.0[place];
                if other.first_at < known.first_at {
                    known.first_at = other.first_at;
                    known.reason = other.reason;
                }
                known.last_at = known.last_at.max(other.last_at);
                known.count = known.count.saturating_add(other.count);
                known.lost_bytes = known.lost_bytes.saturating_add(other.lost_bytes);
                known.lost_events = known.lost_events.saturating_add(other.lost_events);
            }
        }
    }
}

impl From<&StreamLedger> for LedgerSummary {
    fn from(ledger: &StreamLedger) -> Self {
        Self::default().with(ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Cause, Shortfall};

    #[test]
    fn summaries_of_parts_make_the_summary_of_the_whole() {
        let shortfall = |kind, reason: &str| Shortfall::new(kind, Cause::OTHER, reason).with_lost_bytes(2);
        let happened = [
            (5, shortfall(ShortfallKind::StatedLimit, "too long")),
            (7, shortfall(ShortfallKind::Gap, "first")),
            (9, shortfall(ShortfallKind::Gap, "second").counted(3, Micros::new(6))),
        ];
        let of = |happened: &[(u64, Shortfall)]| {
            let mut ledger = StreamLedger::default();
            happened.iter().for_each(|(at, shortfall)| ledger.add(Micros::new(*at), shortfall));
            LedgerSummary::from(&ledger)
        };
        let whole = of(&happened);
        let [gap, limit] = whole.kinds() else { panic!("{whole:?}") };
        assert_eq!((gap.kind, limit.kind), (ShortfallKind::Gap, ShortfallKind::StatedLimit));
        assert_eq!((gap.count, gap.lost_bytes), (4, 4));
        assert_eq!((gap.first_at, gap.last_at), (Micros::new(6), Micros::new(9)));
        let parts = of(&happened[..2]).plus(&of(&happened[2..]));
        assert_eq!(parts.kinds()[0].count, 4);
        assert_eq!(parts.kinds()[1], whole.kinds()[1]);
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<LedgerSummary>(&text).unwrap(), whole);
    }
}
