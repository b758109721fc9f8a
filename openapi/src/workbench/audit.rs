use domain::Timestamp;
use domain::audit::DecisionKind;
use domain::audit::{AuditDecision, AuditEvent};
use domain::parameter::TextShape;
use domain::record_config::InstanceSelector;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Envelope;
use crate::operations::operations;
use crate::parameter_types::{IgnoredRegion, NextToken, PageSize, texts_of_a_length};
use crate::parameters::{Deferred, Parameters};

operations! {
    ListAuditEvents: ListAuditEventsRequest => ListAuditEventsReply;
}

texts_of_a_length! {
    /// The ARN of a caller.
    CallerArn, TextShape::of_length(1..=512), Value, "it must be the whole ARN of a caller, at most 512 characters";
    /// The name of an action.
    ActionName, TextShape::of_length(1..=128), Value, "it must be the whole name of an action, at most 128 characters";
    /// An ARN or `*`.
    ResourceName, TextShape::of_length(1..=1_024), Value, "it must be a whole resource, at most 1024 characters";
}

/// Lists the calls to the account, newest first. Every parameter that is given must match.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListAuditEventsRequest {
    /// Only events about this instance. Permission is then asked for this instance, and else for all. Omitted or `*`:
    /// all events.
    #[parameter(example = "i-bp1example")]
    pub instance_id: Option<Deferred<InstanceSelector>>,
    /// Only of this caller: its whole ARN.
    #[parameter(example = "acs:ram::1609982529000000:user/ana")]
    pub principal: Option<CallerArn>,
    /// Only of this action: its whole name, as events have it in Action.
    #[parameter(example = "SetInstanceRecordConfig")]
    pub event_action: Option<ActionName>,
    /// Only about exactly this resource: an ARN or `*`.
    #[parameter(example = "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-bp1example")]
    pub resource: Option<ResourceName>,
    /// Only calls with this decision: `Allowed`, `Denied`, or `NotAsked` when they were refused before a
    /// policy was asked.
    #[parameter(example = "Denied")]
    pub decision: Option<Deferred<DecisionKind>>,
    /// Only calls that arrived at this moment or later.
    #[parameter(example = "2023-04-10T12:41:28Z")]
    pub start_time: Option<Deferred<Timestamp>>,
    /// Only calls that arrived before this moment.
    #[parameter(example = "2023-04-10T13:41:28Z")]
    pub end_time: Option<Deferred<Timestamp>>,
    /// How many entries a page shows.
    #[parameter(default = 10)]
    pub page_size: Option<PageSize>,
    /// Where the previous page ended, from its reply.
    pub next_token: Option<NextToken>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
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
    /// On the last page: events before this time were removed from the database, and are only in the exported files.
    /// Absent where the list does not reach so far back, or nothing was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2023-04-10T12:41:28.123Z")]
    pub pruned_before: Option<String>,
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
