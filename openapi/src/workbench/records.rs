use domain::parameter::TextShape;
use domain::record_config::InstanceSelector;
use domain::recording_filter::TokenPrefix;
use domain::recording_life::WireStatus;
use domain::{InstanceId, TerminalSessionToken, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Envelope;
use crate::operations::operations;
use crate::parameter_types::{IgnoredRegion, NextToken, PageNumber, PageSize, texts_of_a_length};
use crate::parameters::{Deferred, Parameters};

operations! {
    ListInstanceRecords: ListInstanceRecordsRequest => ListInstanceRecordsReply;
    ViewInstanceRecords: ViewInstanceRecordsRequest => ViewInstanceRecordsReply,
        [RecordingNotFound, RecordingExpired];
}

/// Lists recordings, newest first: those that fit every parameter that is given.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListInstanceRecordsRequest {
    /// Only those of this instance. Omitted or `*`: those of all.
    #[parameter(example = "i-bp1example")]
    pub instance_id: Option<Deferred<InstanceSelector>>,
    /// The number of the page, from 1.
    #[parameter(default = 1)]
    pub page_number: Option<PageNumber>,
    /// How many entries a page shows.
    #[parameter(default = 10)]
    pub page_size: Option<PageSize>,
    /// Where the previous page ended, from its reply; suited to long lists. PageNumber is then omitted.
    pub next_token: Option<NextToken>,
    /// Whether expired recordings are listed too; `true` and `false` in any case.
    #[parameter(default = false)]
    pub include_expired: Option<bool>,
    /// Only recordings that started at this moment or later, as GmtCreate has it; in UTC, with a fraction of a second or
    /// without.
    #[parameter(example = "2023-04-10T12:41:28Z")]
    pub started_after: Option<Deferred<Timestamp>>,
    /// Only recordings that started before this moment.
    #[parameter(example = "2023-04-10T13:41:28Z")]
    pub started_before: Option<Deferred<Timestamp>>,
    /// Only recordings with this status: `running`, `finished`, `interrupted` or `failed`.
    #[parameter(example = "running")]
    pub status: Option<Deferred<WireStatus>>,
    /// Only recordings of the user with exactly this name. It fits the proven owner of the session, who is in
    /// SessionOwner: a user by name, a role's session as `role/session`, the account's owner as `root`. It also fits the
    /// user of the instance whom the agent claims, who is in ClaimedUser, and whom nothing proves.
    #[parameter(example = "ana")]
    pub user_name: Option<RecordedUser>,
    /// Only recordings whose TerminalSessionToken begins with these 4 to 32 lower-case hexadecimal digits.
    #[parameter(example = "5f0c6de1")]
    pub token_prefix: Option<Deferred<TokenPrefix>>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
}

/// A page of recordings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListInstanceRecordsReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// The page.
    pub root: RecordPage,
    /// Where this page ends; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_token: Option<String>,
}

/// Recordings, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RecordPage {
    /// The total number of recordings, on all pages. It is exact, unless StartedAfter, StartedBefore, Status, UserName,
    /// TokenPrefix or policies that distinguish the recordings of an instance narrow the list to more than 10,000: then it
    /// is 10,000.
    pub total_count: i32,
    /// True when there are more recordings than TotalCount; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total_count_is_lower_bound: Option<bool>,
    /// The entries of this page.
    pub record_list: Vec<RecordItem>,
    /// Recordings that are not listed yet, because they wait in the spools of their agents: of the instances all of
    /// whose recordings the caller may list. Absent when none waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_list: Vec<WaitingItem>,
}

/// Recordings of one agent that the control plane does not accept yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct WaitingItem {
    /// The instance.
    pub instance_id: String,
    /// The agent.
    #[schema(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: String,
    /// How many wait, as the agent last reported.
    pub recordings: u32,
    /// Why most of them wait.
    pub reason: String,
    /// Since when recordings have been waiting.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub since: String,
}

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RecordItem {
    /// The account.
    #[schema(example = 1_609_982_529_000_000_i64)]
    pub account_id: i64,
    /// The agent that recorded it.
    #[schema(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: String,
    /// What it is of, such as `terminal`.
    #[schema(example = "terminal")]
    pub capture_kind: String,
    /// The user of the session on the instance, as the agent claims; absent where it claims none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ana (uid 1000)")]
    pub claimed_user: Option<String>,
    /// The recorded command as the agent claims, quoted as in a shell; at most 200 characters, the rest is marked by
    /// `…`. Absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "psql -c 'select 1'")]
    pub command: Option<String>,
    /// How far delivery may be behind what the person is shown, as the agent says: `async` or `sync`; absent where it says
    /// nothing. If `sync` was given up during the session, LedgerList has a degraded mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "async")]
    pub delivery_mode: Option<String>,
    /// When it becomes hidden; a provisional time while the session runs.
    #[schema(example = "2023-11-16T02:59:39Z")]
    pub expire_time: String,
    /// What happens to the session when its recording fails, as the agent says: `strict` or `best_effort`; absent where it says
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "strict")]
    pub failure_policy: Option<String>,
    /// When the session started: the earlier of what its agent claims and when the control plane first heard of it.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub gmt_create: String,
    /// The instance.
    pub instance_id: String,
    /// Its page in the console.
    pub instance_record_url: String,
    /// What the recording lacks, or was told to do less, as far as it has arrived: an entry for each kind there is any of.
    /// Absent where that is not known, because the recording is older than ledgers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ledger_list: Option<Vec<LedgerItem>>,
    /// Its duration; of a running session, the time since its start.
    pub record_duration_millis: i64,
    /// Who ran the process that captured it: `separate`, a process beyond the recorded user's reach; `same-user`, one of
    /// the recorded user or within their reach, who could have ended, altered or invented it.
    #[schema(example = "same-user")]
    pub recorder: String,
    /// The ARN of the caller who opened the session, proven by a signed call; absent where nothing proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "acs:ram::1609982529000000:user/ana")]
    pub session_owner: Option<String>,
    /// `running`, `finished`, `interrupted` or `failed`.
    #[schema(example = "running")]
    pub status: String,
    /// Why it is interrupted or failed; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status_reason: Option<String>,
    /// The agent that delivers it in the place of the one that recorded it; absent where none has taken it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "agent-6b525f0c6de1c8b04a1c9a3f5d0c8e7a")]
    pub successor_agent_id: Option<String>,
    /// Its identifier.
    #[schema(example = "5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub terminal_session_token: String,
}

/// What a recording lacks, or did less, of one kind. A number is at most 9007199254740991.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct LedgerItem {
    /// How often it happened.
    #[schema(example = 3)]
    pub count: i64,
    /// When the first happened, in milliseconds since the start of the session.
    #[schema(example = 185_000)]
    pub first_at_millis: i64,
    /// `gap`, `drop`, `truncation` and `rate_limit` are losses: the recording is verified as `complete with loss`.
    /// `stated_limit` and `degraded_mode` are none.
    #[schema(example = "gap")]
    pub kind: String,
    /// When the last happened, in milliseconds since the start of the session.
    #[schema(example = 190_000)]
    pub last_at_millis: i64,
    /// How many bytes are known to be lost; absent when none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 4096)]
    pub lost_bytes: Option<i64>,
    /// How many events are known to be lost; absent when none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 12)]
    pub lost_events: Option<i64>,
    /// Why the first happened, in words.
    #[schema(example = "the spool is damaged at byte 4096")]
    pub reason: String,
}

texts_of_a_length! {
    /// The name of a user of RAM, of a role's session, or of an instance.
    RecordedUser, TextShape::of_length(1..=128), Value, "it must be the whole name of a user, at most 128 characters";
}

/// Asks to view one recording.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ViewInstanceRecordsRequest {
    /// The instance that was recorded.
    #[parameter(example = "i-bp1example")]
    pub instance_id: Deferred<InstanceId>,
    /// The recording.
    #[parameter(example = "5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub terminal_session_token: Deferred<TerminalSessionToken>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
}

/// The permission for one view.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ViewInstanceRecordsReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Always true.
    pub root: bool,
    /// The address of the replay, valid once, for one viewer and this recording. Its fragment is a secret.
    pub replay_url: String,
    /// When the address expires.
    #[schema(example = "2023-04-10T12:46:28Z")]
    pub replay_url_expire_time: String,
}

impl std::fmt::Debug for ViewInstanceRecordsReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewInstanceRecordsReply")
            .field("envelope", &self.envelope)
            .field("replay_url_expire_time", &self.replay_url_expire_time)
            .finish_non_exhaustive()
    }
}
