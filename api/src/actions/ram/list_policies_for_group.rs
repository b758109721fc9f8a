//! ListPoliciesForGroup: the policies that a group itself has.

use domain::actions::ListPoliciesForGroup;
use domain::gate::{Granted, Resource};
use domain::policy_bearer::PolicyBearer;
use openapi::ram::{AttachedPoliciesReply, ListPoliciesForGroupRequest};

use super::{attachment, name};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPoliciesForGroup {
    type Request = ListPoliciesForGroupRequest;
    type Reply = AttachedPoliciesReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        let bearer = PolicyBearer::Group(name("GroupName", &asked.group_name)?);
        Ok(Resource::Identity(vec![bearer.resource()]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        attachment::list(call, &granted, &PolicyBearer::Group(name("GroupName", &asked.group_name)?)).await
    }
}
