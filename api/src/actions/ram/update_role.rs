//! UpdateRole: who may assume a role, for how long, or what it is for.

use domain::actions::UpdateRole;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{UpdateRoleRequest, WrittenRoleReply};
use persistence::RoleChange;
use policies::DocumentKind;

use super::{create_role, name};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;
use crate::policy_findings;

impl RpcAction for UpdateRole {
    type Request = UpdateRoleRequest;
    type Input = Self::Request;
    type Reply = WrittenRoleReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        create_role::without_console("NewAllowConsoleLogin", asked.new_allow_console_login)?;
        Ok(Resource::Identity(vec![IdentityResource::Role(name("RoleName", &asked.role_name)?)]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let longest = asked
            .new_max_session_duration
            .map(|seconds| create_role::longest("NewMaxSessionDuration", seconds));
        let change = RoleChange {
            trust_policy: asked.new_assume_role_policy_document,
            description: asked.new_description,
            max_session_duration: longest.transpose()?,
        };
        let role = name("RoleName", &asked.role_name)?;
        let given = change.trust_policy.as_deref();
        let findings = policy_findings::about_given(call.hansard, given, DocumentKind::Trust).await?;
        let audit = call.audit_of_change(&granted, "");
        let role = call.hansard.store.update_role(&granted, &role, change, call.now(), audit).await?;
        Ok(Done::changed(create_role::written(create_role::reply(call, &granted, &role), findings)))
    }
}
