//! GetUser: one user, or the caller.

use domain::actions::GetUser;
use domain::gate::{Granted, IdentityResource};
use domain::identity::UserName;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{UserItem, UserReply};

use super::list_users;
use crate::actions::ram::{about, caller_or};
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetUser {
    type Input = UserName;

    fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        caller_or(caller, request.user_name)
    }

    async fn locate(_: &Call<'_>, user: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::User(user.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        user: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let user = call.store.get_user(&granted, &user).await?;
        let last_login_date = user.last_login_at.map(wire_time);
        Ok(Done::read(UserReply {
            request_id: call.request_id().to_string(),
            user: UserItem { last_login_date, ..list_users::item(&user) },
        }))
    }
}
