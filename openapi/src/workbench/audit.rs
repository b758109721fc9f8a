use domain::audit::{AuditDecision, AuditEvent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::Envelope;
use crate::operations::operations;

operations! {
    ListAuditEvents: ListAuditEventsRequest => ListAuditEventsReply;
}

/// Lists the calls to the account, newest first. Every parameter that is given must match.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListAuditEventsRequest {
    /// Only events about this instance. Permission is then asked for this instance, and else for all. Omitted or `*`:
    /// all events.
    #[schema(nullable = false, example = "i-bp1example", pattern = r"^(\*|[a-z]{1,8}-[A-Za-z0-9]{1,60})$")]
    pub instance_id: Option<String>,
    /// Only of this caller: its whole ARN.
    #[schema(nullable = false, example = "acs:ram::1609982529000000:user/ana")]
    #[validate(length(
        min = 1,
        max = 512,
        message = "it must be the whole ARN of a caller, at most 512 characters"
    ))]
    pub principal: Option<String>,
    /// Only of this action: its whole name, as events have it in Action.
    #[schema(nullable = false, example = "SetInstanceRecordConfig")]
    #[validate(length(
        min = 1,
        max = 128,
        message = "it must be the whole name of an action, at most 128 characters"
    ))]
    pub event_action: Option<String>,
    /// Only about exactly this resource: an ARN or `*`.
    #[schema(
        nullable = false,
        example = "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-bp1example"
    )]
    #[validate(length(
        min = 1,
        max = 1024,
        message = "it must be a whole resource, at most 1024 characters"
    ))]
    pub resource: Option<String>,
    /// Only calls with this decision: `Allowed`, `Denied`, or `NotAsked` when they were refused before a
    /// policy was asked.
    #[schema(nullable = false, example = "Denied", pattern = "^(Allowed|Denied|NotAsked)$")]
    pub decision: Option<String>,
    /// Only calls that arrived at this moment or later.
    #[schema(nullable = false, example = "2023-04-10T12:41:28Z")]
    pub start_time: Option<String>,
    /// Only calls that arrived before this moment.
    #[schema(nullable = false, example = "2023-04-10T13:41:28Z")]
    pub end_time: Option<String>,
    /// How many entries a page shows.
    #[schema(nullable = false, minimum = 1, maximum = 100, default = 10)]
    #[validate(range(min = 1, max = 100, message = "it must be a whole number from 1 to 100"))]
    pub page_size: Option<i32>,
    /// Where the previous page ended, from its reply.
    #[schema(nullable = false)]
    #[validate(length(min = 1, max = 512, message = "it must be the NextToken of an earlier reply"))]
    pub next_token: Option<String>,
    /// Recorded, and otherwise ignored.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it must have at most 128 characters"))]
    pub region_id: Option<String>,
}

/// A page of the audit trail. How many events there are in all is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListAuditEventsReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// The page.
    pub root: AuditEventPage,
    /// Where this page ends; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_token: Option<String>,
}

/// Audit events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AuditEventPage {
    /// The entries of this page.
    pub audit_event_list: Vec<AuditEventItem>,
}

/// One authenticated call, or one read of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AuditEventItem {
    /// The call's own RequestId.
    #[schema(example = "473469C7-AA6F-4DC5-B3DB-A3DC0DE30E47")]
    pub request_id: String,
    /// When the call arrived.
    #[schema(example = "2023-04-10T12:41:28.123Z")]
    pub event_time: String,
    /// The caller's ARN.
    pub principal: String,
    /// The access key that signed; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub access_key_id: Option<String>,
    /// The action that was called.
    pub action: String,
    /// What it was about: an ARN or `*`; empty when the call was refused before that was known.
    pub resource: String,
    /// The instance that the resource names; absent where it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub instance_id: Option<String>,
    /// `Allowed`, `Denied` or `NotAsked`.
    #[schema(example = "Allowed")]
    pub decision: String,
    /// The statement or the fixed rule that decided; absent when none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub decided_by: Option<String>,
    /// `OK`, or the code of the refusal.
    #[schema(example = "OK")]
    pub result: String,
    /// The address that the call came from; absent for changes made on the machine of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub source_address: Option<String>,
    /// The caller's program, as it identified itself.
    pub user_agent: String,
    /// The recording concerned; absent where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub terminal_session_token: Option<String>,
    /// How a recording was looked at (`ticket`, `exchange`, `replay`, `download`), or another short word; absent where
    /// there is nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub how: Option<String>,
}

impl From<AuditEvent> for AuditEventItem {
    fn from(event: AuditEvent) -> Self {
        let instance_id = event.instance().map(String::from);
        let (decision, decided_by) = match event.decision {
            AuditDecision::Allowed { by } => ("Allowed", Some(by)),
            AuditDecision::Denied { by } => ("Denied", by),
            AuditDecision::NotAsked => ("NotAsked", None),
        };
        Self {
            request_id: event.request_id,
            event_time: event.at.to_rfc3339_millis(),
            principal: event.principal,
            access_key_id: event.access_key_id,
            action: event.action,
            resource: event.resource,
            instance_id,
            decision: decision.to_owned(),
            decided_by,
            result: event.result,
            source_address: event.source_address.map(|address| address.to_string()),
            user_agent: event.user_agent,
            terminal_session_token: event.recording,
            how: (!event.how.is_empty()).then_some(event.how),
        }
    }
}
