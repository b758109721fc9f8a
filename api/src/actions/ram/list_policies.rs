//! ListPolicies: policies of the account and of the system.

use domain::actions::ListPolicies;
use domain::gate::{Granted, IdentityResource, Resource};
use openapi::ram::{ListPoliciesReply, ListPoliciesRequest, PolicyList};

use super::paging::page;
use super::{name, policy, without_tags};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPolicies {
    type Request = ListPoliciesRequest;
    type Reply = ListPoliciesReply;

    async fn locate(_: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        without_tags(asked.tag.as_deref())?;
        Ok(Resource::Identity(vec![IdentityResource::Policies]))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let kind = match asked.policy_type.as_deref() {
            None | Some("") => None,
            Some(policy_type) => Some(name("PolicyType", policy_type)?),
        };
        let page = page(asked.marker, asked.max_items)?;
        let page = call.hansard.store.page_of_policies(&granted, kind, &page).await?;
        Ok(Done::read(ListPoliciesReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            marker: page.marker,
            policies: PolicyList { policy: page.items.iter().map(policy::item).collect() },
        }))
    }
}
