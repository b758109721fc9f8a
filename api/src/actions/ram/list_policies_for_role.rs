//! ListPoliciesForRole: the policies that a role itself has.

use domain::actions::ListPoliciesForRole;
use domain::gate::{Granted, Resource};
use domain::policy_bearer::PolicyBearer;
use openapi::ram::{AttachedPoliciesReply, ListPoliciesForRoleRequest};

use super::{attachment, name};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPoliciesForRole {
    type Request = ListPoliciesForRoleRequest;
    type Reply = AttachedPoliciesReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        let bearer = PolicyBearer::Role(name("RoleName", &asked.role_name)?);
        Ok(Resource::Identity(vec![bearer.resource()]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        attachment::list(call, &granted, &PolicyBearer::Role(name("RoleName", &asked.role_name)?)).await
    }
}
