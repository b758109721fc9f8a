//! One end of a channel as a state machine: no input, no output, no clock.
//!
//! The owner of an end gives it each frame that arrives ([`End::receive`]), sends each frame that it returns
//! ([`End::next_frame`]), and tells it when the path to the other end is lost and found ([`End::detach`],
//! [`End::attach`]). Frames arrive in order as long as a path lasts. Of the frames that were under way when it was
//! lost, some may have arrived, some may still come before the first frame of the new path, and the rest is gone.
//!
//! INVARIANT: an end keeps no more than its window of bytes that were sent and not consumed, and holds no more than its window of bytes
//! that arrived and were not read, whatever the other end sends.

mod ways;

use super::{ChannelId, FrameBody, Reset, ResetCode, ServiceName};
use super::{Frame, WINDOW_BYTES};
use ways::{Incoming, Outgoing, Violation};

/// How a channel has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// Both directions were finished, and everything was read.
    Closed,
    /// It was reset.
    Reset(Reset),
}

/// What there is to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// Nothing more: the other end has finished.
    End,
}

/// One end of a channel.
#[derive(Debug)]
pub struct End {
    channel: ChannelId,
    side: Side,
    outgoing: Outgoing,
    incoming: Incoming,
    window: u32,
    attached: bool,
    /// The number of the last attempt to resume; 0 before the first loss.
    attempt: u32,
    resume_due: bool,
    reset_due: bool,
    over: Option<Over>,
}

#[derive(Debug)]
enum Side {
    Opener {
        service: ServiceName,
        accepted: bool,
        open_due: bool,
        was_attached: bool,
        /// What arrives before the answer to the last attempt belongs to an earlier one.
        awaits_resume: bool,
    },
    Acceptor {
        service: ServiceName,
        window: u32,
        accept_due: bool,
        closed_due: bool,
    },
}

impl End {
    /// The end that opens a channel. It is not attached yet.
    #[must_use]
    pub fn opener(channel: ChannelId, service: ServiceName) -> Self {
        Self::opener_with(channel, service, WINDOW_BYTES)
    }

    fn opener_with(channel: ChannelId, service: ServiceName, window: u32) -> Self {
        let side = Side::Opener {
            service,
            accepted: false,
            open_due: false,
            was_attached: false,
            awaits_resume: false,
        };
        Self::new(channel, side, Outgoing::default(), window, false)
    }

    /// The end that accepts a channel, with this room at the other end.
    ///
    /// # Errors
    /// The other end has room for nothing.
    pub fn acceptor(channel: ChannelId, service: ServiceName, window: u32) -> Result<Self, Reset> {
        Self::acceptor_with(channel, service, window, WINDOW_BYTES)
    }

    fn acceptor_with(
        channel: ChannelId,
        service: ServiceName,
        theirs: u32,
        window: u32,
    ) -> Result<Self, Reset> {
        let mut outgoing = Outgoing::default();
        outgoing.open(theirs, window).map_err(|why| Reset::new(ResetCode::Protocol, why))?;
        let side = Side::Acceptor { service, window: theirs, accept_due: true, closed_due: false };
        Ok(Self::new(channel, side, outgoing, window, true))
    }

    fn new(channel: ChannelId, side: Side, outgoing: Outgoing, window: u32, attached: bool) -> Self {
        let incoming = Incoming::new(window);
        let (attempt, resume_due, reset_due, over) = (0, false, false, None);
        Self { channel, side, outgoing, incoming, window, attached, attempt, resume_due, reset_due, over }
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn over(&self) -> Option<&Over> {
        self.over.as_ref()
    }

    /// Whether there is a way to the other end.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.attached
    }

    /// Whether the channel is connected to its service.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        !matches!(self.side, Side::Opener { accepted: false, .. })
    }

    /// Takes as many of these bytes as there is room for.
    ///
    /// # Errors
    /// The channel was reset.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Reset> {
        match &self.over {
            Some(Over::Reset(reset)) => Err(reset.clone()),
            _ => Ok(self.outgoing.write(bytes)),
        }
    }

    /// No more is written. What was written is still sent.
    pub fn finish(&mut self) {
        self.outgoing.finish();
        self.settle();
    }

    /// Takes out at most this many bytes, which are then consumed.
    ///
    /// # Errors
    /// The channel was reset.
    pub fn read(&mut self, most: usize) -> Result<Reading, Reset> {
        if let Some(Over::Reset(reset)) = &self.over {
            return Err(reset.clone());
        }
        if self.incoming.has_bytes() {
            let bytes = self.incoming.read(most);
            self.settle();
            return Ok(Reading::Bytes(bytes));
        }
        Ok(if self.incoming.is_done() { Reading::End } else { Reading::Nothing })
    }

    /// Ends the channel at both ends, unless it is over.
    pub fn reset(&mut self, reset: Reset) {
        if self.over.is_none() {
            self.be_over(reset);
            self.reset_due = true;
        }
    }

    /// Ends the channel at this end only: nothing more will come from the other one.
    pub fn lose(&mut self, reason: &str) {
        if self.over.is_none() {
            self.be_over(Reset::new(ResetCode::Lost, reason));
        }
    }

    fn be_over(&mut self, reset: Reset) {
        self.outgoing.drop_all();
        self.incoming.drop_all();
        self.over = Some(Over::Reset(reset));
    }

    /// The opener has found a path to the other end.
    pub fn attach(&mut self) {
        self.attached = true;
        if let Side::Opener { accepted, open_due, was_attached, awaits_resume, .. } = &mut self.side {
            *open_due = !*accepted;
            if std::mem::replace(was_attached, true) {
                self.attempt = self.attempt.saturating_add(1);
                self.resume_due = true;
                *awaits_resume = true;
            }
        }
    }

    /// The path to the other end is lost.
    pub fn detach(&mut self) {
        self.attached = false;
    }

    /// Takes a frame of this channel. One that breaks the rules resets the channel.
    pub fn receive(&mut self, body: &FrameBody<'_>) {
        let taken = match &self.side {
            Side::Opener { .. } => self.receive_as_opener(body),
            Side::Acceptor { .. } => self.receive_as_acceptor(body),
        };
        if let Err(violation) = taken {
            self.reset(Reset::new(ResetCode::Protocol, violation));
        }
        self.settle();
    }

    fn receive_as_opener(&mut self, body: &FrameBody<'_>) -> Result<(), Violation> {
        // What still comes on a path that was given up is sent again on the next one.
        if self.over.is_some() || !self.attached {
            return Ok(());
        }
        let Side::Opener { accepted, awaits_resume, .. } = &mut self.side else { return Ok(()) };
        match body {
            FrameBody::Reset(reset) => {
                self.be_over(reset.clone());
                Ok(())
            }
            FrameBody::Accept { window } if !*accepted => {
                *accepted = true;
                self.outgoing.open(*window, self.window)
            }
            FrameBody::Resume { attempt, received, consumed } if *awaits_resume && *accepted => {
                if *attempt != self.attempt {
                    return Ok(());
                }
                *awaits_resume = false;
                self.outgoing.resume(*received, *consumed)
            }
            _ if *awaits_resume => Ok(()),
            FrameBody::Accept { .. } => Ok(()),
            _ if !*accepted => Err("a channel is accepted before anything is sent on it"),
            FrameBody::Closed if self.outgoing.is_done() && self.incoming.is_done() => {
                self.over = Some(Over::Closed);
                Ok(())
            }
            FrameBody::Closed => Err("a channel is closed when both directions are finished and read"),
            FrameBody::Resume { .. } => Err("nobody asked to resume"),
            FrameBody::Open { .. } | FrameBody::Detach => Err("an agent does not send this"),
            FrameBody::Data { .. } | FrameBody::Consumed { .. } | FrameBody::Finish { .. } => self.pass(body),
        }
    }

    fn receive_as_acceptor(&mut self, body: &FrameBody<'_>) -> Result<(), Violation> {
        let is_reset = matches!(self.over, Some(Over::Reset(_)));
        let Side::Acceptor { service, window, accept_due, closed_due } = &mut self.side else {
            return Ok(());
        };
        match body {
            FrameBody::Open { window: again, service: asked } => {
                if (asked, again) != (&*service, &*window) {
                    return Err("the channel is open for another service or with another window");
                }
                self.attached = true;
                *accept_due = true;
                Ok(())
            }
            FrameBody::Resume { attempt, received, consumed } => {
                if *attempt <= self.attempt {
                    return Err("an attempt to resume comes after those before it");
                }
                self.attempt = *attempt;
                self.attached = true;
                self.resume_due = true;
                *closed_due = self.over == Some(Over::Closed);
                if is_reset {
                    // It may have been lost: an end that resumes is told again.
                    self.reset_due = true;
                    return Ok(());
                }
                self.outgoing.resume(*received, *consumed)
            }
            FrameBody::Detach => {
                self.attached = false;
                Ok(())
            }
            FrameBody::Reset(reset) => {
                if self.over.is_none() {
                    self.be_over(reset.clone());
                }
                Ok(())
            }
            FrameBody::Accept { .. } | FrameBody::Closed => Err("the control plane does not send this"),
            FrameBody::Data { .. } | FrameBody::Consumed { .. } | FrameBody::Finish { .. } => {
                if is_reset || !self.attached {
                    return Ok(());
                }
                self.pass(body)
            }
        }
    }

    fn pass(&mut self, body: &FrameBody<'_>) -> Result<(), Violation> {
        match body {
            FrameBody::Data { offset, bytes } => self.incoming.data(*offset, bytes),
            FrameBody::Consumed { offset } => self.outgoing.consumed(*offset),
            FrameBody::Finish { offset } => self.incoming.finish(*offset),
            _ => Ok(()),
        }
    }

    /// The acceptor notices first that both directions are done, and says so; then the opener knows that both ends
    /// know.
    fn settle(&mut self) {
        if let Side::Acceptor { closed_due, .. } = &mut self.side
            && self.over.is_none()
            && self.outgoing.is_done()
            && self.incoming.is_done()
        {
            *closed_due = true;
            self.over = Some(Over::Closed);
        }
    }

    /// The next frame to send, if there is one now.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let channel = self.channel;
        self.next_body().map(|body| Frame { channel, body })
    }

    fn next_body(&mut self) -> Option<FrameBody<'_>> {
        if !self.attached {
            return None;
        }
        if let Some(Over::Reset(reset)) = &self.over {
            return std::mem::take(&mut self.reset_due).then(|| FrameBody::Reset(reset.clone()));
        }
        match &mut self.side {
            Side::Opener { service, open_due, .. } => {
                if std::mem::take(open_due) {
                    return Some(FrameBody::Open { window: self.window, service: service.clone() });
                }
            }
            Side::Acceptor { accept_due, .. } => {
                if std::mem::take(accept_due) {
                    return Some(FrameBody::Accept { window: self.window });
                }
            }
        }
        if std::mem::take(&mut self.resume_due) {
            let (received, consumed) = self.incoming.tell();
            return Some(FrameBody::Resume { attempt: self.attempt, received, consumed });
        }
        if matches!(
            self.side,
            Side::Opener { accepted: false, .. } | Side::Opener { awaits_resume: true, .. }
        ) {
            return None;
        }
        if let Some(offset) = self.incoming.credit() {
            return Some(FrameBody::Consumed { offset });
        }
        if self.outgoing.has_data() {
            let (offset, bytes) = self.outgoing.data();
            return Some(FrameBody::Data { offset, bytes });
        }
        if let Some(offset) = self.outgoing.finish_now() {
            return Some(FrameBody::Finish { offset });
        }
        match &mut self.side {
            Side::Acceptor { closed_due, .. } => std::mem::take(closed_due).then_some(FrameBody::Closed),
            Side::Opener { .. } => None,
        }
    }

    /// How many bytes it keeps and holds.
    #[must_use]
    pub fn memory(&self) -> (usize, usize) {
        (self.outgoing.kept(), self.incoming.held())
    }
}

#[cfg(test)]
mod tests;
