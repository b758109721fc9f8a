//! VerifyAgentRecordings: which recordings of the account's agents, or of those of one instance, are missing.

use domain::actions::VerifyAgentRecordings;
use domain::gate::Granted;
use domain::principal::Principal;
use domain::recording_continuity::{Absence, MissingRecording};
use domain::{AgentId, InstanceId};
use openapi::error_codes::WireError;
use openapi::workbench::{
    CheckedAgentItem, CheckedAgents, Envelope, MissingRecordingItem, VerifyAgentRecordingsReply,
};

use super::{filtered, only_instance, wire_count, wire_time};
use crate::continuity::{CheckedAgent, check};
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::limits::concurrency::LONGEST_WAIT;

/// How many findings of one agent a reply shows, and how many of its recordings that could not be checked.
const SHOWN: usize = 100;

impl RpcAction for VerifyAgentRecordings {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input { instance: only_instance(request.instance_id)?, agent: request.agent_id.transpose() })
    }

    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(filtered(call, input.instance.as_ref()).await?.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let agent = input.agent?;
        // A check reads the folder of every recording. Only a few run at once, so that callers cannot keep the stores
        // busy.
        let _permit = call.hansard.work.verifying.acquire_within(LONGEST_WAIT).await?;
        let checked = check(call.hansard, &granted, agent.as_ref()).await?;
        Ok(Done::read(VerifyAgentRecordingsReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: CheckedAgents { agent_list: checked.agents.into_iter().map(item).collect() },
        }))
    }
}

/// The agents whose recordings are to be checked.
pub(crate) struct Input {
    instance: Option<InstanceId>,
    agent: Deferred<Option<AgentId>>,
}

fn item(checked: CheckedAgent) -> CheckedAgentItem {
    let count = |absence| {
        let of = checked.missing.iter().filter(|missing| missing.absence == absence);
        wire_count(of.map(width).fold(0, u64::saturating_add))
    };
    CheckedAgentItem {
        agent_id: checked.agent.to_string(),
        instance_id: checked.instance.as_ref().map(ToString::to_string),
        recording_count: wire_count(checked.recordings),
        unchecked_count: wire_count(checked.unchecked.len() as u64),
        unchecked_list: checked.unchecked.iter().take(SHOWN).map(ToString::to_string).collect(),
        gone_count: count(Absence::Gone),
        not_arrived_count: count(Absence::NotArrived),
        missing_list: checked.missing.iter().take(SHOWN).map(missing_item).collect(),
    }
}

fn width(missing: &MissingRecording) -> u64 {
    missing.numbers.map_or(1, |(first, last)| (last - first).saturating_add(1))
}

fn missing_item(missing: &MissingRecording) -> MissingRecordingItem {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    MissingRecordingItem {
        absence: missing.absence.as_str().to_owned(),
        terminal_session_token: missing.token.as_ref().map(ToString::to_string),
        number: missing.numbers.map(|(first, _)| number(first)),
        last_number: missing.numbers.filter(|(first, last)| first != last).map(|(_, last)| number(last)),
        since: wire_time(missing.since),
        reason: missing.why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use domain::TerminalSessionToken;

    use super::*;

    #[test]
    fn what_could_not_be_checked_is_counted_and_named() {
        let unchecked: Vec<_> = (0..SHOWN + 1).map(|_| TerminalSessionToken::generate()).collect();
        let checked = CheckedAgent {
            agent: AgentId::generate(),
            instance: None,
            recordings: 200,
            missing: Vec::new(),
            unchecked: unchecked.clone(),
        };
        let item = item(checked);
        assert_eq!((item.unchecked_count, item.gone_count, item.not_arrived_count), (101, 0, 0));
        let first: Vec<_> = unchecked[..SHOWN].iter().map(ToString::to_string).collect();
        assert_eq!(item.unchecked_list, first);
    }
}
