//! ListRoles: the roles of the account, by name.

use domain::actions::ListRoles;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{TagFilter, Tagged};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListRolesReply, RoleItem, RoleList};
use persistence::MarkerRequest;

use super::create_role;
use crate::actions::ram::about;
use crate::actions::ram::paging::page;
use crate::actions::ram::tags::read as tags;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListRoles {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(Input { filter: tags::filter(request.tag), page: page(request.marker, request.max_items) })
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Roles))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let page = call.store.list_tagged_roles(&granted, &input.filter?, &input.page).await?;
        let items = page.items.iter().map(|Tagged { thing: role, tags }| RoleItem {
            tags: (!tags.is_empty()).then(|| tags::shown(tags)),
            ..create_role::item(granted.account(), role)
        });
        Ok(Done::read(ListRolesReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            roles: RoleList { role: items.collect() },
            marker: page.marker,
        }))
    }
}

/// Which roles are wanted, and which page of them.
pub(crate) struct Input {
    filter: Deferred<TagFilter>,
    page: MarkerRequest,
}
