//! ListUsersForGroup: the users that are in a group, by name.

use domain::actions::ListUsersForGroup;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{ListUsersForGroupReply, ListUsersForGroupRequest, MemberItem, MemberList};
use persistence::{Joined, User};

use super::name;
use super::paging::page;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListUsersForGroup {
    type Request = ListUsersForGroupRequest;
    type Reply = ListUsersForGroupReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        Ok(Resource::Identity(vec![IdentityResource::Group(name("GroupName", &asked.group_name)?)]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
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
