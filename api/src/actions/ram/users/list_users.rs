//! ListUsers: the users of the account, by name.

use domain::actions::ListUsers;
use domain::gate::{Granted, IdentityResource};
use domain::identity::User;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListUsersReply, UserItem, UserList};
use persistence::MarkerRequest;

use crate::actions::ram::about;
use crate::actions::ram::paging::page;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListUsers {
    type Input = MarkerRequest;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(page(request.marker, request.max_items))
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Users))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        page: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let page = call.store.list_users(&granted, &page).await?;
        Ok(Done::read(ListUsersReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            marker: page.marker,
            users: UserList { user: page.items.iter().map(item).collect() },
        }))
    }
}

/// A user as lists show it.
pub(super) fn item(user: &User) -> UserItem {
    UserItem {
        user_id: user.id.to_string(),
        user_name: user.name.to_string(),
        display_name: user.profile.display_name.clone(),
        mobile_phone: user.profile.mobile_phone.clone(),
        email: user.profile.email.clone(),
        comments: user.profile.comments.clone(),
        create_date: wire_time(user.created_at),
        update_date: wire_time(user.changed_at),
        last_login_date: None,
    }
}
