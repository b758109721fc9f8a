//! The rows that this control plane wrote last, for the export. Reading them back costs more than writing them, so that they
//! are handed over in memory; whatever is not here is read from the database, which has all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::chain::{ChainedEvent, Link};
use crate::audit::event::WrittenEvent;

/// The most rows that wait for the export. When it stands still they stay in the database alone.
const MOST: usize = 16_384;

/// Rows of one chain that follow one another.
#[derive(Default)]
pub(super) struct Recent(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    writer_id: String,
    rows: VecDeque<(Link, Arc<WrittenEvent>)>,
}

impl Rows {
    fn begins_at(&self, writer_id: &str, sequence: u64) -> bool {
        self.writer_id == writer_id && self.rows.front().is_some_and(|(link, _)| link.sequence == sequence)
    }

    fn continues_at(&self, writer_id: &str, sequence: u64) -> bool {
        self.writer_id == writer_id && self.rows.back().is_some_and(|(link, _)| link.sequence + 1 == sequence)
    }
}

impl Recent {
    /// Adds rows that are committed, and that follow one another.
    pub(super) fn add(&self, writer_id: &str, added: &[(Link, &Arc<WrittenEvent>)]) {
        let Some((first, _)) = added.first() else { return };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.continues_at(writer_id, first.sequence) {
            *kept = Rows { writer_id: writer_id.to_owned(), rows: VecDeque::new() };
        }
        kept.rows.extend(added.iter().map(|(link, event)| (*link, Arc::clone(event))));
        let too_many = kept.rows.len().saturating_sub(MOST);
        kept.rows.drain(..too_many);
    }

    /// Takes out the rows that follow this one, at most so many. `None` when the next one is not here.
    pub(super) fn take_after(&self, writer_id: &str, sequence: u64, most: u64) -> Option<Vec<ChainedEvent>> {
        let taken: Vec<_> = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those were read from the database.
            while kept.rows.front().is_some_and(|(link, _)| link.sequence <= sequence)
                && kept.writer_id == writer_id
            {
                kept.rows.pop_front();
            }
            if !kept.begins_at(writer_id, sequence + 1) {
                return None;
            }
            let many = kept.rows.len().min(usize::try_from(most).unwrap_or(usize::MAX));
            kept.rows.drain(..many).collect()
        };
        let chained = |(link, event): (Link, Arc<WrittenEvent>)| ChainedEvent {
            writer_id: writer_id.to_owned(),
            sequence: link.sequence,
            chain: hex::encode(link.chain),
            event: Arc::unwrap_or_clone(event),
        };
        Some(taken.into_iter().map(chained).collect())
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use domain::audit::{AuditDecision, AuditEvent};

    use super::*;

    fn add(recent: &Recent, writer_id: &str, sequences: std::ops::RangeInclusive<u64>) {
        let events: Vec<_> = sequences.map(|sequence| (sequence, Arc::new(event(sequence)))).collect();
        let links = events
            .iter()
            .map(|(sequence, event)| (Link { sequence: *sequence, chain: [*sequence as u8; 32] }, event));
        recent.add(writer_id, &links.collect::<Vec<_>>());
    }

    fn event(sequence: u64) -> WrittenEvent {
        WrittenEvent::of(AuditEvent {
            request_id: sequence.to_string(),
            at: Timestamp::from_millis(0),
            account: "1609982529000000".parse().unwrap(),
            principal: String::new(),
            access_key_id: None,
            action: String::new(),
            resource: String::new(),
            decision: AuditDecision::NotAsked,
            result: String::new(),
            source_address: None,
            user_agent: String::new(),
            recording: None,
            how: String::new(),
        })
    }

    /// The numbers of the rows that are taken.
    fn take(recent: &Recent, writer_id: &str, after: u64, most: u64) -> Option<Vec<u64>> {
        let taken = recent.take_after(writer_id, after, most)?;
        for row in &taken {
            assert_eq!((row.writer_id.as_str(), &row.event), (writer_id, &event(row.sequence)));
            assert_eq!(row.chain, hex::encode([row.sequence as u8; 32]));
        }
        Some(taken.iter().map(|row| row.sequence).collect())
    }

    #[test]
    fn rows_are_taken_in_their_order_and_none_is_passed_over() {
        let recent = Recent::default();
        assert_eq!(take(&recent, "one", 0, 10), None);
        add(&recent, "one", 1..=3);
        add(&recent, "one", 4..=5);
        assert_eq!(take(&recent, "other", 0, 10), None);
        assert_eq!(take(&recent, "one", 0, 2), Some(vec![1, 2]));
        assert_eq!(take(&recent, "one", 1, 10), None, "the second was taken, and is in the database alone");
        assert_eq!(take(&recent, "one", 3, 10), Some(vec![4, 5]), "the third was read there");
        assert_eq!(take(&recent, "one", 5, 10), None);
        // The seventh was committed, and nobody here knows it.
        add(&recent, "one", 6..=6);
        add(&recent, "one", 8..=9);
        assert_eq!(take(&recent, "one", 5, 10), None);
        assert_eq!(take(&recent, "one", 7, 10), Some(vec![8, 9]));
        add(&recent, "one", 10..=10);
        add(&recent, "another", 1..=1);
        assert_eq!(take(&recent, "one", 9, 10), None);
        assert_eq!(take(&recent, "another", 0, 10), Some(vec![1]));
    }

    #[test]
    fn what_nobody_takes_has_a_bound() {
        let recent = Recent::default();
        let most = MOST as u64;
        add(&recent, "one", 1..=most);
        add(&recent, "one", most + 1..=most + 7);
        assert_eq!(take(&recent, "one", 0, 10), None);
        assert_eq!(take(&recent, "one", 7, u64::MAX).unwrap().len(), MOST);
    }
}
