//! What of a session's spools the control plane has not acknowledged, and since when: the rule of the delivery mode `sync`.
//!
//! The recorder keeps the time itself. Whoever acknowledges can therefore only let a session go on: while nobody does, it is
//! held and ends, however its agent ended. Its clock stands still while the machine sleeps, when nothing is shown either.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use agent_protocol::capture::SpoolName;
use agent_protocol::recorder::{AcknowledgedSpool, SyncLimits};

/// How many places of a spool have a time of their own at most. What is written between two of them counts as written at
/// the earlier.
const MOST_PLACES: usize = 128;

/// So much may be unacknowledged, however young it is. More is not read from the command: else one that prints without end
/// would be far ahead of any network after ten seconds, and its session would end for that.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// What the delivery mode says of a session now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// What was shown is acknowledged, or young.
    InTime,
    /// What was shown is young, but so much that what is under way should arrive first.
    Much,
    /// Nothing more may be shown: the control plane is late.
    Late,
    /// It was late for as long as it may be.
    GivenUp,
}

/// The spools of a session, and how late they are.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    hold_after: Duration,
    end_after: Duration,
    spools: Vec<Spool>,
    late_since: Option<Instant>,
}

#[derive(Debug)]
struct Spool {
    name: SpoolName,
    written: u64,
    acknowledged: u64,
    /// What is not acknowledged, in order.
    places: VecDeque<Place>,
}

#[derive(Debug)]
struct Place {
    /// When the first of its bytes was written.
    since: Instant,
    up_to: u64,
}

impl Unacknowledged {
    pub(crate) fn new(limits: &SyncLimits, spools: impl IntoIterator<Item = SpoolName>) -> Self {
        let spool = |name| Spool { name, written: 0, acknowledged: 0, places: VecDeque::new() };
        Unacknowledged {
            hold_after: Duration::from_millis(limits.hold_after_millis),
            end_after: Duration::from_millis(limits.end_after_millis),
            spools: spools.into_iter().map(spool).collect(),
            late_since: None,
        }
    }

    /// Notes up to where each spool is written.
    pub(crate) fn note_written(&mut self, lengths: impl IntoIterator<Item = u64>, now: Instant) {
        let apart = self.hold_after / u32::try_from(MOST_PLACES / 2).unwrap_or(1);
        for (spool, length) in self.spools.iter_mut().zip(lengths) {
            if length <= spool.written {
                continue;
            }
            spool.written = length;
            let is_full = spool.places.len() >= MOST_PLACES;
            match spool.places.back_mut() {
                Some(last) if is_full || now.saturating_duration_since(last.since) < apart => {
                    last.up_to = length;
                }
                _ => spool.places.push_back(Place { since: now, up_to: length }),
            }
        }
    }

    /// Notes what the control plane has stored. An error changes nothing.
    pub(crate) fn acknowledge(&mut self, acknowledged: &[AcknowledgedSpool]) -> Result<(), String> {
        for AcknowledgedSpool { spool: name, bytes } in acknowledged {
            let Some(spool) = self.spools.iter().find(|spool| spool.name == *name) else {
                return Err(format!("there is no spool {name}"));
            };
            if *bytes > spool.written {
                return Err(format!("the spool {name} has {} bytes, not {bytes}", spool.written));
            }
        }
        for AcknowledgedSpool { spool: name, bytes } in acknowledged {
            let Some(spool) = self.spools.iter_mut().find(|spool| spool.name == *name) else { continue };
            spool.acknowledged = spool.acknowledged.max(*bytes);
            while spool.places.front().is_some_and(|place| place.up_to <= spool.acknowledged) {
                spool.places.pop_front();
            }
        }
        Ok(())
    }

    /// What holds now.
    pub(crate) fn look(&mut self, now: Instant) -> Delivery {
        let is_late = |oldest: Instant| now.saturating_duration_since(oldest) >= self.hold_after;
        if !self.oldest().is_some_and(is_late) {
            self.late_since = None;
            return if self.bytes() > MOST_BYTES { Delivery::Much } else { Delivery::InTime };
        }
        // From here, and not from the byte: whoever could not run for a while hears first what was acknowledged meanwhile.
        let since = *self.late_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.end_after {
            Delivery::GivenUp
        } else {
            Delivery::Late
        }
    }

    /// How long that holds if nothing is written or acknowledged; `None` if for ever.
    pub(crate) fn until_change(&self, now: Instant) -> Option<Duration> {
        let at = match self.late_since {
            Some(since) => since + self.end_after,
            None => self.oldest()? + self.hold_after,
        };
        Some(at.saturating_duration_since(now))
    }

    /// How many bytes of the spools are not acknowledged.
    pub(crate) fn bytes(&self) -> u64 {
        self.spools.iter().map(|spool| spool.written - spool.acknowledged).sum()
    }

    /// How long a session may be late before it is held.
    pub(crate) fn hold_after(&self) -> Duration {
        self.hold_after
    }

    /// How long it may be late in all.
    pub(crate) fn longest(&self) -> Duration {
        self.hold_after + self.end_after
    }

    fn oldest(&self) -> Option<Instant> {
        self.spools.iter().filter_map(|spool| spool.places.front()).map(|place| place.since).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: SyncLimits = SyncLimits { hold_after_millis: 10_000, end_after_millis: 30_000 };

    fn name(name: &str) -> SpoolName {
        SpoolName::parse(name).unwrap()
    }

    fn new() -> Unacknowledged {
        Unacknowledged::new(&LIMITS, ["terminal", "events"].map(name))
    }

    fn acknowledged(spool: &str, bytes: u64) -> AcknowledgedSpool {
        AcknowledgedSpool { spool: name(spool), bytes }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn output_is_held_when_its_oldest_byte_is_old_and_released_when_that_is_acknowledged() {
        let (mut delivery, began) = (new(), Instant::now());
        let at = |time| began + millis(time);
        assert_eq!(
            (delivery.look(at(100_000)), delivery.until_change(at(100_000))),
            (Delivery::InTime, None)
        );
        delivery.note_written([5, 0], at(0));
        delivery.note_written([9, 0], at(5_000));
        assert_eq!(delivery.until_change(at(4_000)), Some(millis(6_000)));
        assert_eq!(delivery.look(at(9_999)), Delivery::InTime);
        assert_eq!(delivery.look(at(10_000)), Delivery::Late);
        assert_eq!(delivery.until_change(at(11_000)), Some(millis(29_000)));
        assert_eq!(delivery.look(at(39_999)), Delivery::Late);
        delivery.acknowledge(&[acknowledged("terminal", 5)]).unwrap();
        assert_eq!(delivery.look(at(39_999)), Delivery::Late, "the rest is old, too");
        assert_eq!(delivery.bytes(), 4);
        delivery.acknowledge(&[acknowledged("terminal", 9)]).unwrap();
        assert_eq!((delivery.look(at(40_000)), delivery.until_change(at(40_000))), (Delivery::InTime, None));
        // The time begins anew.
        delivery.note_written([10, 0], at(50_000));
        assert_eq!(delivery.look(at(60_000)), Delivery::Late);
        assert_eq!(delivery.look(at(89_999)), Delivery::Late);
        assert_eq!(delivery.look(at(90_000)), Delivery::GivenUp);
    }

    #[test]
    fn every_spool_counts() {
        let (mut delivery, began) = (new(), Instant::now());
        delivery.note_written([5, 7], began);
        delivery.acknowledge(&[acknowledged("terminal", 5)]).unwrap();
        assert_eq!(delivery.look(began + millis(10_000)), Delivery::Late);
        delivery.acknowledge(&[acknowledged("events", 7)]).unwrap();
        assert_eq!(delivery.look(began + millis(10_000)), Delivery::InTime);
    }

    #[test]
    fn much_output_waits_for_what_is_under_way() {
        let (mut delivery, began) = (new(), Instant::now());
        delivery.note_written([MOST_BYTES, 0], began);
        assert_eq!(delivery.look(began), Delivery::InTime);
        delivery.note_written([MOST_BYTES, 1], began);
        assert_eq!(delivery.look(began + millis(9_999)), Delivery::Much);
        assert_eq!(delivery.look(began + millis(10_000)), Delivery::Late);
        delivery.acknowledge(&[acknowledged("terminal", MOST_BYTES)]).unwrap();
        delivery.acknowledge(&[acknowledged("events", 1)]).unwrap();
        assert_eq!(delivery.look(began + millis(10_000)), Delivery::InTime);
    }

    #[test]
    fn whoever_could_not_run_is_held_first_and_not_given_up() {
        let (mut delivery, began) = (new(), Instant::now());
        delivery.note_written([5, 0], began);
        assert_eq!(delivery.look(began + millis(500_000)), Delivery::Late);
        assert_eq!(delivery.look(began + millis(529_999)), Delivery::Late);
        assert_eq!(delivery.look(began + millis(530_000)), Delivery::GivenUp);
    }

    #[test]
    fn a_refused_acknowledgement_changes_nothing() {
        let (mut delivery, began) = (new(), Instant::now());
        delivery.note_written([5, 3], began);
        for refused in [acknowledged("events", 4), acknowledged("desktop", 0)] {
            assert!(delivery.acknowledge(&[acknowledged("terminal", 5), refused]).is_err());
            assert_eq!(delivery.bytes(), 8);
        }
        delivery.acknowledge(&[acknowledged("terminal", 4)]).unwrap();
        delivery.acknowledge(&[acknowledged("terminal", 2)]).unwrap();
        assert_eq!(delivery.bytes(), 4, "an older word takes nothing back");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Writes(usize, u64),
        Acknowledges(usize, f64),
        Waits(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..2_usize, 1..2_000_u64).prop_map(|(spool, bytes)| Step::Writes(spool, bytes)),
            1 => (0..2_usize, 0.0..1.0).prop_map(|(spool, part)| Step::Acknowledges(spool, part)),
            3 => (0..4_000_u64).prop_map(Step::Waits),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        /// Compared with every byte's own time: it is never in time later, and late at most as early as places are apart.
        #[test]
        fn no_byte_is_shown_beyond_the_limit_and_none_is_held_much_before(steps in steps()) {
            let (mut delivery, mut now) = (new(), Instant::now());
            let (mut written, mut done) = ([0_u64; 2], [0_u64; 2]);
            let mut times: [Vec<(u64, Instant)>; 2] = [vec![], vec![]];
            let apart = millis(LIMITS.hold_after_millis) / (MOST_PLACES as u32 / 2);
            for step in steps {
                match step {
                    Step::Writes(spool, bytes) => {
                        written[spool] += bytes;
                        times[spool].push((written[spool], now));
                        delivery.note_written(written, now);
                    }
                    Step::Acknowledges(spool, part) => {
                        let up_to = (written[spool] as f64 * part) as u64;
                        done[spool] = done[spool].max(up_to);
                        delivery.acknowledge(&[acknowledged(["terminal", "events"][spool], up_to)]).unwrap();
                    }
                    Step::Waits(time) => now += millis(time),
                }
                let oldest = (0..2).filter_map(|spool| {
                    times[spool].iter().find(|(end, _)| *end > done[spool]).map(|(_, at)| *at)
                }).min();
                let age = oldest.map(|at| now - at);
                let is_late = delivery.look(now) != Delivery::InTime;
                prop_assert!(is_late || age.is_none_or(|age| age < millis(10_000)), "{age:?}");
                prop_assert!(!is_late || age.is_some_and(|age| age + apart >= millis(10_000)), "{age:?}");
                prop_assert!(delivery.spools.iter().all(|spool| spool.places.len() <= MOST_PLACES));
                prop_assert_eq!(delivery.bytes(), written[0] + written[1] - done[0] - done[1]);
                prop_assert_eq!(delivery.until_change(now).is_some(), oldest.is_some());
            }
        }
    }
}
