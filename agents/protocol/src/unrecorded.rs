//! `POST /agent/v1/unrecorded-sessions`: what an agent reports of sessions that had to be recorded and were not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Sessions that ran unrecorded under `best_effort`, because their recordings could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UnrecordedSessionsRequest {
    /// 32 lower-case hexadecimal digits that name this report. It is the same in every attempt to deliver it, so that two
    /// audit rows with one id are known to be about the same sessions.
    pub report_id: String,
    /// The kind of capture that there was to be.
    pub kind: String,
    /// The user, as the agent claims: a name with the number that the kernel vouches for. `several users` where there was no
    /// room for a report of each.
    pub claimed_user: String,
    /// How many sessions it is about: one, unless so many began that an agent had no room for a report of each.
    pub sessions: u32,
    /// When the first one began, RFC 3339 in UTC with milliseconds.
    pub first_time: String,
    /// When the last one began.
    pub last_time: String,
    /// Why the first one could not be recorded.
    pub reason: String,
    /// The revision of the configuration that let them go on.
    pub configuration_revision: u64,
}

/// The audit trail has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UnrecordedSessionsReply {
    /// The request's id, as in `x-acs-request-id`.
    pub request_id: String,
}
