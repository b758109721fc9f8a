//! ListRoles: the roles of the account, by name.

use domain::actions::ListRoles;
use domain::gate::{Granted, IdentityResource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListRolesReply, RoleList};
use persistence::MarkerRequest;

use super::create_role;
use crate::actions::ram::about;
use crate::actions::ram::paging::page;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListRoles {
    type Input = MarkerRequest;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.tag.transpose()?;
        Ok(page(request.marker, request.max_items))
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Roles))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        page: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let page = call.hansard.store.list_roles(&granted, &page).await?;
        let items = page.items.iter().map(|role| create_role::item(granted.account(), role));
        Ok(Done::read(ListRolesReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            roles: RoleList { role: items.collect() },
            marker: page.marker,
        }))
    }
}
