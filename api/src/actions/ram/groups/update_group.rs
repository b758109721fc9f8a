//! UpdateGroup: changes a group's name and the comment about it.

use domain::actions::UpdateGroup;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::identity::{GroupChange, GroupName};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::GroupReply;

use super::list_groups::item;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UpdateGroup {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let new_name = request.new_group_name;
        Ok(Input {
            group: request.group_name?,
            change: GroupChange {
                name: new_name.transpose()?,
                comments: request.new_comments.map(String::from),
            },
        })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        // Under both names, as a user's change of name.
        let mut groups = vec![IdentityResource::Group(input.group.clone())];
        groups.extend(input.change.name.clone().map(IdentityResource::Group));
        groups.dedup();
        Ok(Resource::Identity(groups).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { group, change } = input;
        let audit = call.audit_of_change(&granted, "");
        let group = call.store.update_group(&granted, &group, change, call.now(), audit).await?;
        Ok(Done::changed(GroupReply { request_id: call.request_id().to_string(), group: item(&group) }))
    }
}

/// The group, and what is to be changed.
pub(crate) struct Input {
    group: GroupName,
    change: GroupChange,
}
