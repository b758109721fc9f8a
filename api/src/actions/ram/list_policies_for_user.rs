//! ListPoliciesForUser: the policies that a user itself has.

use domain::actions::ListPoliciesForUser;
use domain::gate::{Granted, Resource};
use domain::policy_bearer::PolicyBearer;
use openapi::ram::{AttachedPoliciesReply, ListPoliciesForUserRequest};

use super::{attachment, name};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPoliciesForUser {
    type Request = ListPoliciesForUserRequest;
    type Reply = AttachedPoliciesReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        let bearer = PolicyBearer::User(name("UserName", &asked.user_name)?);
        Ok(Resource::Identity(vec![bearer.resource()]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        attachment::list(call, &granted, &PolicyBearer::User(name("UserName", &asked.user_name)?)).await
    }
}
