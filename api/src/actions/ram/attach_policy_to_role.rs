//! AttachPolicyToRole: attaches a policy to a role.

use domain::actions::AttachPolicyToRole;
use domain::gate::Granted;
use domain::policy_bearer::PolicyBearer;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{DoneReply, PolicyOfRoleRequest};

use super::{attachment, name, policy};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for AttachPolicyToRole {
    type Request = PolicyOfRoleRequest;
    type Input = Self::Request;
    type Reply = DoneReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        let bearer = PolicyBearer::Role(name("RoleName", &asked.role_name)?);
        let policy = policy::policy(&asked.policy_type, &asked.policy_name)?;
        attachment::located(&bearer, &policy, asked.resource_group_id.as_deref())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let bearer = PolicyBearer::Role(name("RoleName", &asked.role_name)?);
        let policy = policy::policy(&asked.policy_type, &asked.policy_name)?;
        attachment::attach(call, &granted, bearer, policy).await
    }
}
