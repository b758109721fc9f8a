//! The channels of this agent: which there are, whose turn it is to send, and how long one waits to be resumed.
//!
//! Frames that arrive go to their channel's end at once, which has room for them; nothing here waits for a service. Channels that have
//! something to send take turns, a frame each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use agent_protocol::bus::{
    self, ChannelId, End, Frame, FrameBody, MOST_CHANNELS, Over, Port, RESUME_WITHIN, Reset, ResetCode,
    ServiceName,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::services::Service;

/// How many channels that are closed are remembered, for an opener that has not heard of it.
const MOST_CLOSED: usize = 4 * MOST_CHANNELS;

/// Every channel of this agent.
#[derive(Debug, Default)]
pub(super) struct Channels {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when a channel has something to send.
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    live: HashMap<ChannelId, Live>,
    /// Those that may have something to send, each once.
    turns: VecDeque<ChannelId>,
    /// What is told of channels that there are not.
    refusals: VecDeque<Vec<u8>>,
}

#[derive(Debug)]
struct Live {
    port: Port,
    has_turn: bool,
    /// Since when nobody has needed it.
    idle_since: Option<Instant>,
}

impl Channels {
    /// Takes a frame.
    ///
    /// # Errors
    /// It is not a frame, or asks for more than is allowed: the link cannot continue.
    pub(super) fn receive(&self, bytes: &[u8]) -> Result<(), String> {
        let frame =
            Frame::decode(bytes).map_err(|bad| format!("a frame on the link is not understood: {bad}"))?;
        let known = self.shared.lock().live.get_mut(&frame.channel).map(|live| {
            // Whoever comes back to it needs it, however short the link is.
            if matches!(frame.body, FrameBody::Open { .. } | FrameBody::Resume { .. }) {
                live.idle_since = None;
            }
            live.port.clone()
        });
        match (known, frame.body) {
            (Some(port), body) => {
                port.receive(&body);
                Ok(())
            }
            (None, FrameBody::Open { window, service }) => self.open(frame.channel, &service, window),
            (None, FrameBody::Resume { .. }) => {
                let gone =
                    Reset::new(ResetCode::UnknownChannel, "the agent does not have this channel any more");
                self.shared.refuse(frame.channel, gone)
            }
            // It was on its way when the channel ended.
            (None, _) => Ok(()),
        }
    }

    fn open(&self, channel: ChannelId, name: &ServiceName, window: u32) -> Result<(), String> {
        let Some(service) = Service::find(name) else {
            let reason = format!("the agent has no service {name}");
            return self.shared.refuse(channel, Reset::new(ResetCode::NoSuchService, reason));
        };
        let end = match End::acceptor(channel, name.clone(), window) {
            Ok(end) => end,
            Err(reset) => return self.shared.refuse(channel, reset),
        };
        let shared = Arc::downgrade(&self.shared);
        let (ours, port) = bus::share(end, move || has_something_to_send(&shared, channel));
        let taken = {
            let mut state = self.shared.lock();
            let open = state.live.values().filter(|live| live.port.over().is_none()).count();
            let fits = open < MOST_CHANNELS;
            if fits {
                state.forget_oldest_closed();
                state.live.insert(channel, Live { port, has_turn: false, idle_since: None });
            }
            fits
        };
        if !taken {
            let reason = format!("the link has {MOST_CHANNELS} channels already");
            return self.shared.refuse(channel, Reset::new(ResetCode::TooManyChannels, reason));
        }
        tracing::debug!(%channel, service = %name, "a channel is open");
        self.shared.gets_turn(channel);
        tokio::spawn(service.serve(ours));
        Ok(())
    }

    /// Waits for the next frame to send. Cancelling it loses nothing.
    pub(super) async fn next(&self) -> Vec<u8> {
        loop {
            let waits = self.shared.ready.notified();
            if let Some(frame) = self.take_turn() {
                return frame;
            }
            waits.await;
        }
    }

    fn take_turn(&self) -> Option<Vec<u8>> {
        loop {
            let (channel, port) = {
                let mut state = self.shared.lock();
                if let Some(refusal) = state.refusals.pop_front() {
                    return Some(refusal);
                }
                let channel = state.turns.pop_front()?;
                let Some(live) = state.live.get_mut(&channel) else { continue };
                live.has_turn = false;
                (channel, live.port.clone())
            };
            if let Some(frame) = port.next_frame() {
                self.shared.gets_turn(channel);
                return Some(frame);
            }
            // A reset that is told needs nobody any more; one that could not be told waits for whoever resumes.
            if matches!(port.over(), Some(Over::Reset(_))) && port.is_attached() {
                self.shared.lock().live.remove(&channel);
            }
        }
    }

    /// The link is lost: every channel waits to be resumed on the next one.
    pub(super) fn link_is_lost(&self) {
        let mut state = self.shared.lock();
        state.turns.clear();
        state.refusals.clear();
        for live in state.live.values_mut() {
            live.has_turn = false;
            live.port.detach();
        }
    }

    /// Gives up what nobody has resumed in time, and forgets what has been closed for so long.
    pub(super) fn expire(&self, now: Instant) {
        let mut state = self.shared.lock();
        state.live.retain(|channel, live| {
            if live.port.is_attached() && live.port.over().is_none() {
                live.idle_since = None;
                return true;
            }
            let since = *live.idle_since.get_or_insert(now);
            let expired = now.saturating_duration_since(since) >= RESUME_WITHIN;
            if expired {
                tracing::debug!(%channel, "a channel is given up");
                live.port.lose("the control plane did not resume it");
            }
            !expired
        });
    }
}

impl State {
    fn forget_oldest_closed(&mut self) {
        let closed = |live: &Live| matches!(live.port.over(), Some(Over::Closed));
        let all: Vec<_> = self.live.iter().filter(|(_, live)| closed(live)).collect();
        if all.len() >= MOST_CLOSED {
            // One whose idleness nobody has noticed yet is younger than all others.
            let oldest = all.iter().min_by_key(|(_, live)| (live.idle_since.is_none(), live.idle_since));
            if let Some(channel) = oldest.map(|(channel, _)| **channel) {
                self.live.remove(&channel);
            }
        }
    }
}

impl Shared {
    fn refuse(&self, channel: ChannelId, reset: Reset) -> Result<(), String> {
        let mut state = self.lock();
        // A channel that was not accepted before a loss is opened and resumed, and hears twice that it may not.
        if state.refusals.len() >= 2 * MOST_CHANNELS {
            return Err("the control plane opens channels faster than it reads the refusals".to_owned());
        }
        state.refusals.push_back(Frame { channel, body: FrameBody::Reset(reset) }.encode());
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    fn gets_turn(&self, channel: ChannelId) {
        let mut state = self.lock();
        let Some(live) = state.live.get_mut(&channel) else { return };
        if !std::mem::replace(&mut live.has_turn, true) {
            state.turns.push_back(channel);
            drop(state);
            self.ready.notify_one();
        }
    }

    // No change under the lock is left incomplete, so a panic elsewhere does not corrupt the channels.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_something_to_send(shared: &Weak<Shared>, channel: ChannelId) {
    if let Some(shared) = shared.upgrade() {
        shared.gets_turn(channel);
    }
}

#[cfg(test)]
mod tests;
