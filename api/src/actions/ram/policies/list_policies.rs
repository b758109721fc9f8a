//! ListPolicies: policies of the account and of the system.

use domain::actions::ListPolicies;
use domain::gate::{Granted, IdentityResource};
use domain::identity::PolicyKind;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListPoliciesReply, PolicyList};
use persistence::MarkerRequest;

use super::policy;
use crate::actions::ram::about;
use crate::actions::ram::paging::page;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPolicies {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.tag.transpose()?;
        let kind = request.policy_type.transpose();
        Ok(Input { kind, page: page(request.marker, request.max_items) })
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Policies))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { kind, page } = input;
        let page = call.hansard.store.list_policies(&granted, kind?, &page).await?;
        Ok(Done::read(ListPoliciesReply {
            request_id: call.request_id().to_string(),
            is_truncated: page.marker.is_some(),
            marker: page.marker,
            policies: PolicyList { policy: page.items.iter().map(policy::item).collect() },
        }))
    }
}

/// Which policies are wanted, and which page of them.
pub(crate) struct Input {
    kind: Deferred<Option<PolicyKind>>,
    page: MarkerRequest,
}
