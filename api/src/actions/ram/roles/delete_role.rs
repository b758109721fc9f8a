//! DeleteRole: deletes a role that has no policies, and ends its sessions.

use domain::actions::DeleteRole;
use domain::gate::{Granted, IdentityResource};
use domain::identity::RoleName;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use crate::actions::ram::about;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DeleteRole {
    type Input = RoleName;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.role_name
    }

    async fn locate(_: &Call<'_>, role: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Role(role.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        role: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let audit = call.audit_of_change(&granted, "");
        call.store.delete_role(&granted, &role, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
