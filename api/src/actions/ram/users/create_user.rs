//! CreateUser: makes a user.

use domain::actions::CreateUser;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{NewUser, UserProfile};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::UserReply;

use super::list_users::item;
use crate::actions::ram::about;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateUser {
    type Input = NewUser;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(NewUser {
            name: request.user_name?,
            profile: UserProfile {
                display_name: request.display_name.map(String::from).unwrap_or_default(),
                mobile_phone: request.mobile_phone.map(String::from).unwrap_or_default(),
                email: request.email.map(String::from).unwrap_or_default(),
                comments: request.comments.map(String::from).unwrap_or_default(),
            },
        })
    }

    async fn locate(_: &Call<'_>, new: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::User(new.name.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        new: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let audit = call.audit_of_change(&granted, "");
        let user = call.store.create_user(&granted, new, call.now(), audit).await?;
        Ok(Done::changed(UserReply { request_id: call.request_id().to_string(), user: item(&user) }))
    }
}
