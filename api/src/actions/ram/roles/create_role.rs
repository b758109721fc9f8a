//! CreateRole: a role, with the policy that says who may assume it.

use domain::AccountId;
use domain::actions::CreateRole;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{EntityTags, NewRole, Role, RoleName, Tagged};
use domain::principal::Principal;
use domain::role::{MaxSessionDuration, RoleArn};
use openapi::error_codes::WireError;
use openapi::ram::{RoleItem, RoleReply, WrittenRoleReply};
use openapi::workbench::PolicyFinding;
use policies::DocumentKind;

use crate::actions::ram::about;
use crate::actions::ram::tags::read as tags;
use crate::actions::wire_time;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for CreateRole {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let tags = tags::tags(request.tag);
        Ok(Input {
            role: request.role_name?,
            description: request.description.map(String::from).unwrap_or_default(),
            trust_policy: request.assume_role_policy_document.into(),
            longest: request.max_session_duration.unwrap_or(MaxSessionDuration::DEFAULT),
            tags,
        })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Role(input.role.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { role: name, description, trust_policy, longest, tags } = input;
        let new = NewRole { name, description, trust_policy, max_session_duration: longest };
        let new = Tagged { thing: new, tags: tags? };
        let findings =
            policy_findings::about(call.hansard, &new.thing.trust_policy, DocumentKind::Trust).await?;
        let audit = call.audit_of_change(&granted, "");
        let role = call.store.create_tagged_role(&granted, new, call.now(), audit).await?;
        Ok(Done::changed(written(reply(call, &granted, &role), Some(findings))))
    }
}

/// The new role.
pub(crate) struct Input {
    role: RoleName,
    description: String,
    trust_policy: String,
    longest: MaxSessionDuration,
    tags: Deferred<EntityTags>,
}

/// A role with all its details.
pub(super) fn reply<A: domain::actions::Action>(
    call: &Call<'_>,
    granted: &Granted<A>,
    role: &Role,
) -> RoleReply {
    let item = item(granted.account(), role);
    let assume_role_policy_document = Some(role.trust_policy.clone());
    RoleReply {
        request_id: call.request_id().to_string(),
        role: RoleItem { assume_role_policy_document, ..item },
    }
}

/// A role that was created or changed, with the findings about the trust policy that was given.
pub(super) fn written(reply: RoleReply, findings: Option<Vec<PolicyFinding>>) -> WrittenRoleReply {
    let RoleReply { request_id, role } = reply;
    WrittenRoleReply { request_id, role, findings }
}

/// A role as lists show it.
pub(super) fn item(account: &AccountId, role: &Role) -> RoleItem {
    let arn = RoleArn { account: account.clone(), name: role.name.clone() };
    RoleItem {
        role_id: role.id.to_string(),
        role_name: role.name.to_string(),
        arn: arn.to_string(),
        description: role.description.clone(),
        assume_role_policy_document: None,
        max_session_duration: role.max_session_duration.seconds().into(),
        create_date: wire_time(role.created_at),
        update_date: wire_time(role.changed_at),
        tags: None,
    }
}
