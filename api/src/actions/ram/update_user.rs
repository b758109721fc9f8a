//! UpdateUser: changes a user's name and what is noted about it.

use domain::actions::UpdateUser;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::identity::UserName;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{UpdateUserRequest, UserReply};
use persistence::UserChange;

use super::list_users::item;
use super::name;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UpdateUser {
    type Request = UpdateUserRequest;
    type Input = Self::Request;
    type Reply = UserReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        // Under both names: what policies say about the other one must not be had by a change of name.
        let mut users = vec![IdentityResource::User(name("UserName", &asked.user_name)?)];
        users.extend(new_name(asked)?.map(IdentityResource::User));
        users.dedup();
        Ok(Resource::Identity(users).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let user = name("UserName", &asked.user_name)?;
        let change = UserChange {
            name: new_name(&asked)?,
            display_name: asked.new_display_name,
            mobile_phone: asked.new_mobile_phone,
            email: asked.new_email,
            comments: asked.new_comments,
        };
        let audit = call.audit_of_change(&granted, "");
        let user = call.hansard.store.update_user(&granted, &user, change, call.now(), audit).await?;
        Ok(Done::changed(UserReply { request_id: call.request_id().to_string(), user: item(&user) }))
    }
}

fn new_name(asked: &UpdateUserRequest) -> Result<Option<UserName>, WireError> {
    asked.new_user_name.as_deref().map(|text| name("NewUserName", text)).transpose()
}
