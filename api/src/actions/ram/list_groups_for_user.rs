//! ListGroupsForUser: the groups that a user is in.

use domain::actions::ListGroupsForUser;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListGroupsForUserReply, ListGroupsForUserRequest, MembershipItem, MembershipList};
use persistence::{Group, Joined};

use super::name;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListGroupsForUser {
    type Request = ListGroupsForUserRequest;
    type Input = Self::Request;
    type Reply = ListGroupsForUserReply;

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
        let user = name("UserName", &asked.user_name)?;
        let groups = call.hansard.store.groups_of_user(&granted, &user).await?;
        Ok(Done::read(ListGroupsForUserReply {
            request_id: call.request_id().to_string(),
            groups: MembershipList { group: groups.iter().map(item).collect() },
        }))
    }
}

fn item(membership: &Joined<Group>) -> MembershipItem {
    MembershipItem {
        group_id: membership.what.id.to_string(),
        group_name: membership.what.name.to_string(),
        comments: membership.what.comments.clone(),
        join_date: wire_time(membership.joined_at),
    }
}
