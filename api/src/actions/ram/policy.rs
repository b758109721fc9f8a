//! What the actions of policies share: how a policy is named, and how it is shown.

use domain::gate::{Granted, IdentityResource, Resource};
use domain::identity::{PolicyKind, PolicyName, PolicyRef};
use domain::policy_version::PolicyVersionId;
use openapi::error_codes::WireError;
use openapi::ram::{PolicyItem, PolicyVersionItem};
use persistence::{PolicySummary, PolicyVersion};

use super::name;
use crate::actions::{wire_count, wire_time};
use crate::dispatch::Call;
use crate::errors::ActionError;

/// A policy of the account.
pub(super) fn custom(policy_name: &str) -> Result<PolicyRef, WireError> {
    Ok(PolicyRef { kind: PolicyKind::Custom, name: name("PolicyName", policy_name)? })
}

/// A policy of the account or of the system.
pub(super) fn policy(policy_type: &str, policy_name: &str) -> Result<PolicyRef, WireError> {
    Ok(PolicyRef { kind: name("PolicyType", policy_type)?, name: name("PolicyName", policy_name)? })
}

/// As a call about it is located.
pub(super) fn located(policy: PolicyRef) -> Resource {
    Resource::Identity(vec![IdentityResource::Policy(policy)])
}

/// The version that decides as the call begins. A change says that it is based on it, so that of two at the same
/// moment one is told.
pub(super) async fn seen<A: domain::actions::ReadsIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    name: &PolicyName,
) -> Result<Option<PolicyVersionId>, ActionError> {
    Ok(call.hansard.store.default_policy_version(granted, name).await?)
}

pub(super) fn item(policy: &PolicySummary) -> PolicyItem {
    PolicyItem {
        policy_name: policy.policy.name.to_string(),
        policy_type: policy.policy.kind.as_str().to_owned(),
        description: policy.description.clone(),
        default_version: policy.default_version.to_string(),
        attachment_count: wire_count(policy.attachment_count),
        create_date: wire_time(policy.created_at),
        update_date: wire_time(policy.changed_at),
    }
}

pub(super) fn version_item(version: PolicyVersion) -> PolicyVersionItem {
    PolicyVersionItem {
        version_id: version.id.to_string(),
        is_default_version: version.is_default,
        policy_document: version.document,
        create_date: wire_time(version.created_at),
    }
}
