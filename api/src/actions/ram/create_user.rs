//! CreateUser: makes a user.

use domain::actions::CreateUser;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{CreateUserRequest, UserReply};
use persistence::{NewUser, UserProfile};

use super::list_users::item;
use super::name;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateUser {
    type Request = CreateUserRequest;
    type Input = Self::Request;
    type Reply = UserReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::User(name("UserName", &asked.user_name)?)]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let new = NewUser {
            name: name("UserName", &asked.user_name)?,
            profile: UserProfile {
                display_name: asked.display_name.unwrap_or_default(),
                mobile_phone: asked.mobile_phone.unwrap_or_default(),
                email: asked.email.unwrap_or_default(),
                comments: asked.comments.unwrap_or_default(),
            },
        };
        let audit = call.audit_of_change(&granted, "");
        let user = call.hansard.store.create_user(&granted, new, call.now(), audit).await?;
        Ok(Done::changed(UserReply { request_id: call.request_id().to_string(), user: item(&user) }))
    }
}
