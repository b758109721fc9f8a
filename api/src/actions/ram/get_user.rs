//! GetUser: one user, or the caller.

use domain::actions::GetUser;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{GetUserRequest, UserItem, UserReply};

use super::{caller_or, list_users};
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetUser {
    type Request = GetUserRequest;
    type Input = Self::Request;
    type Reply = UserReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(call: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        let name = caller_or(call, asked.user_name.as_deref())?;
        Ok(Resource::Identity(vec![IdentityResource::User(name)]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let name = caller_or(call, asked.user_name.as_deref())?;
        let user = call.hansard.store.user(&granted, &name).await?;
        let last_login_date = user.last_login_at.map(wire_time);
        Ok(Done::read(UserReply {
            request_id: call.request_id().to_string(),
            user: UserItem { last_login_date, ..list_users::item(&user) },
        }))
    }
}
