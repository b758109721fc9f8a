//! ListAuditEvents: what was asked of the account, or about one instance, newest first.

use domain::Timestamp;
use domain::actions::ListAuditEvents;
use domain::gate::{Granted, Resource};
use domain::record_config::InstanceSelector;
use openapi::error_codes::WireError;
use openapi::workbench::{
    AuditEventItem, AuditEventPage, Envelope, ListAuditEventsReply, ListAuditEventsRequest,
};
use persistence::{AuditFilter, AuditQuery, DecisionKind};

use super::{list_refused, page, selector};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListAuditEvents {
    type Request = ListAuditEventsRequest;
    type Reply = ListAuditEventsReply;

    async fn locate(call: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        match asked.instance_id.as_deref().map(selector).transpose()? {
            Some(InstanceSelector::One(instance)) => call.instance(instance).await,
            Some(InstanceSelector::All) | None => Ok(Resource::Everything),
        }
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let query =
            AuditQuery { filter: filter(&asked)?, page: page(None, asked.page_size, asked.next_token)? };
        let page = call.hansard.store.list_audit_events(&granted, &query).await.map_err(list_refused)?;
        Ok(Done::read(ListAuditEventsReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: AuditEventPage {
                audit_event_list: page.events.into_iter().map(AuditEventItem::from).collect(),
            },
            next_token: page.next_token,
        }))
    }
}

fn filter(asked: &ListAuditEventsRequest) -> Result<AuditFilter, WireError> {
    let decision = asked.decision.as_deref().map(decision).transpose()?;
    let from = asked.start_time.as_deref().map(|text| time("StartTime", text)).transpose()?;
    let until = asked.end_time.as_deref().map(|text| time("EndTime", text)).transpose()?;
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        return Err(WireError::invalid("EndTime", "it is later than StartTime"));
    }
    Ok(AuditFilter {
        principal: asked.principal.clone(),
        action: asked.event_action.clone(),
        resource: asked.resource.clone(),
        decision,
        from,
        until,
    })
}

fn decision(text: &str) -> Result<DecisionKind, WireError> {
    match text {
        "Allowed" => Ok(DecisionKind::Allowed),
        "Denied" => Ok(DecisionKind::Denied),
        "NotAsked" => Ok(DecisionKind::NotAsked),
        _ => Err(WireError::invalid("Decision", "it is Allowed, Denied or NotAsked")),
    }
}

fn time(parameter: &'static str, text: &str) -> Result<Timestamp, WireError> {
    Timestamp::parse_rfc3339_seconds(text)
        .map_err(|_| WireError::invalid(parameter, "it is a time in UTC such as 2023-11-16T02:59:39Z"))
}
