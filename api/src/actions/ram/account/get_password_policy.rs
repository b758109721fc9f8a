//! GetPasswordPolicy: what the passwords of users must be.

use domain::actions::GetPasswordPolicy;
use domain::gate::{Granted, Resource};
use domain::identity::PasswordPolicy;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{PasswordPolicyItem, PasswordPolicyReply};

use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetPasswordPolicy {
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
        Ok(Done::read(PasswordPolicyReply {
            request_id: call.request_id().to_string(),
            password_policy: item(settings.password_policy),
        }))
    }
}

/// A password policy as replies show it.
pub(super) fn item(policy: PasswordPolicy) -> PasswordPolicyItem {
    PasswordPolicyItem {
        minimum_password_length: policy.minimum_length.characters().into(),
        require_lowercase_characters: policy.require_lowercase,
        require_uppercase_characters: policy.require_uppercase,
        require_numbers: policy.require_numbers,
        require_symbols: policy.require_symbols,
        hard_expiry: false,
        max_password_age: 0,
        password_reuse_prevention: 0,
        max_login_attemps: 0,
    }
}
