//! ListRoles: the roles of the account, by name.

use domain::actions::ListRoles;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListRolesReply, ListRolesRequest, RoleList};

use super::paging::page;
use super::{create_role, without_tags};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListRoles {
    type Request = ListRolesRequest;
    type Input = Self::Request;
    type Reply = ListRolesReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        without_tags(asked.tag.as_deref())?;
        Ok(Resource::Identity(vec![IdentityResource::Roles]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let page = page(asked.marker, asked.max_items)?;
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
