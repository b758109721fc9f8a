//! ListPolicies: policies of the account and of the system.

use domain::actions::ListPolicies;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListPoliciesReply, ListPoliciesRequest, PolicyList};

use super::paging::page;
use super::{name, policy, without_tags};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPolicies {
    type Request = ListPoliciesRequest;
    type Input = Self::Request;
    type Reply = ListPoliciesReply;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request)
    }

    async fn locate(_: &Call<'_>, asked: &Self::Input) -> Result<Located, ActionError> {
        without_tags(asked.tag.as_deref())?;
        Ok(Resource::Identity(vec![IdentityResource::Policies]).into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Input,
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
