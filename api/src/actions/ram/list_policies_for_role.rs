//! ListPoliciesForRole: the policies that a role itself has.

use domain::actions::ListPoliciesForRole;
use domain::gate::{Granted, Resource};
use domain::policy_bearer::PolicyBearer;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{AttachedPoliciesReply, ListPoliciesForRoleRequest};

use super::{attachment, name};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPoliciesForRole {
    type Request = ListPoliciesForRoleRequest;
    type Input = Self::Request;
    type Reply = AttachedPoliciesReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        let bearer = PolicyBearer::Role(name("RoleName", &asked.role_name)?);
        Ok(Resource::Identity(vec![bearer.resource()]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        attachment::list(call, &granted, &PolicyBearer::Role(name("RoleName", &asked.role_name)?)).await
    }
}
