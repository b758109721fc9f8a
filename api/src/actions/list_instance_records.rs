//! ListInstanceRecords: recordings of one instance or of all, newest first.

use domain::InstanceId;
use domain::actions::ListInstanceRecords;
use domain::gate::Granted;
use domain::principal::Principal;
use domain::recording_filter::RecordingFilter;
use domain::recording_life::{Recording, RecordingState, SessionEnd, WireStatus};
use domain::waiting::WaitingRecordings;
use openapi::error_codes::WireError;
use openapi::workbench::{
    Envelope, LedgerItem, ListInstanceRecordsReply, ListInstanceRecordsRequest, RecordItem, RecordPage,
    WaitingItem,
};
use persistence::{PageRequest, RecordingQuery};
use recording::KindSummary;

use super::{list_refused, only_instance, page, wire_count, wire_time};
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListInstanceRecords {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input {
            instance: only_instance(request.instance_id.clone())?,
            include_expired: request.include_expired.unwrap_or(false),
            page: page(request.page_number, request.page_size, request.next_token.clone()),
            filter: filter(request),
        })
    }

    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(call.list(input.instance.clone(), true).await?.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { include_expired, filter, page, .. } = input;
        let query = RecordingQuery { include_expired, filter: filter?, page: page?, now: call.now() };
        let waiting = call.store.all_waiting(&granted).await?;
        let page = call.store.list_recordings(&granted, query).await.map_err(list_refused)?;
        Ok(Done::read(ListInstanceRecordsReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: RecordPage {
                total_count: wire_count(page.total_count),
                total_count_is_lower_bound: page.total_is_lower_bound.then_some(true),
                record_list: page.recordings.iter().map(|recording| item(call, recording)).collect(),
                waiting_list: waiting.into_iter().map(waiting_item).collect(),
            },
            next_token: page.next_token,
        }))
    }
}

/// Which recordings are wanted.
pub(crate) struct Input {
    instance: Option<InstanceId>,
    include_expired: bool,
    filter: Deferred<RecordingFilter>,
    page: Deferred<PageRequest>,
}

fn filter(request: ListInstanceRecordsRequest) -> Result<RecordingFilter, WireError> {
    let started_after = request.started_after.transpose()?;
    let started_before = request.started_before.transpose()?;
    if let (Some(from), Some(until)) = (started_after, started_before)
        && from >= until
    {
        return Err(WireError::invalid("StartedBefore", "it must be later than StartedAfter"));
    }
    Ok(RecordingFilter {
        started_after,
        started_before,
        status: request.status.transpose()?,
        user_name: request.user_name.map(String::from),
        token_prefix: request.token_prefix.transpose()?,
    })
}

fn item(call: &Call<'_>, recording: &Recording) -> RecordItem {
    let path = format!("view/instance/record/replay/{}", recording.token);
    RecordItem {
        // 16 digits beginning with 1 (DECISIONS I1): exact in 64 bits and in every client's numbers.
        account_id: recording.account.as_str().parse().unwrap_or_default(),
        agent_id: recording.agent.to_string(),
        capture_kind: recording.kind.as_str().to_owned(),
        claimed_user: recording.claimed_owner.clone(),
        command: recording.command.clone(),
        delivery_mode: recording.delivery_mode.map(|mode| mode.to_string()),
        expire_time: wire_time(recording.expires_at(call.now())),
        failure_policy: recording.failure_policy.map(|policy| policy.to_string()),
        gmt_create: wire_time(recording.listed_at()),
        instance_id: recording.instance.to_string(),
        instance_record_url: call.hansard.settings.public_address(&path),
        ledger_list: ledger_list(recording),
        record_duration_millis: recording.length_so_far_millis(call.now()),
        recorder: recording.recorder.to_string(),
        session_owner: recording.owner.as_ref().map(|owner| owner.arn.clone()),
        status: recording.status().as_str().to_owned(),
        status_reason: status_reason(recording),
        successor_agent_id: recording.succession.as_ref().map(|of| of.successor.to_string()),
        terminal_session_token: recording.token.to_string(),
    }
}

/// What a recording lacks or did less, as far as that is known.
pub(crate) fn ledger_list(recording: &Recording) -> Option<Vec<LedgerItem>> {
    recording.ledger.as_ref().map(|ledger| ledger.kinds().iter().map(ledger_item).collect())
}

/// The largest number that every client reads exactly.
const MOST: i64 = (1 << 53) - 1;

fn ledger_item(kind: &KindSummary) -> LedgerItem {
    let number = |number: u64| i64::try_from(number).unwrap_or(MOST).min(MOST);
    let known = |lost: u64| (lost > 0).then(|| number(lost));
    LedgerItem {
        count: number(kind.count),
        first_at_millis: number(kind.first_at.get() / 1_000),
        kind: kind.kind.as_str().to_owned(),
        last_at_millis: number(kind.last_at.get() / 1_000),
        lost_bytes: known(kind.lost_bytes),
        lost_events: known(kind.lost_events),
        reason: kind.reason.clone(),
    }
}

fn waiting_item(waiting: WaitingRecordings) -> WaitingItem {
    WaitingItem {
        instance_id: waiting.instance.to_string(),
        agent_id: waiting.agent.to_string(),
        recordings: waiting.recordings,
        reason: waiting.reason,
        since: wire_time(waiting.since),
    }
}

/// Why a recording is interrupted or failed.
fn status_reason(recording: &Recording) -> Option<String> {
    if !matches!(recording.status(), WireStatus::Interrupted | WireStatus::Failed) {
        return None;
    }
    Some(match &recording.state {
        RecordingState::Open | RecordingState::Abandoned { .. } => {
            "nothing has been heard of the agent since".to_owned()
        }
        RecordingState::Closed { reason, .. } => reason.clone(),
        RecordingState::Sealed { end, .. } | RecordingState::Delivered { end, .. } => match end {
            SessionEnd::Interrupted { reason } => reason.clone(),
            SessionEnd::Exited => "the session ended before anything was recorded".to_owned(),
        },
    })
}
