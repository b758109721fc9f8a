//! A recording that is still running: what arrives while it is played.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::named_recording::NamedRecording;
use super::playing::{Arrived, playing};
use super::replay_session::ReplaySession;
use crate::client::Client;
use crate::failure::Failure;
use crate::player::More;

/// How soon it is asked again after something came. Agents send what was recorded every few seconds.
const SOONEST: Duration = Duration::from_secs(1);

/// The longest pause while nothing comes.
const LATEST: Duration = Duration::from_secs(8);

/// After so long without an answer it is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(300);

/// Asks for what arrives.
pub(super) struct Follower<'a> {
    client: &'a Client,
    recording: NamedRecording,
    session: ReplaySession<'a>,
    /// The first segment that has not arrived.
    next: u32,
}

impl<'a> Follower<'a> {
    /// Follows the recording of this session from a segment on.
    pub(super) fn new(client: &'a Client, session: ReplaySession<'a>, next: u32) -> Self {
        Self { client, recording: session.recording().clone(), session, next }
    }

    /// Sends what arrives until the recorded session has ended.
    ///
    /// # Errors
    /// The server refuses, or has not answered for minutes.
    pub(super) async fn follow(mut self, sender: Sender<More>) -> Result<(), Failure> {
        let mut pause = SOONEST;
        let mut answered = Instant::now();
        loop {
            tokio::time::sleep(pause).await;
            match self.ask().await {
                Ok(arrived) => {
                    answered = Instant::now();
                    let something = !arrived.lines.events.is_empty();
                    pause = if something { SOONEST } else { (pause * 2).min(LATEST) };
                    // Also where nothing came: then at least the server is back.
                    let gone = sender.send(More::Events(arrived.lines.events)).is_err();
                    if gone || !arrived.goes_on {
                        // Whoever has left does not hear it.
                        let _ = sender.send(More::Ended);
                        return Ok(());
                    }
                }
                Err(failure) if failure.may_pass() && answered.elapsed() < GIVEN_UP_AFTER => {
                    pause = (pause * 2).min(LATEST);
                    if sender.send(More::Trouble(failure.message().to_owned())).is_err() {
                        return Ok(());
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// What has arrived since it was asked last. A session that has ended is opened again, as the viewer may still look.
    async fn ask(&mut self) -> Result<Arrived, Failure> {
        let reply = match playing(&self.session, &format!("cast/{}", self.next)).await {
            Err(failure) if !failure.may_pass() => {
                self.session = ReplaySession::of(self.client, self.recording.clone()).await?;
                playing(&self.session, &format!("cast/{}", self.next)).await?
            }
            reply => reply?,
        };
        let arrived = Arrived::read(&self.session, reply).await?;
        self.next = arrived.next_segment.unwrap_or(self.next);
        Ok(arrived)
    }
}
