//! How far a session is, and how that is told.

use std::collections::BTreeSet;

use agent_protocol::local::{LocalSession, SessionState};
use serde::{Deserialize, Serialize};

use super::Session;
use super::stream_spool::StreamProgress;
use crate::durable;
use crate::state_directory::PRIVATE_MODE;

pub(super) const REFUSAL: &str = "refused.json";

/// `refused.json`, for people.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    reason: String,
}

/// How far a session is as a whole; how far its streams are, each of them knows.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Progress {
    /// The manifest is made.
    pub(in crate::run) sealed: bool,
    /// Why the control plane refuses it.
    pub(in crate::run) refused: Option<String>,
    /// What went wrong last, until it goes right.
    pub(in crate::run) trouble: Option<String>,
    /// What the control plane said when it did not take what there is, until it does.
    pub(in crate::run) waits_because: Option<String>,
}

impl Session {
    /// Notes that the control plane will not have it. Nothing is erased.
    pub(in crate::run) fn refuse(&self, reason: &str) {
        let refusal = Refusal { reason: reason.to_owned() };
        if let Err(error) = durable::write_json(&self.folder.join(REFUSAL), &refusal, PRIVATE_MODE) {
            tracing::warn!(session = %self.token(), "the refusal could not be stored: {error}");
        }
        self.progress().refused = Some(reason.to_owned());
    }

    /// Notes that the control plane has it after all.
    pub(in crate::run) fn accept(&self) {
        if self.progress().refused.take().is_some()
            && let Err(error) = durable::remove(&self.folder.join(REFUSAL))
        {
            tracing::warn!(session = %self.token(), "the refusal could not be removed: {error}");
        }
    }

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

    /// For `status`.
    pub(in crate::run) fn describe(&self) -> LocalSession {
        let progress = self.progress().clone();
        let state = if progress.refused.is_some() {
            SessionState::Refused
        } else if progress.sealed {
            SessionState::Delivering
        } else {
            SessionState::Recording
        };
        let streams: Vec<StreamProgress> = self.spools.iter().map(|spool| spool.progress().clone()).collect();
        let distrusted = streams.iter().find_map(|stream| stream.distrusted.clone());
        LocalSession {
            terminal_session_token: self.token().clone(),
            state,
            reason: progress.refused.or(progress.trouble).or(distrusted),
            segments: streams.iter().map(|stream| stream.segments).sum(),
            acknowledged: self.acknowledged(),
            spool_bytes: self.spool_bytes(),
        }
    }
}
