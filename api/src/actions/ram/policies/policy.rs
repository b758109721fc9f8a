//! What the actions of policies share: how a policy is named, and how it is shown.

use domain::gate::{Granted, IdentityResource};
use domain::identity::{PolicyKind, PolicyName, PolicyRef, PolicySummary, PolicyVersion};
use domain::policy_version::PolicyVersionId;
use openapi::error_codes::WireError;
use openapi::ram::{PolicyItem, PolicyVersionItem, PolicyVersionRequest};

use crate::actions::ram::about;
use crate::actions::{wire_count, wire_time};
use crate::dispatch::{Call, Deferred, Located};
use crate::errors::ActionError;

/// A policy of the account or of the system.
pub(in crate::actions::ram) fn policy(
    policy_type: Deferred<PolicyKind>,
    policy_name: Deferred<PolicyName>,
) -> Result<PolicyRef, WireError> {
    Ok(PolicyRef { kind: policy_type?, name: policy_name? })
}

/// As a call about it is located.
pub(super) fn located(policy: PolicyRef) -> Located {
    about(IdentityResource::Policy(policy))
}

/// A policy of the account and one of its versions.
pub(crate) struct VersionOfPolicy {
    pub(super) policy: PolicyName,
    pub(super) id: Deferred<PolicyVersionId>,
}

impl VersionOfPolicy {
    pub(super) fn read(request: PolicyVersionRequest) -> Result<Self, WireError> {
        Ok(Self { policy: request.policy_name?, id: request.version_id })
    }

    pub(super) fn located(&self) -> Located {
        located((&self.policy).into())
    }
}

/// The default version when the call begins. A change is based on it, so that one of two simultaneous changes is
/// refused.
pub(super) async fn seen<A: domain::actions::ReadsIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    name: &PolicyName,
) -> Result<Option<PolicyVersionId>, ActionError> {
    Ok(call.store.find_default_policy_version(granted, name).await?)
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
        tags: None,
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
