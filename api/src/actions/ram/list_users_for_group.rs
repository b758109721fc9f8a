//! ListUsersForGroup: the users that are in a group, by name.

use domain::actions::ListUsersForGroup;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListUsersForGroupReply, ListUsersForGroupRequest, MemberItem, MemberList};
use persistence::{Joined, User};

use super::name;
use super::paging::page;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListUsersForGroup {
    type Request = ListUsersForGroupRequest;
    type Input = Self::Request;
    type Reply = ListUsersForGroupReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::Group(name("GroupName", &asked.group_name)?)]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let group = name("GroupName", &asked.group_name)?;
        let page = page(asked.marker, asked.max_items)?;
        let page = call.hansard.store.page_of_group_members(&granted, &group, &page).await?;
        Ok(Done::read(ListUsersForGroupReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            marker: page.marker,
            users: MemberList { user: page.items.iter().map(item).collect() },
        }))
    }
}

fn item(member: &Joined<User>) -> MemberItem {
    MemberItem {
        user_name: member.what.name.to_string(),
        display_name: member.what.profile.display_name.clone(),
        join_date: wire_time(member.joined_at),
    }
}
