//! ListPolicies: policies of the account and of the system.

use domain::actions::ListPolicies;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{PolicyKind, TagFilter, Tagged};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListPoliciesReply, PolicyItem, PolicyList};
use persistence::MarkerRequest;

use super::policy;
use crate::actions::ram::about;
use crate::actions::ram::paging::page;
use crate::actions::ram::tags::read as tags;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPolicies {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let filter = tags::filter(request.tag);
        let kind = request.policy_type.transpose();
        Ok(Input { kind, page: page(request.marker, request.max_items), filter })
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Policies))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { kind, page, filter } = input;
        let page = call.store.list_tagged_policies(&granted, kind?, &filter?, &page).await?;
        let items = page.items.iter().map(|Tagged { thing: policy, tags }| PolicyItem {
            tags: (!tags.is_empty()).then(|| tags::shown(tags)),
            ..policy::item(policy)
        });
        Ok(Done::read(ListPoliciesReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            marker: page.marker,
            policies: PolicyList { policy: items.collect() },
        }))
    }
}

/// Which policies are wanted, and which page of them.
pub(crate) struct Input {
    kind: Deferred<Option<PolicyKind>>,
    page: MarkerRequest,
    filter: Deferred<TagFilter>,
}
