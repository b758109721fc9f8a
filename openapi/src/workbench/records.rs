use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::Envelope;
use crate::operations::operations;

operations! {
    ListInstanceRecords: ListInstanceRecordsRequest => ListInstanceRecordsReply;
    ViewInstanceRecords: ViewInstanceRecordsRequest => ViewInstanceRecordsReply,
        [RecordingNotFound, RecordingExpired];
}

/// Lists recordings, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListInstanceRecordsRequest {
    /// Only those of this instance. Omitted or `*`: those of all.
    #[schema(nullable = false, example = "i-bp1example", pattern = r"^(\*|[a-z]{1,8}-[A-Za-z0-9]{1,60})$")]
    pub instance_id: Option<String>,
    /// Counts from 1.
    #[schema(nullable = false, minimum = 1, default = 1)]
    #[validate(range(min = 1, message = "it is a whole number from 1"))]
    pub page_number: Option<i32>,
    /// How many a page shows.
    #[schema(nullable = false, minimum = 1, maximum = 100, default = 10)]
    #[validate(range(min = 1, max = 100, message = "it is a whole number from 1 to 100"))]
    pub page_size: Option<i32>,
    /// Where the page before ended, from its reply; for reading deep. PageNumber is then omitted.
    #[schema(nullable = false)]
    #[validate(length(min = 1, max = 512, message = "it is the NextToken of an earlier reply"))]
    pub next_token: Option<String>,
    /// Whether expired recordings are listed too; `true` and `false` in any case.
    #[schema(nullable = false, default = false)]
    pub include_expired: Option<bool>,
    /// Recorded; selects nothing.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub region_id: Option<String>,
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
    /// Where this page ends; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_token: Option<String>,
}

/// Recordings, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RecordPage {
    /// How many recordings there are in all, whatever the page.
    pub total_count: i32,
    /// Those of this page.
    pub record_list: Vec<RecordItem>,
    /// Recordings that are not listed yet, because they wait in the spools of their agents: of the instances all of
    /// whose recordings the caller may list. Absent when none waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_list: Vec<WaitingItem>,
}

/// Recordings that the control plane does not take, of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct WaitingItem {
    /// The instance.
    pub instance_id: String,
    /// The agent.
    #[schema(example = "agent-5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub agent_id: String,
    /// How many wait, as the agent said last.
    pub recordings: u32,
    /// Why most of them wait.
    pub reason: String,
    /// Since when some have been waiting.
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
    /// When it becomes hidden; provisional while it runs.
    #[schema(example = "2023-11-16T02:59:39Z")]
    pub expire_time: String,
    /// When the session started: the earlier of what its agent claims and when the control plane first heard of it.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub gmt_create: String,
    /// The instance.
    pub instance_id: String,
    /// Its page in the console.
    pub instance_record_url: String,
    /// Its length so far.
    pub record_duration_millis: i64,
    /// Who ran the process that captured it: `same-user` is the recorded user's own process, which could have ended,
    /// altered or invented it.
    #[schema(example = "same-user")]
    pub recorder: String,
    /// `running`, `finished`, `interrupted` or `failed`.
    #[schema(example = "running")]
    pub status: String,
    /// Why it is interrupted or failed; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status_reason: Option<String>,
    /// Its identifier.
    #[schema(example = "5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub terminal_session_token: String,
}

/// Asks to view one recording.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ViewInstanceRecordsRequest {
    /// The instance that was recorded.
    #[schema(example = "i-bp1example", pattern = "^[a-z]{1,8}-[A-Za-z0-9]{1,60}$")]
    pub instance_id: String,
    /// The recording.
    #[schema(example = "5f0c6de1c8b04a1c9a3f5d0c8e7b6a52")]
    pub terminal_session_token: String,
    /// Recorded; selects nothing.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it has at most 128 characters"))]
    pub region_id: Option<String>,
}

/// One view is permitted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ViewInstanceRecordsReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Always true.
    pub root: bool,
    /// Where to watch it: good for one recording, one viewer, once. Its fragment is a secret.
    pub replay_url: String,
    /// Until when the address can be opened.
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
