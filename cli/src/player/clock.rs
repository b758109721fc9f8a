//! When events are due: the timeline of a recording with its pauses shortened, and the clock that runs along it.

use std::time::{Duration, Instant};

use recording::{Micros, TerminalEvent};

/// A year is as good as for ever, and no arithmetic on times overflows.
const FOR_EVER: Duration = Duration::from_secs(31_536_000);

/// The slowest and the fastest that keys lead to.
const SLOWEST: f64 = 1.0 / 16.0;
const FASTEST: f64 = 1024.0;

/// The events' places: when they happened, and when they are shown at the speed 1.
#[derive(Debug)]
pub(super) struct Timeline {
    idle_limit: Option<Duration>,
    moments: Vec<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    recorded: Duration,
    shown: Duration,
}

impl Timeline {
    /// An empty timeline on which no pause is longer than the limit.
    pub(super) fn new(idle_limit: Option<Duration>) -> Self {
        Self { idle_limit, moments: Vec::new() }
    }

    /// Adds events behind the others.
    pub(super) fn extend(&mut self, events: &[TerminalEvent]) {
        let mut last = self.last();
        self.moments.extend(events.iter().map(|event| {
            let recorded = event.at.as_duration();
            let pause = recorded.saturating_sub(last.recorded);
            let pause = self.idle_limit.map_or(pause, |limit| pause.min(limit));
            last = Moment { recorded, shown: last.shown.saturating_add(pause) };
            last
        }));
    }

    fn last(&self) -> Moment {
        self.before(self.moments.len())
    }

    /// The moment before the event of this number; the start, before the first.
    fn before(&self, number: usize) -> Moment {
        let start = Moment { recorded: Micros::ZERO.as_duration(), shown: Duration::ZERO };
        number.checked_sub(1).map_or(start, |last| self.moments[last])
    }

    /// When the event of this number is shown.
    pub(super) fn shown_at(&self, number: usize) -> Duration {
        self.moments[number].shown
    }

    /// How long the whole is shown.
    pub(super) fn length(&self) -> Duration {
        self.last().shown
    }

    /// How many events are shown by then.
    pub(super) fn passed(&self, position: Duration) -> usize {
        self.moments.partition_point(|moment| moment.shown <= position)
    }

    /// How long after the start of the recording what is shown then happened. In a pause that is shortened, time runs
    /// faster.
    pub(super) fn recorded_at(&self, position: Duration) -> Duration {
        let next = self.passed(position);
        let before = self.before(next);
        let Some(after) = self.moments.get(next) else { return before.recorded };
        let (passed, whole) =
            (position.saturating_sub(before.shown), after.shown.saturating_sub(before.shown));
        let part = passed.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
        let pause = after.recorded.saturating_sub(before.recorded);
        before.recorded.saturating_add(pause.mul_f64(part.clamp(0.0, 1.0)))
    }

    /// How long the recorded session lasted.
    pub(super) fn recorded_length(&self) -> Duration {
        self.last().recorded
    }
}

/// Where playing is, and how fast it moves.
#[derive(Debug)]
pub(super) struct Clock {
    position: Duration,
    /// Since when the position moves; `None` while it stands.
    since: Option<Instant>,
    speed: f64,
}

impl Clock {
    /// A clock that runs from the start.
    pub(super) fn start(speed: f64, now: Instant) -> Self {
        Self { position: Duration::ZERO, since: Some(now), speed }
    }

    /// The position at this moment.
    pub(super) fn position(&self, now: Instant) -> Duration {
        let moved = self.since.map_or(0.0, |since| now.duration_since(since).as_secs_f64() * self.speed);
        self.position.saturating_add(Duration::try_from_secs_f64(moved).unwrap_or(FOR_EVER))
    }

    /// Goes to a position, and goes on or stands as before.
    pub(super) fn set(&mut self, position: Duration, now: Instant) {
        self.position = position;
        self.since = self.since.map(|_| now);
    }

    /// Whether it stands.
    pub(super) fn is_paused(&self) -> bool {
        self.since.is_none()
    }

    /// Stops it, or lets it go on.
    pub(super) fn pause(&mut self, paused: bool, now: Instant) {
        self.position = self.position(now);
        self.since = (!paused).then_some(now);
    }

    /// How fast it is.
    pub(super) fn speed(&self) -> f64 {
        self.speed
    }

    /// Multiplies the speed, within what keys may reach.
    pub(super) fn change_speed(&mut self, factor: f64, now: Instant) {
        self.set(self.position(now), now);
        let changed = self.speed * factor;
        // A speed of the command line may be beyond the limits, and then only comes back.
        self.speed = changed.clamp(SLOWEST.min(self.speed), FASTEST.max(self.speed));
    }

    /// How long it takes to that position; `None` while it stands.
    pub(super) fn until(&self, position: Duration, now: Instant) -> Option<Duration> {
        self.since?;
        let way = position.saturating_sub(self.position(now)).as_secs_f64();
        Some(Duration::try_from_secs_f64(way / self.speed).unwrap_or(FOR_EVER).min(FOR_EVER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(seconds: &[u64], idle_limit: Option<u64>) -> Timeline {
        let mut timeline = Timeline::new(idle_limit.map(Duration::from_secs));
        for second in seconds {
            timeline.extend(&[TerminalEvent::output(Micros::new(second * 1_000_000), "x")]);
        }
        timeline
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_are_shortened() {
        let timeline = timeline(&[0, 10, 11], Some(4));
        assert_eq!([0, 1, 2].map(|number| timeline.shown_at(number)), [0, 4, 5].map(seconds));
        assert_eq!((timeline.length(), timeline.recorded_length()), (seconds(5), seconds(11)));
        assert_eq!([0, 3, 4, 9].map(|second| timeline.passed(seconds(second))), [1, 1, 2, 3]);
        // Half of a pause is half of it, however long it is shown.
        assert_eq!(
            [0, 2, 4, 5, 9].map(|second| timeline.recorded_at(seconds(second))),
            [0, 5, 10, 11, 11].map(seconds)
        );
    }

    #[test]
    fn no_time_is_too_long() {
        let mut timeline = Timeline::new(None);
        assert_eq!((timeline.length(), timeline.recorded_at(seconds(1))), (Duration::ZERO, Duration::ZERO));
        timeline.extend(&[TerminalEvent::output(Micros::LATEST, "x")]);
        timeline.recorded_at(seconds(1));
        let now = Instant::now();
        for speed in [1e-300, 1e300] {
            let clock = Clock::start(speed, now);
            clock.position(now + seconds(1_000_000));
            clock.until(timeline.length(), now).unwrap();
        }
    }

    #[test]
    fn a_clock_moves_at_its_speed_and_stands_when_it_is_told_to() {
        let start = Instant::now();
        let at = |second| start + seconds(second);
        let mut clock = Clock::start(2.0, start);
        assert_eq!(clock.position(at(3)), seconds(6));
        assert_eq!(clock.until(seconds(10), at(3)), Some(seconds(2)));
        clock.pause(true, at(4));
        assert_eq!((clock.position(at(9)), clock.until(seconds(10), at(9))), (seconds(8), None));
        clock.set(seconds(1), at(9));
        assert!(clock.is_paused());
        clock.pause(false, at(10));
        clock.change_speed(0.5, at(11));
        assert_eq!((clock.speed(), clock.position(at(13))), (1.0, seconds(5)));
        for _ in 0..40 {
            clock.change_speed(2.0, at(13));
        }
        assert_eq!(clock.speed(), FASTEST);
        for _ in 0..40 {
            clock.change_speed(0.5, at(13));
        }
        assert_eq!(clock.speed(), SLOWEST);
        let mut fast = Clock::start(1e9, start);
        fast.change_speed(2.0, start);
        assert_eq!(fast.speed(), 1e9);
    }
}
