//! ListUsersForGroup: the users that are in a group, by name.

use domain::actions::ListUsersForGroup;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{GroupName, Joined, User};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListUsersForGroupReply, MemberItem, MemberList};
use persistence::MarkerRequest;

use crate::actions::ram::about;
use crate::actions::ram::paging::page;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListUsersForGroup {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input { group: request.group_name?, page: page(request.marker, request.max_items) })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Group(input.group.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { group, page } = input;
        let page = call.store.list_group_members(&granted, &group, &page).await?;
        Ok(Done::read(ListUsersForGroupReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            marker: page.marker,
            users: MemberList { user: page.items.iter().map(item).collect() },
        }))
    }
}

/// The group, and which page of its users is wanted.
pub(crate) struct Input {
    group: GroupName,
    page: MarkerRequest,
}

fn item(member: &Joined<User>) -> MemberItem {
    MemberItem {
        user_name: member.what.name.to_string(),
        display_name: member.what.profile.display_name.clone(),
        join_date: wire_time(member.joined_at),
    }
}
