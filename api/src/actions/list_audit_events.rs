//! ListAuditEvents: the calls to an account, or about one instance, newest first.

use domain::InstanceId;
use domain::actions::ListAuditEvents;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::workbench::{
    AuditEventItem, AuditEventPage, Envelope, ListAuditEventsReply, ListAuditEventsRequest,
};
use persistence::{AuditFilter, AuditQuery, DecisionKind};

use super::{filtered, list_refused, only_instance, page, time};
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListAuditEvents {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input { instance: only_instance(request.instance_id.as_deref())?, query: query(request) })
    }

    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(filtered(call, input.instance.as_ref()).await?.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let page =
            call.hansard.store.list_audit_events(&granted, &input.query?).await.map_err(list_refused)?;
        Ok(Done::read(ListAuditEventsReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: AuditEventPage {
                audit_event_list: page.events.into_iter().map(AuditEventItem::from).collect(),
            },
            next_token: page.next_token,
        }))
    }
}

/// Which rows of the trail are wanted.
pub(crate) struct Input {
    instance: Option<InstanceId>,
    query: Deferred<AuditQuery>,
}

fn query(request: ListAuditEventsRequest) -> Result<AuditQuery, WireError> {
    let decision = request.decision.as_deref().map(decision).transpose()?;
    let from = request.start_time.as_deref().map(|text| time("StartTime", text)).transpose()?;
    let until = request.end_time.as_deref().map(|text| time("EndTime", text)).transpose()?;
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        return Err(WireError::invalid("EndTime", "it must be later than StartTime"));
    }
    let filter = AuditFilter {
        principal: request.principal,
        action: request.event_action,
        resource: request.resource,
        decision,
        from,
        until,
    };
    Ok(AuditQuery { filter, page: page(None, request.page_size, request.next_token)? })
}

fn decision(text: &str) -> Result<DecisionKind, WireError> {
    match text {
        "Allowed" => Ok(DecisionKind::Allowed),
        "Denied" => Ok(DecisionKind::Denied),
        "NotAsked" => Ok(DecisionKind::NotAsked),
        _ => Err(WireError::invalid("Decision", "it must be Allowed, Denied or NotAsked")),
    }
}
