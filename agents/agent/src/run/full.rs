//! Ends sessions whose recordings have almost as many segments as a manifest can list, or has them go on unrecorded where the
//! failure policy lets them: what was recorded must be sealed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_protocol::recorder::{ControlReply, ControlRequest};
use recording::{ENOUGH_SEGMENTS, TerminalSessionToken};

use super::Agent;
use super::ending::goes_on_without;
use super::session::Session;

/// How often a recorder is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long a session goes on unrecorded each time.
const PAUSE_MILLIS: u64 = 20_000;

/// The sessions that are full.
#[derive(Debug, Default)]
pub(super) struct Full {
    ask_at: BTreeMap<TerminalSessionToken, Instant>,
}

impl Full {
    /// Asks the recorders that it is time to ask. Gives how long it may take until there is one to ask again.
    pub(super) fn advance(&mut self, agent: &Agent) -> Option<Duration> {
        let now = Instant::now();
        let full = |session: &Arc<Session>| is_full(session.segments());
        let full: Vec<Arc<Session>> = agent.sessions.open().into_iter().filter(full).collect();
        self.ask_at.retain(|token, _| full.iter().any(|session| session.token() == token));
        for session in full.into_iter().filter(|session| session.is_recorded_now().unwrap_or(true)) {
            if self.ask_at.get(session.token()).is_none_or(|at| *at <= now) {
                self.ask_at.insert(session.token().clone(), now + ASK_EVERY);
                tokio::spawn(ask(session));
            }
        }
        self.ask_at.values().map(|at| at.saturating_duration_since(now)).filter(|wait| !wait.is_zero()).min()
    }
}

fn is_full(segments: u32) -> bool {
    segments >= ENOUGH_SEGMENTS
}

fn request(session: &Session) -> ControlRequest {
    let reason = format!("its recording has {ENOUGH_SEGMENTS} segments, and no recording can have many more");
    match goes_on_without(session) {
        true => ControlRequest::Pause { reason, millis: PAUSE_MILLIS },
        false => ControlRequest::End { reason },
    }
}

async fn ask(session: Arc<Session>) {
    let why = match session.ask_recorder(&request(&session)).await {
        Ok(ControlReply::Done) => return,
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    };
    tracing::warn!(session = %session.token(), "its recording is full, and it is told again: {why}");
}
