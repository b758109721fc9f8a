//! GetSecurityPreference: what users may do for themselves.

use domain::actions::GetSecurityPreference;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{
    AccessKeyPreference, LoginProfilePreference, MFAPreference, PublicKeyPreference, SecurityPreference,
    SecurityPreferenceReply,
};

use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetSecurityPreference {
    type Input = ();

    fn read(_: &Principal, _: Self::Request) -> Result<Self::Input, WireError> {
        Ok(())
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Everything.into())
    }

    async fn run(
        call: &Call<'_>,
        _: Granted<Self>,
        _: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        // Nothing is a user's to do for itself unless a policy allows it, and there is no sign-in by password yet.
        Ok(Done::read(SecurityPreferenceReply {
            request_id: call.request_id().to_string(),
            security_preference: SecurityPreference {
                access_key_preference: AccessKeyPreference { allow_user_to_manage_access_keys: false },
                login_profile_preference: LoginProfilePreference {
                    allow_user_to_change_password: false,
                    enable_save_mfa_ticket: false,
                    login_network_masks: String::new(),
                    login_session_duration: 0,
                },
                mfa_preference: MFAPreference { allow_user_to_manage_mfa_devices: false },
                public_key_preference: PublicKeyPreference { allow_user_to_manage_public_keys: false },
            },
        }))
    }
}
