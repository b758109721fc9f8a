//! ListAuditEvents: the calls to an account, or about one instance, newest first.

use domain::InstanceId;
use domain::actions::ListAuditEvents;
use domain::gate::Granted;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::workbench::{
    AuditEventItem, AuditEventPage, Envelope, ListAuditEventsReply, ListAuditEventsRequest,
};
use persistence::{AuditFilter, AuditQuery};

use super::{filtered, list_refused, only_instance, page};
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListAuditEvents {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let instance = only_instance(request.instance_id.clone())?;
        Ok(Input { instance, query: query(request) })
    }

    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(filtered(call, input.instance.as_ref()).await?.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let page = call.store.list_audit_events(&granted, &input.query?).await.map_err(list_refused)?;
        Ok(Done::read(ListAuditEventsReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            root: AuditEventPage {
                audit_event_list: page.events.into_iter().map(AuditEventItem::from).collect(),
            },
            next_token: page.next_token,
            pruned_before: page.pruned_before.map(|pruned| pruned.to_rfc3339_millis()),
        }))
    }
}

/// Which rows of the trail are wanted.
pub(crate) struct Input {
    instance: Option<InstanceId>,
    query: Deferred<AuditQuery>,
}

fn query(request: ListAuditEventsRequest) -> Result<AuditQuery, WireError> {
    let decision = request.decision.transpose()?;
    let from = request.start_time.transpose()?;
    let until = request.end_time.transpose()?;
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        return Err(WireError::invalid("EndTime", "it must be later than StartTime"));
    }
    let filter = AuditFilter {
        principal: request.principal.map(String::from),
        action: request.event_action.map(String::from),
        resource: request.resource.map(String::from),
        decision,
        from,
        until,
    };
    Ok(AuditQuery { filter, page: page(None, request.page_size, request.next_token)? })
}
