//! What the actions of attachments share: attaching, detaching and showing, whoever has the policy.

use domain::actions::{AdministersIdentity, ReadsIdentity};
use domain::gate::{Granted, IdentityResource, Resource};
use domain::identity::PolicyRef;
use domain::policy_bearer::PolicyBearer;
use openapi::ram::{AttachedPoliciesReply, AttachedPolicyItem, AttachedPolicyList, DoneReply};
use persistence::AttachedPolicy;

use super::invalid;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located};
use crate::errors::ActionError;

/// Whoever attaches or detaches must be allowed both: the one who has the policy, and the policy.
pub(super) fn located(
    bearer: &PolicyBearer,
    policy: &PolicyRef,
    resource_group: Option<&str>,
) -> Result<Located, ActionError> {
    // An attachment that is meant for one group would hold for the whole account.
    match resource_group {
        None | Some("") => {}
        Some(_) => {
            let rule = "there are no resource groups here; leave it out";
            return Err(invalid("ResourceGroupId", rule).into());
        }
    }
    Ok(Resource::Identity(vec![bearer.resource(), IdentityResource::Policy(policy.clone())]).into())
}

pub(super) async fn attach<A: AdministersIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    bearer: PolicyBearer,
    policy: PolicyRef,
) -> Result<Done<DoneReply>, ActionError> {
    let audit = call.audit_of_change(granted, "");
    call.hansard.store.attach_policy(granted, bearer, policy, call.now(), audit).await?;
    Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
}

pub(super) async fn detach<A: AdministersIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    bearer: PolicyBearer,
    policy: PolicyRef,
) -> Result<Done<DoneReply>, ActionError> {
    let audit = call.audit_of_change(granted, "");
    call.hansard.store.detach_policy(granted, bearer, policy, audit).await?;
    Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
}

pub(super) async fn list<A: ReadsIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    bearer: &PolicyBearer,
) -> Result<Done<AttachedPoliciesReply>, ActionError> {
    let attached = call.hansard.store.policies_attached_to(granted, bearer).await?;
    Ok(Done::read(AttachedPoliciesReply {
        request_id: call.request_id().to_string(),
        policies: AttachedPolicyList { policy: attached.into_iter().map(item).collect() },
    }))
}

fn item(attached: AttachedPolicy) -> AttachedPolicyItem {
    AttachedPolicyItem {
        policy_name: attached.policy.name.to_string(),
        policy_type: attached.policy.kind.as_str().to_owned(),
        description: attached.description,
        default_version: attached.default_version.to_string(),
        attach_date: wire_time(attached.attached_at),
    }
}
