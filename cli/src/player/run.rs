//! The one loop: events become due, are shown at most once a frame, and keys are read while waiting.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use recording::{TerminalEvent, TerminalEventKind, TerminalSize};

use super::clock::{Clock, Timeline};
use super::keyboard::Keyboard;
use super::keys::{Request, Seek};
use super::sinks::Sink;
use super::status::{Mark, Status};
use super::{More, Playback, Played};
use crate::terminal;

/// The shortest time between two paintings.
const FRAME: Duration = Duration::from_millis(16);

/// How often the status line is looked at, and whether more has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// For how long at a time the way to another place is taken, before keys are read again.
const SLICE: Duration = Duration::from_millis(50);

/// Another place, and the way there.
#[derive(Debug, Clone, Copy)]
struct Jump {
    position: Duration,
    /// How many events have happened there.
    events: usize,
}

/// A recording that is being played.
pub(super) struct Player<'a, S: Sink> {
    events: Vec<TerminalEvent>,
    timeline: Timeline,
    clock: Clock,
    /// How many events the sink has taken.
    taken: usize,
    /// The most that it had ever taken.
    furthest: usize,
    more: Option<&'a Receiver<More>>,
    /// Why nothing more arrives for now.
    trouble: Option<String>,
    /// Where it is going.
    jump: Option<Jump>,
    /// Whether the help is shown, and with it whether playing goes on after it.
    help: Option<bool>,
    interactive: bool,
    name: &'a str,
    note: Option<&'a str>,
    goes_on: bool,
    sink: S,
}

/// What is to be played, and how.
pub(super) struct Wanted<'a> {
    pub(super) events: Vec<TerminalEvent>,
    pub(super) playback: Playback,
    /// What arrives later.
    pub(super) more: Option<&'a Receiver<More>>,
    /// Whether the recorded session goes on.
    pub(super) goes_on: bool,
    /// Whether a person sees a status line.
    pub(super) interactive: bool,
    /// The beginning of the token.
    pub(super) name: &'a str,
    /// What the status line says besides.
    pub(super) note: Option<&'a str>,
}

impl<'a, S: Sink> Player<'a, S> {
    pub(super) fn new(wanted: Wanted<'a>, sink: S) -> Self {
        let Wanted { events, playback, more, goes_on, interactive, name, note } = wanted;
        let mut timeline = Timeline::new(playback.idle_limit);
        timeline.extend(&events);
        Self {
            events,
            timeline,
            clock: Clock::start(playback.speed, Instant::now()),
            taken: 0,
            furthest: 0,
            more,
            trouble: None,
            jump: None,
            help: None,
            interactive,
            name,
            note,
            goes_on,
            sink,
        }
    }

    /// Plays until the end, or until the viewer leaves. The terminal is in order afterwards.
    pub(super) fn run(
        mut self,
        keyboard: &mut Keyboard,
        view: impl Fn() -> Option<TerminalSize>,
    ) -> io::Result<Played> {
        let left = self.play(keyboard, view)?;
        self.sink.leave()?;
        Ok(self.played(left))
    }

    fn play(&mut self, keyboard: &mut Keyboard, view: impl Fn() -> Option<TerminalSize>) -> io::Result<bool> {
        self.show()?;
        loop {
            if keyboard.resized() {
                self.sink.view_resized(view());
            }
            self.take_more();
            self.jump_on()?;
            self.advance()?;
            self.show()?;
            if self.jump.is_none()
                && self.taken == self.events.len()
                && self.more.is_none()
                && !self.clock.is_paused()
            {
                return Ok(false);
            }
            let due = (self.taken < self.events.len())
                .then(|| self.clock.until(self.timeline.shown_at(self.taken), Instant::now()))
                .flatten();
            let look = (self.interactive || self.more.is_some()).then_some(LOOK_EVERY);
            let limit = match self.jump {
                Some(_) => Some(Duration::ZERO),
                None => [due.map(|due| due.max(FRAME)), look].into_iter().flatten().min(),
            };
            match keyboard.wait(limit) {
                Some(Request::Quit) => return Ok(self.taken < self.events.len() || self.more.is_some()),
                Some(request) => self.answer(request)?,
                None => {}
            }
        }
    }

    /// Takes what has arrived since.
    fn take_more(&mut self) {
        while let Some(more) = self.more {
            match more.try_recv() {
                Ok(More::Events(events)) => {
                    self.trouble = None;
                    let first = self.events.len();
                    self.timeline.extend(&events);
                    self.events.extend(events);
                    self.catch_up(first);
                }
                Ok(More::Trouble(trouble)) => {
                    if !self.interactive && self.trouble.is_none() {
                        terminal::note(&trouble);
                    }
                    self.trouble = Some(trouble);
                }
                Ok(More::Ended) => self.goes_on = false,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.more = None,
            }
        }
    }

    /// Whoever has seen everything has waited as long as the recorded session did: the pause before what has arrived,
    /// with this event as the first, is not waited for once more.
    fn catch_up(&mut self, first: usize) {
        let now = Instant::now();
        if self.taken == first && self.jump.is_none() && first < self.events.len() {
            self.clock.set(self.clock.position(now).min(self.timeline.shown_at(first)), now);
        }
    }

    /// Gives the sink what is due.
    fn advance(&mut self) -> io::Result<()> {
        if self.clock.is_paused() || self.jump.is_some() {
            return Ok(());
        }
        let now = Instant::now();
        let position = self.clock.position(now);
        while self.taken < self.events.len() && self.timeline.shown_at(self.taken) <= position {
            self.sink.event(self.taken, &self.events[self.taken])?;
            self.taken += 1;
            if now.elapsed() > SLICE {
                // A recording can have more than the model keeps up with; keys and signals are read meanwhile.
                break;
            }
        }
        self.furthest = self.furthest.max(self.taken);
        Ok(())
    }

    fn show(&mut self) -> io::Result<()> {
        let at_the_end = self.taken == self.events.len();
        let mark = match (self.clock.is_paused(), at_the_end) {
            _ if self.jump.is_some() => Mark::Seeking,
            (true, true) if self.more.is_none() => Mark::AtTheEnd,
            (true, _) => Mark::Paused,
            (false, true) if self.more.is_some() => Mark::Waiting,
            (false, _) => Mark::Playing,
        };
        let status = Status {
            mark,
            position: self.timeline.recorded_at(self.position(Instant::now())),
            length: self.timeline.recorded_length(),
            goes_on: self.goes_on,
            speed: self.clock.speed(),
            name: self.name,
            notes: [self.trouble.as_deref(), self.note],
        };
        self.sink.show(&status, self.help.is_some())
    }

    fn answer(&mut self, request: Request) -> io::Result<()> {
        let now = Instant::now();
        if let Some(goes_on) = self.help.take() {
            self.clock.pause(!goes_on, now);
            return Ok(());
        }
        match request {
            Request::Pause => self.clock.pause(!self.clock.is_paused(), now),
            Request::Faster => self.clock.change_speed(2.0, now),
            Request::Slower => self.clock.change_speed(0.5, now),
            Request::StatusLine => self.sink.toggle_status(),
            Request::Help if self.interactive => {
                self.help = Some(!self.clock.is_paused());
                self.clock.pause(true, now);
            }
            Request::Step => self.step(now)?,
            Request::Seek(seek) => self.seek(seek, now)?,
            Request::Help | Request::Other | Request::Quit => {}
        }
        Ok(())
    }

    /// Stops, and shows the next event that shows something.
    fn step(&mut self, now: Instant) -> io::Result<()> {
        self.clock.pause(true, now);
        self.jump = None;
        while self.taken < self.events.len() {
            let event = &self.events[self.taken];
            self.sink.event(self.taken, event)?;
            let shows = event.kind.shown().is_some() || matches!(event.kind, TerminalEventKind::Resize(_));
            self.taken += 1;
            self.clock.set(self.timeline.shown_at(self.taken - 1), now);
            if shows {
                break;
            }
        }
        self.furthest = self.furthest.max(self.taken);
        Ok(())
    }

    /// Where it is, or where it is going.
    fn position(&self, now: Instant) -> Duration {
        self.jump.map_or_else(|| self.clock.position(now), |jump| jump.position).min(self.timeline.length())
    }

    fn seek(&mut self, seek: Seek, now: Instant) -> io::Result<()> {
        let (position, length) = (self.position(now), self.timeline.length());
        let position = match seek {
            Seek::Back(step) => position.saturating_sub(step),
            Seek::Forward(step) => position.saturating_add(step).min(length),
            Seek::Tenths(tenths) => length.mul_f64(f64::from(tenths) / 10.0),
            Seek::End => length,
        };
        self.jump = Some(Jump { position, events: self.timeline.passed(position) });
        self.jump_on()
    }

    /// Goes on to another place for a while.
    fn jump_on(&mut self) -> io::Result<()> {
        let Some(jump) = self.jump else { return Ok(()) };
        let taken = self.sink.go_to(&self.events, self.taken, jump.events, Instant::now() + SLICE)?;
        let Some(taken) = taken else {
            self.jump = None;
            return Ok(());
        };
        self.taken = taken;
        self.furthest = self.furthest.max(taken);
        if taken < jump.events {
            return Ok(());
        }
        self.jump = None;
        let now = Instant::now();
        self.clock.set(jump.position, now);
        if taken == self.events.len() && self.more.is_none() {
            // Whoever goes to the end wants to see it, and perhaps to go back.
            self.clock.pause(true, now);
        }
        Ok(())
    }

    fn played(&self, left: bool) -> Played {
        let mut played = Played { left, length: self.timeline.recorded_length(), ..Played::default() };
        played.goes_on = self.goes_on;
        for event in &self.events[..self.furthest] {
            match &event.kind {
                TerminalEventKind::Shortfall(shortfall) => {
                    played.shortfalls.push((event.at, shortfall.clone()));
                }
                TerminalEventKind::Exit(status) => played.exit = Some(*status),
                TerminalEventKind::Output(_)
                | TerminalEventKind::ErrorOutput(_)
                | TerminalEventKind::Resize(_) => {}
            }
        }
        played
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use recording::Micros;

    use super::*;
    use crate::player::sinks::PaintedSink;

    #[test]
    fn a_pause_that_was_waited_for_is_not_waited_for_again() {
        let size = TerminalSize { columns: 20, rows: 5 };
        let (sender, more) = mpsc::channel();
        let wanted = Wanted {
            events: vec![TerminalEvent::output(Micros::ZERO, "one")],
            playback: Playback { speed: 1.0, idle_limit: None, raw: false },
            more: Some(&more),
            goes_on: true,
            interactive: false,
            name: "5f0c6de1c",
            note: None,
        };
        let mut player = Player::new(wanted, PaintedSink::new(size, None, Vec::new()));
        player.advance().unwrap();
        // The viewer has waited for an hour, and for a second more until the segment came.
        let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(1));
        player.clock = Clock::start(1.0, Instant::now().checked_sub(hour + second).unwrap());
        player.advance().unwrap();
        let later = |number: u64| Micros::new((3_600 + number) * 1_000_000);
        let events = [0, 600].map(|number| TerminalEvent::output(later(number), "two")).to_vec();
        sender.send(More::Events(events)).unwrap();
        player.take_more();
        player.advance().unwrap();
        assert_eq!(player.taken, 2, "the next pause of ten minutes begins");
        let due = player.clock.until(player.timeline.shown_at(2), Instant::now()).unwrap();
        assert!(due > Duration::from_secs(590), "{due:?}");
    }
}
