//! SetAccountAlias: gives the account an alias.

use domain::actions::SetAccountAlias;
use domain::gate::{Granted, Resource};
use domain::identity::{AccountAlias, AccountSettingsChange};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::DoneReply;

use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for SetAccountAlias {
    type Input = AccountAlias;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.account_alias
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Everything.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        alias: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let audit = call.audit_of_change(&granted, "");
        let change = AccountSettingsChange::Alias(Some(alias));
        call.store.change_account_settings(&granted, change, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}
