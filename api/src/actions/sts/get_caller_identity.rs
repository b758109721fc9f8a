//! GetCallerIdentity: who the caller is. Every authenticated caller may ask.

use domain::actions::GetCallerIdentity;
use domain::gate::{Granted, Resource};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::sts::GetCallerIdentityReply;

use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetCallerIdentity {
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
        let principal = granted.principal();
        let account_id = principal.account().to_string();
        let (kind, principal_id, user_id, role_id) = match principal {
            Principal::User { user_id, .. } => {
                ("RAMUser", user_id.to_string(), Some(user_id.to_string()), None)
            }
            Principal::AssumedRole { role_id, session_name, .. } => {
                let id = format!("{role_id}:{session_name}");
                ("AssumedRoleUser", id, None, Some(role_id.to_string()))
            }
            _ => ("Account", account_id.clone(), Some(account_id.clone()), None),
        };
        Ok(Done::read(GetCallerIdentityReply {
            request_id: call.request_id().to_string(),
            identity_type: kind.to_owned(),
            account_id,
            arn: shown_arn(principal),
            principal_id,
            user_id,
            role_id,
        }))
    }
}

/// Of a session the vendor shows another ARN here than AssumeRole does.
fn shown_arn(principal: &Principal) -> String {
    match principal {
        Principal::AssumedRole { account, role_name, session_name, .. } => {
            format!("acs:ram::{account}:assumed-role/{role_name}/{session_name}")
        }
        _ => principal.arn(),
    }
}
