//! CreateGroup: makes a group.

use domain::actions::CreateGroup;
use domain::gate::{Granted, IdentityResource};
use domain::identity::NewGroup;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::GroupReply;

use super::list_groups::item;
use crate::actions::ram::about;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for CreateGroup {
    type Input = NewGroup;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(NewGroup {
            name: request.group_name?,
            comments: request.comments.map(String::from).unwrap_or_default(),
        })
    }

    async fn locate(_: &Call<'_>, new: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Group(new.name.clone())))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        new: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let audit = call.audit_of_change(&granted, "");
        let group = call.store.create_group(&granted, new, call.now(), audit).await?;
        Ok(Done::changed(GroupReply { request_id: call.request_id().to_string(), group: item(&group) }))
    }
}
