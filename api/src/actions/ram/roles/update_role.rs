//! UpdateRole: who may assume a role, for how long, or what it is for.

use domain::actions::UpdateRole;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{RoleChange, RoleName};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use policies::DocumentKind;

use super::create_role;
use crate::actions::ram::about;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for UpdateRole {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let change = RoleChange {
            trust_policy: request.new_assume_role_policy_document.map(String::from),
            description: request.new_description.map(String::from),
            max_session_duration: request.new_max_session_duration,
        };
        Ok(Input { role: request.role_name?, change })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Role(input.role.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { role, change } = input;
        let given = change.trust_policy.as_deref();
        let findings = policy_findings::about_given(call.hansard, given, DocumentKind::Trust).await?;
        let audit = call.audit_of_change(&granted, "");
        let role = call.store.update_role(&granted, &role, change, call.now(), audit).await?;
        Ok(Done::changed(create_role::written(create_role::reply(call, &granted, &role), findings)))
    }
}

/// The role, and what is to be changed.
pub(crate) struct Input {
    role: RoleName,
    change: RoleChange,
}
