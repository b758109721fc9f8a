//! The control plane's leave to seal a session that an earlier agent recorded.

use std::io;

use recording::{AgentId, ChainValue, Leave, SealedBy, SealingPublicKey, Stream};

use super::Session;
use crate::durable;
use crate::run::Agent;
use crate::state_directory::PRIVATE_MODE;

/// The leave of whichever successor got one last.
const LEAVE: &str = "leave.json";

impl Session {
    /// Whether another agent recorded it.
    pub(in crate::run) fn is_of_predecessor(&self, agent: &Agent) -> bool {
        self.start.agent != agent.identity.agent_id
    }

    /// The leave to seal it that this agent has, now or since an earlier start. That of another agent is none, and neither is what
    /// cannot be believed: leave is asked for again.
    pub(in crate::run) fn find_leave(&self, successor: &Successor) -> io::Result<Option<&SealedBy>> {
        if let Some(leave) = self.leave.get() {
            return Ok(Some(leave));
        }
        let kept = match durable::find_json::<SealedBy>(&self.folder.join(LEAVE)) {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(session = %self.token(), "the leave that was kept cannot be read: {error}");
                None
            }
            Err(error) => return Err(error),
        };
        let Some(kept) = kept else { return Ok(None) };
        match self.refusal_of_leave(&kept, successor)? {
            None => Ok(Some(self.leave.get_or_init(|| kept))),
            Some(why) => {
                tracing::debug!(session = %self.token(), "the leave that was kept is of no use: {why}");
                Ok(None)
            }
        }
    }

    /// Keeps the leave that this agent got, before anything follows from it.
    pub(in crate::run) fn keep_leave(&self, leave: SealedBy) -> io::Result<()> {
        durable::write_json(&self.folder.join(LEAVE), &leave, PRIVATE_MODE)?;
        self.leave.get_or_init(|| leave);
        self.leave_came.notify_one();
        Ok(())
    }

    /// Why something is no leave for this agent to seal this session; `None` if it is. Which keys of a control plane sign leaves,
    /// an agent does not know: who verifies the recording does.
    pub(in crate::run) fn refusal_of_leave(
        &self,
        sealed_by: &SealedBy,
        successor: &Successor,
    ) -> io::Result<Option<String>> {
        let leave = match sealed_by.open_for(&self.start, &self.start_document) {
            Ok(leave) => leave,
            Err(why) => return Ok(Some(why)),
        };
        if let Some(why) = successor.refusal(&leave) {
            return Ok(Some(why));
        }
        for before in &leave.arrived {
            let chain = match before.segments.checked_sub(1) {
                None => Some(ChainValue::first(&self.start_document, before.stream)),
                Some(last) => self.find_chain(before.stream, last)?,
            };
            if chain != Some(before.chain) {
                return Ok(Some(format!(
                    "it says that {} segments of {} had arrived, and they are not those that were cut here",
                    before.segments, before.stream
                )));
            }
        }
        Ok(None)
    }

    /// The value of a stream's chain after one of its segments. What was cut stays noted when it was delivered.
    fn find_chain(&self, stream: Stream, number: u32) -> io::Result<Option<ChainValue>> {
        for spool in &self.spools {
            let records = spool.cut_records()?;
            let mut records = records.iter().filter(|record| record.stream == stream);
            if let Some(record) = records.find(|record| record.entry.number == number) {
                return Ok(Some(record.entry.chain));
            }
        }
        Ok(None)
    }
}

/// This agent, as leave names it.
#[derive(Debug, Clone)]
pub(in crate::run) struct Successor {
    agent_id: AgentId,
    sealing_key: SealingPublicKey,
}

impl Successor {
    pub(in crate::run) fn of(agent: &Agent) -> Self {
        Successor { agent_id: agent.identity.agent_id.clone(), sealing_key: agent.sealing.public_key() }
    }

    fn refusal(&self, leave: &Leave) -> Option<String> {
        if leave.successor != self.agent_id {
            return Some(format!("it is leave for {}, not for this agent", leave.successor));
        }
        (leave.successor_sealing_key != self.sealing_key)
            .then(|| "it is leave to seal with another key than this agent's".to_owned())
    }
}

/// Has the manifest made once there is leave: the cutter waits for nothing else of such a session. It never ends by itself.
pub(in crate::run) async fn when_leave_comes(session: &Session, then: impl FnOnce()) {
    session.leave_came.notified().await;
    then();
    std::future::pending().await
}
