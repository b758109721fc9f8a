//! UpdateUser: changes a user's name and the comment about it.

use domain::actions::UpdateUser;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::identity::{UserChange, UserName};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::UserReply;

use super::list_users::item;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UpdateUser {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let new_name = request.new_user_name;
        Ok(Input {
            user: request.user_name?,
            change: UserChange {
                name: new_name.transpose()?,
                display_name: request.new_display_name.map(String::from),
                mobile_phone: request.new_mobile_phone.map(String::from),
                email: request.new_email.map(String::from),
                comments: request.new_comments.map(String::from),
            },
        })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        // Under both names: a caller must not gain by renaming what policies allow under the other name.
        let mut users = vec![IdentityResource::User(input.user.clone())];
        users.extend(input.change.name.clone().map(IdentityResource::User));
        users.dedup();
        Ok(Resource::Identity(users).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { user, change } = input;
        let audit = call.audit_of_change(&granted, "");
        let user = call.store.update_user(&granted, &user, change, call.now(), audit).await?;
        Ok(Done::changed(UserReply { request_id: call.request_id().to_string(), user: item(&user) }))
    }
}

/// The user, and what is to be changed.
pub(crate) struct Input {
    user: UserName,
    change: UserChange,
}
