//! ListGroupsForUser: the groups that a user is in.

use domain::actions::ListGroupsForUser;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{Group, Joined, UserName};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListGroupsForUserReply, MembershipItem, MembershipList};

use crate::actions::ram::about;
use crate::actions::wire_time;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListGroupsForUser {
    type Input = UserName;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.user_name
    }

    async fn locate(_: &Call<'_>, user: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::User(user.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        user: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let groups = call.store.groups_of_user(&granted, &user).await?;
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
