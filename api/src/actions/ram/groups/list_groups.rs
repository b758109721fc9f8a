//! ListGroups: the groups of the account, by name.

use domain::actions::ListGroups;
use domain::gate::{Granted, IdentityResource};
use domain::identity::Group;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{GroupItem, GroupList, ListGroupsReply};
use persistence::MarkerRequest;

use crate::actions::ram::about;
use crate::actions::ram::paging::page;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListGroups {
    type Input = MarkerRequest;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(page(request.marker, request.max_items))
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Groups))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        page: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let page = call.store.list_groups(&granted, &page).await?;
        Ok(Done::read(ListGroupsReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            marker: page.marker,
            groups: GroupList { group: page.items.iter().map(item).collect() },
        }))
    }
}

/// A group as replies show it.
pub(super) fn item(group: &Group) -> GroupItem {
    GroupItem {
        group_id: group.id.to_string(),
        group_name: group.name.to_string(),
        comments: group.comments.clone(),
        create_date: wire_time(group.created_at),
        update_date: wire_time(group.changed_at),
    }
}
