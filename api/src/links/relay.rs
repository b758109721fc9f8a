//! The holder's part in channels: it forwards frames between an agent's link and the other ends, on this replica or
//! others, and knows nothing about their content. What it holds of a channel is bounded by the channel's windows, so
//! that it never waits: a channel that nobody reads does not delay another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_protocol::bus::{ChannelId, Frame, FrameBody, MOST_CHANNELS};
use tokio::sync::Notify;

use super::lane::Lane;

/// The channels on one link.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    state: Mutex<State>,
    /// Told when there is something for the agent.
    for_agent: Notify,
}

#[derive(Debug, Default)]
struct State {
    over: bool,
    attached: HashMap<ChannelId, Attached>,
    /// Those with something for the agent, each once.
    turns: VecDeque<ChannelId>,
    opened: u64,
}

#[derive(Debug)]
struct Attached {
    number: u64,
    for_agent: Lane,
    has_turn: bool,
    leaving: bool,
    /// One end has closed the channel: nobody resumes it.
    finished: bool,
    for_opener: Arc<ForOpener>,
}

#[derive(Debug, Default)]
struct ForOpener {
    queue: Mutex<Queue>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    lane: Lane,
    ended: bool,
}

/// Why a channel cannot be attached to a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAttached {
    /// The link has ended.
    LinkIsOver,
    /// It has as many channels as it may have.
    TooManyChannels,
}

/// What an agent or an opener sent is no frame, or more than the windows admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation;

/// One channel on a link, for the end that opened it. Dropping it tells the agent that this end is out of reach.
#[derive(Debug)]
pub(crate) struct Attachment {
    relay: Arc<Relay>,
    channel: ChannelId,
    number: u64,
    for_opener: Arc<ForOpener>,
}

impl Relay {
    /// Attaches a channel, in place of an earlier attachment.
    pub(crate) fn attach(self: &Arc<Self>, channel: ChannelId) -> Result<Attachment, NotAttached> {
        let mut state = self.lock();
        if state.over {
            return Err(NotAttached::LinkIsOver);
        }
        let others = state.attached.len() - usize::from(state.attached.contains_key(&channel));
        if others >= MOST_CHANNELS {
            return Err(NotAttached::TooManyChannels);
        }
        state.opened += 1;
        let number = state.opened;
        let for_opener = Arc::<ForOpener>::default();
        let attached = Attached {
            number,
            for_agent: Lane::default(),
            has_turn: false,
            leaving: false,
            finished: false,
            for_opener: Arc::clone(&for_opener),
        };
        let before = state.attached.insert(channel, attached);
        state.turns.retain(|turn| *turn != channel);
        drop(state);
        if let Some(before) = before {
            before.for_opener.end();
        }
        Ok(Attachment { relay: Arc::clone(self), channel, number, for_opener })
    }

    /// Passes on what the agent sent.
    ///
    /// # Errors
    /// The link cannot go on.
    pub(crate) fn pass_on(&self, encoded: &[u8]) -> Result<(), Violation> {
        let frame = Frame::decode(encoded).map_err(|_| Violation)?;
        let for_opener = {
            let mut state = self.lock();
            // It was under way when its opener left.
            let Some(attached) = state.attached.get_mut(&frame.channel) else { return Ok(()) };
            attached.finished |= ends(&frame.body);
            Arc::clone(&attached.for_opener)
        };
        for_opener.push(&frame, encoded)
    }

    /// Waits for the next frame for the agent; channels take turns. Cancelling it loses nothing.
    pub(crate) async fn next_for_agent(&self) -> Vec<u8> {
        loop {
            let waits = self.for_agent.notified();
            if let Some(frame) = self.take_turn() {
                return frame;
            }
            waits.await;
        }
    }

    fn take_turn(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            let channel = state.turns.pop_front()?;
            let Some(attached) = state.attached.get_mut(&channel) else { continue };
            attached.has_turn = false;
            if let Some(frame) = attached.for_agent.pop() {
                state.gets_turn(channel);
                return Some(frame);
            }
            if attached.leaving {
                let finished = attached.finished;
                state.attached.remove(&channel);
                if !finished {
                    return Some(Frame { channel, body: FrameBody::Detach }.encode());
                }
            }
        }
    }

    /// The link has ended, and with it the path of every channel on it.
    pub(crate) fn end(&self) {
        let attached = {
            let mut state = self.lock();
            state.over = true;
            state.turns.clear();
            std::mem::take(&mut state.attached)
        };
        for attached in attached.into_values() {
            attached.for_opener.end();
        }
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the relay.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn gets_turn(&mut self, channel: ChannelId) {
        if let Some(attached) = self.attached.get_mut(&channel)
            && !std::mem::replace(&mut attached.has_turn, true)
        {
            self.turns.push_back(channel);
        }
    }
}

impl Attachment {
    /// Forwards what the opener sent. On a path that has ended it is dropped.
    ///
    /// # Errors
    /// The path cannot continue.
    pub(crate) fn send(&self, encoded: &[u8]) -> Result<(), Violation> {
        let frame = Frame::decode(encoded).map_err(|_| Violation)?;
        // The path belongs to this channel alone.
        if frame.channel != self.channel || frame.body == FrameBody::Detach {
            return Err(Violation);
        }
        let mut state = self.relay.lock();
        let Some(attached) = state.attached.get_mut(&self.channel) else { return Ok(()) };
        if attached.number != self.number {
            return Ok(());
        }
        attached.finished |= ends(&frame.body);
        attached.for_agent.push(&frame, encoded).map_err(|_| Violation)?;
        state.gets_turn(self.channel);
        drop(state);
        self.relay.for_agent.notify_one();
        Ok(())
    }

    /// Waits for what the agent sends; `None` when the path has ended. Cancelling it loses nothing.
    pub(crate) async fn next(&self) -> Option<Vec<u8>> {
        loop {
            let waits = self.for_opener.ready.notified();
            {
                let mut queue = self.for_opener.lock();
                if let Some(frame) = queue.lane.pop() {
                    return Some(frame);
                }
                if queue.ended {
                    return None;
                }
            }
            waits.await;
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut state = self.relay.lock();
        if let Some(attached) = state.attached.get_mut(&self.channel)
            && attached.number == self.number
        {
            attached.leaving = true;
            state.gets_turn(self.channel);
            drop(state);
            self.relay.for_agent.notify_one();
        }
    }
}

impl ForOpener {
    fn push(&self, frame: &Frame<'_>, encoded: &[u8]) -> Result<(), Violation> {
        self.lock().lane.push(frame, encoded).map_err(|_| Violation)?;
        self.ready.notify_one();
        Ok(())
    }

    fn end(&self) {
        self.lock().ended = true;
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ends(body: &FrameBody<'_>) -> bool {
    matches!(body, FrameBody::Reset(_) | FrameBody::Closed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agent_protocol::bus::{MOST_DATA_BYTES, Reset, ResetCode};
    use tokio::time::timeout;

    use super::*;

    fn channel(number: u8) -> ChannelId {
        ChannelId::from_bytes([number; 16])
    }

    fn consumed(number: u8, offset: u64) -> Vec<u8> {
        Frame { channel: channel(number), body: FrameBody::Consumed { offset } }.encode()
    }

    async fn soon<T>(waits: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(20), waits).await.expect("it comes")
    }

    #[tokio::test]
    async fn frames_pass_both_ways_and_channels_take_turns() {
        let relay = Arc::<Relay>::default();
        let (one, other) = (relay.attach(channel(1)).unwrap(), relay.attach(channel(2)).unwrap());
        for offset in 0..3 {
            one.send(&consumed(1, offset)).unwrap();
            other.send(&consumed(2, offset)).unwrap();
        }
        for offset in 0..3 {
            assert_eq!(soon(relay.next_for_agent()).await, consumed(1, offset));
            assert_eq!(soon(relay.next_for_agent()).await, consumed(2, offset));
        }
        relay.pass_on(&consumed(2, 7)).unwrap();
        assert_eq!(soon(other.next()).await, Some(consumed(2, 7)));
        relay.pass_on(&consumed(3, 7)).unwrap();
        relay.end();
        assert_eq!(soon(one.next()).await, None);
        assert!(matches!(relay.attach(channel(3)), Err(NotAttached::LinkIsOver)));
    }

    #[tokio::test]
    async fn an_opener_that_leaves_is_reported_after_its_last_frame_unless_the_channel_is_closed() {
        let relay = Arc::<Relay>::default();
        let (leaves, resets) = (relay.attach(channel(1)).unwrap(), relay.attach(channel(2)).unwrap());
        leaves.send(&consumed(1, 5)).unwrap();
        drop(leaves);
        let reset =
            Frame { channel: channel(2), body: FrameBody::Reset(Reset::new(ResetCode::Cancelled, "")) }
                .encode();
        resets.send(&reset).unwrap();
        drop(resets);
        let detach = Frame { channel: channel(1), body: FrameBody::Detach }.encode();
        let told = [soon(relay.next_for_agent()).await, soon(relay.next_for_agent()).await];
        assert_eq!(told, [consumed(1, 5), reset]);
        assert_eq!(soon(relay.next_for_agent()).await, detach);
        assert!(relay.take_turn().is_none());
        assert!(relay.lock().attached.is_empty());
    }

    #[tokio::test]
    async fn a_later_attachment_takes_the_place_of_the_one_before() {
        let relay = Arc::<Relay>::default();
        let before = relay.attach(channel(1)).unwrap();
        before.send(&consumed(1, 1)).unwrap();
        let later = relay.attach(channel(1)).unwrap();
        assert_eq!(soon(before.next()).await, None);
        before.send(&consumed(1, 2)).unwrap();
        drop(before);
        later.send(&consumed(1, 3)).unwrap();
        assert_eq!(soon(relay.next_for_agent()).await, consumed(1, 3));
        assert!(relay.take_turn().is_none(), "what was said on the way before is lost with it");
    }

    #[tokio::test]
    async fn a_channel_that_nobody_reads_delays_no_other_and_cannot_grow() {
        let relay = Arc::<Relay>::default();
        let (_stalled, other) = (relay.attach(channel(1)).unwrap(), relay.attach(channel(2)).unwrap());
        let bytes = vec![0; MOST_DATA_BYTES];
        let data =
            |offset| Frame { channel: channel(1), body: FrameBody::Data { offset, bytes: &bytes } }.encode();
        let mut offsets = (0..).step_by(MOST_DATA_BYTES);
        let mut taken = 0;
        while relay.pass_on(&data(offsets.next().unwrap())).is_ok() {
            taken += 1;
            relay.pass_on(&consumed(2, taken)).unwrap();
            assert_eq!(soon(other.next()).await, Some(consumed(2, taken)));
        }
        assert!((32..40).contains(&taken), "{taken}");
    }

    #[test]
    fn the_number_of_channels_is_limited_and_each_path_is_for_one() {
        let relay = Arc::<Relay>::default();
        let mut all: Vec<_> =
            (0..MOST_CHANNELS).map(|n| relay.attach(channel(u8::try_from(n).unwrap())).unwrap()).collect();
        assert!(matches!(relay.attach(channel(200)), Err(NotAttached::TooManyChannels)));
        let again = relay.attach(channel(0)).unwrap();
        assert_eq!(again.send(&consumed(1, 1)), Err(Violation));
        assert_eq!(again.send(b"nonsense"), Err(Violation));
        assert_eq!(
            again.send(&Frame { channel: channel(0), body: FrameBody::Detach }.encode()),
            Err(Violation)
        );
        assert_eq!(relay.pass_on(b"nonsense"), Err(Violation));
        all.pop();
        assert!(relay.take_turn().is_some(), "the agent is told");
        assert!(relay.attach(channel(200)).is_ok());
    }
}
