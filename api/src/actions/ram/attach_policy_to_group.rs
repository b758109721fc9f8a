//! AttachPolicyToGroup: attaches a policy to a group.

use domain::actions::AttachPolicyToGroup;
use domain::gate::{Granted, Resource};
use domain::policy_bearer::PolicyBearer;
use openapi::ram::{DoneReply, PolicyOfGroupRequest};

use super::{attachment, name, policy};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for AttachPolicyToGroup {
    type Request = PolicyOfGroupRequest;
    type Reply = DoneReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        let bearer = PolicyBearer::Group(name("GroupName", &asked.group_name)?);
        let policy = policy::policy(&asked.policy_type, &asked.policy_name)?;
        attachment::located(&bearer, &policy, asked.resource_group_id.as_deref())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let bearer = PolicyBearer::Group(name("GroupName", &asked.group_name)?);
        let policy = policy::policy(&asked.policy_type, &asked.policy_name)?;
        attachment::attach(call, &granted, bearer, policy).await
    }
}
