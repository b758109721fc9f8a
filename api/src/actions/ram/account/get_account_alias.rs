//! GetAccountAlias: the alias of the account.

use domain::actions::GetAccountAlias;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::AccountAliasReply;

use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetAccountAlias {
    type Input = ();

    fn read(_: &Principal, _: Self::Request) -> Result<Self::Input, WireError> {
        Ok(())
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Everything.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        _: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let settings = call.store.account_settings(&granted).await?;
        Ok(Done::read(AccountAliasReply {
            request_id: call.request_id().to_string(),
            account_alias: settings.alias.map(|alias| alias.to_string()).unwrap_or_default(),
        }))
    }
}
