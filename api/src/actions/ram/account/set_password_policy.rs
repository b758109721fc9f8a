//! SetPasswordPolicy: says what the passwords of users must be.

use domain::actions::SetPasswordPolicy;
use domain::gate::{Granted, Resource};
use domain::identity::{AccountSettingsChange, PasswordPolicy};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::PasswordPolicyReply;

use super::get_password_policy::item;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for SetPasswordPolicy {
    type Input = PasswordPolicy;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(PasswordPolicy {
            minimum_length: request.minimum_password_length.unwrap_or_default(),
            require_lowercase: request.require_lowercase_characters.unwrap_or(false),
            require_uppercase: request.require_uppercase_characters.unwrap_or(false),
            require_numbers: request.require_numbers.unwrap_or(false),
            require_symbols: request.require_symbols.unwrap_or(false),
        })
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Everything.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        policy: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let audit = call.audit_of_change(&granted, "");
        let change = AccountSettingsChange::PasswordPolicy(policy);
        let settings = call.store.change_account_settings(&granted, change, audit).await?;
        Ok(Done::changed(PasswordPolicyReply {
            request_id: call.request_id().to_string(),
            password_policy: item(settings.password_policy),
        }))
    }
}
