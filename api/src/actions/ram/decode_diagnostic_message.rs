//! DecodeDiagnosticMessage: decodes the message of a denial in the caller's own account.

use domain::actions::DecodeDiagnosticMessage;
use domain::gate::{Granted, Resource};
use domain::identity::PolicyKind;
use domain::principal::Principal;
use domain::system_policies;
use openapi::error_codes::WireError;
use openapi::ram::{
    AuthCondition, AuthPrincipal, DecodeDiagnosticMessageReply, DecodedDiagnosticMessage, MatchedPolicy,
    UnmetCondition,
};
use policies::PolicyType;

use crate::diagnostics::{Diagnostics, SealedCondition};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for DecodeDiagnosticMessage {
    type Input = String;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        Ok(request.encoded_diagnostic_message.into())
    }

    /// A message can name resources and people of the whole account.
    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(Resource::Everything.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        message: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let opened = Diagnostics::open(&call.hansard.keys, granted.account(), message.trim())
            .map_err(|error| WireError::invalid("EncodedDiagnosticMessage", error))?;
        let matched_policies = matched(&opened);
        Ok(Done::read(DecodeDiagnosticMessageReply {
            request_id: call.request_id().to_string(),
            decoded_diagnostic_message: DecodedDiagnosticMessage {
                explicit_deny: opened.explicit,
                no_permission_policy_type: opened.policy_type,
                auth_action: opened.action,
                auth_resource: opened.resource,
                auth_principal: AuthPrincipal {
                    auth_principal_type: opened.caller_kind,
                    auth_principal_owner_id: granted.account().to_string(),
                    auth_principal_display_name: opened.caller_name,
                },
                auth_conditions: opened.context.into_iter().map(condition).collect(),
                matched_policies,
                unmet_conditions: opened.unmet.into_iter().map(unmet).collect(),
            },
        }))
    }
}

fn condition((condition_key, condition_values): (String, Vec<String>)) -> AuthCondition {
    AuthCondition { condition_key, condition_values }
}

fn unmet(condition: SealedCondition) -> UnmetCondition {
    UnmetCondition {
        policy_identifier: condition.policy,
        statement: number(condition.statement),
        operator: condition.operator,
        condition_key: condition.key,
        wanted_values: condition.wanted,
    }
}

fn number(statement: usize) -> i32 {
    i32::try_from(statement).unwrap_or(i32::MAX)
}

fn matched(opened: &Diagnostics) -> Vec<MatchedPolicy> {
    let Some((policy, statement)) = &opened.statement else { return Vec::new() };
    let own = opened.policy_type == PolicyType::AccountLevelIdentityBasedPolicy.as_str();
    let kind = match system_policies::find(policy) {
        Some(_) => PolicyKind::System,
        None => PolicyKind::Custom,
    };
    vec![MatchedPolicy {
        policy_identifier: policy.clone(),
        policy_type: if own { kind.as_str().to_owned() } else { opened.policy_type.clone() },
        effect: "Deny".to_owned(),
        attached_scope: "Account".to_owned(),
        statement: number(*statement),
    }]
}
