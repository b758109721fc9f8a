//! The control plane's clock, as far as its replies tell it.

use std::time::Duration;

use agent_protocol::clock;

/// By how much a `Date` may lie before the moment at which it was sent: it has whole seconds, and servers keep the text for
/// up to another.
const DATE_MAY_LAG_MILLIS: i64 = 2_000;

/// How far the control plane's clock is ahead of the time since this machine started: whoever sets this machine's clock
/// changes nothing of it. Milliseconds.
///
/// Each reply says a time that may lag, so that none says more than bounds. What lies within the bounds of all replies is kept:
/// else the time would jump to and fro by a second, and of two sessions that begin one after the other the second would seem to
/// be the earlier one.
#[derive(Debug, Default)]
pub(crate) struct ServerClock(Option<Known>);

#[derive(Debug, Clone, Copy)]
struct Known {
    earliest: i64,
    latest: i64,
    /// Between both.
    taken: i64,
}

impl ServerClock {
    /// A reply to a request that was sent and received at these times since the machine started says this time. `own` is what
    /// this machine's clock says when it is received, which is as good as any other time within the bounds, and often better.
    pub(crate) fn learn(&mut self, date_millis: i64, sent: Duration, received: Duration, own_millis: i64) {
        let earliest = date_millis.saturating_sub(millis(received));
        let latest = date_millis.saturating_add(DATE_MAY_LAG_MILLIS).saturating_sub(millis(sent));
        let taken = self.0.map_or(own_millis.saturating_sub(millis(received)), |known| known.taken);
        let both = self.0.map(|known| (known.earliest.max(earliest), known.latest.min(latest)));
        // Where they contradict each other, that clock was set, or this machine's quartz is a little off: the newest counts.
        let (earliest, latest) =
            both.filter(|(earliest, latest)| earliest <= latest).unwrap_or((earliest, latest.max(earliest)));
        self.0 = Some(Known { earliest, latest, taken: taken.clamp(earliest, latest) });
    }

    /// The control plane's time at this time since the machine started; `None` before the first reply.
    pub(crate) fn at(&self, since_start: Duration) -> Option<i64> {
        Some(self.0?.taken.saturating_add(millis(since_start)))
    }

    /// The control plane's time now, as far as it is known; else our own.
    pub(crate) fn now_millis(&self) -> i64 {
        self.at(clock::boottime()).unwrap_or_else(clock::wall_millis)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Duration = Duration::from_secs(1_000);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A control plane whose clock says `true_millis` at [`SENT`]; it prints whole seconds, of a text that is up to a second old.
    fn date(true_millis: i64, text_is_old: i64) -> i64 {
        (true_millis - text_is_old).div_euclid(1_000) * 1_000
    }

    #[test]
    fn time_goes_on_evenly_whatever_part_of_a_second_a_reply_comes_in() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.at(SENT), None);
        let mut last = 0;
        for step in 0..200_u64 {
            let sent = SENT + ms(step * 137);
            let now = 1_700_000_000_000 + i64::try_from(step * 137).unwrap();
            let text_is_old = i64::try_from(step % 10 * 100).unwrap();
            clock.learn(date(now, text_is_old), sent, sent + ms(7), now + 7);
            let said = clock.at(sent + ms(7)).unwrap();
            assert_eq!(said, now + 7, "this machine's own clock is right, and nothing contradicts it");
            assert!(said > last);
            last = said;
        }
    }

    #[test]
    fn a_wrong_clock_of_this_machine_is_corrected_as_far_as_replies_tell() {
        for wrong_by in [-3_600_000_i64, 3_600_000, i64::MIN / 2, i64::MAX / 2] {
            let mut clock = ServerClock::default();
            for step in 0..50_u64 {
                let sent = SENT + ms(step * 331);
                let now = 1_700_000_000_000 + i64::try_from(step * 331).unwrap();
                clock.learn(date(now, 0), sent, sent + ms(5), now.saturating_add(wrong_by));
                let error = clock.at(sent).unwrap() - now;
                assert!((-1_005..=DATE_MAY_LAG_MILLIS).contains(&error), "{wrong_by}: {error}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_is_followed() {
        let mut clock = ServerClock::default();
        clock.learn(1_700_000_000_000, SENT, SENT, 1_700_000_000_500);
        for set_to in [1_600_000_000_000, 1_800_000_000_000] {
            clock.learn(set_to, SENT, SENT, 1_700_000_000_500);
            assert!((set_to..=set_to + DATE_MAY_LAG_MILLIS).contains(&clock.at(SENT).unwrap()));
        }
        // A reply that took long says less.
        clock.learn(1_800_000_000_000, SENT, SENT + ms(30_000), 0);
        assert!(clock.at(SENT).unwrap() >= 1_800_000_000_000);
    }
}
