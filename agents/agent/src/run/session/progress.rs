//! How far a session is, and how that is told.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_protocol::local::{DeliveryState, LocalSession, SessionState};
use recording::Timestamp;

use super::Session;
use super::refusals::Refusals;
use super::stream_spool::StreamProgress;

/// How far a session is as a whole; how far its streams are, each of them knows.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Progress {
    /// The manifest is made.
    pub(in crate::run) sealed: bool,
    /// It has ended, and cannot be sealed before the control plane has given leave.
    pub(in crate::run) waits_for_leave: bool,
    /// Why the control plane refuses it, if it says that a retry cannot succeed.
    pub(in crate::run) refused: Option<String>,
    /// For how long it has been refused, by whoever answered.
    pub(in crate::run) refusals: Option<Refusals>,
    /// How much of that is on the disk.
    pub(in crate::run) refusals_written: Duration,
    /// What went wrong last, until it goes right.
    pub(in crate::run) trouble: Option<String>,
    /// What the control plane said when it did not take what there is, until it does.
    pub(in crate::run) waits_because: Option<String>,
}

impl Progress {
    /// Whether nothing is recorded any more.
    pub(in crate::run) fn has_ended(&self) -> bool {
        self.sealed || self.waits_for_leave
    }
}

impl Session {
    /// Whether some of a spool could not be read.
    pub(in crate::run) fn is_damaged(&self) -> bool {
        self.spools.iter().any(|spool| spool.progress().damaged)
    }

    /// How many segments were acknowledged.
    pub(in crate::run) fn acknowledged(&self) -> u32 {
        self.spools.iter().map(|spool| spool.progress().acknowledged).sum()
    }

    /// What is to be delivered next: a stream, and the number of its segment. The streams take turns, beginning behind the one that
    /// had the last, so that none waits for another that always has more. Those that are held up have none.
    pub(in crate::run) fn next_to_deliver(
        &self,
        last: usize,
        held_up: &BTreeSet<usize>,
    ) -> Option<(usize, u32)> {
        let streams = self.spools.len();
        let turns = (1..=streams).map(|turn| (last + turn) % streams);
        turns.filter(|stream| !held_up.contains(stream)).find_map(|stream| {
            let progress = self.spools[stream].progress();
            (progress.acknowledged < progress.segments).then_some((stream, progress.acknowledged))
        })
    }

    /// How its delivery stands.
    pub(in crate::run) fn describe_delivery(&self) -> DeliveryState {
        let progress = self.progress();
        let in_quarantine =
            progress.refusals.as_ref().is_some_and(|refusals| refusals.quarantined_at().is_some());
        if in_quarantine {
            DeliveryState::Quarantined
        } else if progress.trouble.is_some() || progress.refused.is_some() || progress.refusals.is_some() {
            DeliveryState::Retrying
        } else {
            DeliveryState::Pending
        }
    }

    /// For `status`.
    pub(in crate::run) fn describe(&self) -> LocalSession {
        let progress = self.progress().clone();
        let state = if progress.refused.is_some() {
            SessionState::Refused
        } else if progress.has_ended() {
            SessionState::Delivering
        } else {
            SessionState::Recording
        };
        let delivery = self.describe_delivery();
        let quarantined_at = progress.refusals.as_ref().and_then(Refusals::quarantined_at);
        let last_refusal = progress.refusals.as_ref().filter(|_| quarantined_at.is_some());
        let refused = last_refusal.map(|refusals| refusals.reason().to_owned());
        let streams: Vec<StreamProgress> = self.spools.iter().map(|spool| spool.progress().clone()).collect();
        let distrusted = streams.iter().find_map(|stream| stream.distrusted.clone());
        let waits_for_leave = progress.waits_for_leave.then(|| {
            "it has ended, and is sealed as soon as the control plane gives leave to seal it for its agent".to_owned()
        });
        LocalSession {
            terminal_session_token: self.token().clone(),
            agent_id: Some(self.start.agent.clone()),
            state,
            delivery,
            quarantined_since: quarantined_at.map(Timestamp::to_rfc3339_seconds),
            reason: refused.or(progress.refused).or(progress.trouble).or(waits_for_leave).or(distrusted),
            segments: streams.iter().map(|stream| stream.segments).sum(),
            acknowledged: self.acknowledged(),
            spool_bytes: self.spool_bytes(),
        }
    }
}
