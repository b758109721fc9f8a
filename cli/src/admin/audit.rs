//! `hansard admin audit`: the audit trail of the account, without a server.

use domain::Region;
use openapi::workbench::AuditEventItem;
use persistence::{AuditFilter, AuditQuery, PageRequest, Store};

use super::{Operator, refused};
use crate::arguments::{AuditListArguments, Output};
use crate::commands::audit::show;
use crate::failure::{Failure, chain};

pub(super) async fn run(
    wanted: &AuditListArguments,
    output: Output,
    store: &Store,
    operator: &Operator,
    region: &Region,
) -> Result<(), Failure> {
    let granted = operator.granted_on(wanted.instance_id.as_ref(), region)?;
    let filter = AuditFilter {
        principal: wanted.principal.as_ref().map(|named| named.arn(granted.account().as_str())),
        action: wanted.action.clone(),
        resource: wanted.resource.clone(),
        decision: wanted.decision,
        from: wanted.start_time,
        until: wanted.end_time,
    };
    let size =
        wanted.page_size.unwrap_or(if wanted.all { 100 } else { openapi::workbench::DEFAULT_PAGE_SIZE });
    let mut events = Vec::new();
    let mut token = wanted.next_token.clone();
    loop {
        let query = AuditQuery { filter: filter.clone(), page: PageRequest::After { token, size } };
        let page = store.list_audit_events(&granted, &query).await.map_err(refused)?;
        for event in page.events {
            events.push(
                serde_json::to_value(AuditEventItem::from(event))
                    .map_err(|error| Failure::failed(chain(&error)))?,
            );
        }
        token = page.next_token;
        if !wanted.all || token.is_none() {
            let pruned_before = page.pruned_before.map(|pruned| pruned.to_rfc3339_millis());
            return show(events, token.as_deref(), pruned_before.as_deref(), output);
        }
    }
}
