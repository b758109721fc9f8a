use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operations::operations;
use crate::parameter_types::AnyText;
use crate::parameters::Parameters;

operations! {
    DecodeDiagnosticMessage: DecodeDiagnosticMessageRequest => DecodeDiagnosticMessageReply;
}

/// Asks why something was denied.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct DecodeDiagnosticMessageRequest {
    /// The message of a denial in this account, as its AccessDeniedDetail carries it.
    #[parameter(example = "AQ5zZWFsaW5nLTBhMWIyYzNk")]
    pub encoded_diagnostic_message: AnyText,
}

/// Why a call was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DecodeDiagnosticMessageReply {
    /// The call's id.
    pub request_id: String,
    /// The reason, as it was sealed at the denial.
    pub decoded_diagnostic_message: DecodedDiagnosticMessage,
}

/// A denial, as it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DecodedDiagnosticMessage {
    /// Whether a statement denied it; otherwise none allowed it.
    pub explicit_deny: bool,
    /// The kind of policy that decided.
    #[schema(example = "AccountLevelIdentityBasedPolicy")]
    pub no_permission_policy_type: String,
    /// The action.
    #[schema(example = "ecs-workbench:ViewInstanceRecords")]
    pub auth_action: String,
    /// The resource: an ARN, or `*`.
    pub auth_resource: String,
    /// Who asked.
    pub auth_principal: AuthPrincipal,
    /// Every condition key of the request.
    pub auth_conditions: Vec<AuthCondition>,
    /// The policy that denied; empty when none allowed it.
    pub matched_policies: Vec<MatchedPolicy>,
    /// When none allowed it: the conditions that kept statements from it that fit otherwise, at most three. The vendor's
    /// SDKs have no place for it and leave it out.
    #[serde(default)]
    pub unmet_conditions: Vec<UnmetCondition>,
}

/// Who was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AuthPrincipal {
    /// `SubUser`, `AssumedRoleUser` or `Account`.
    pub auth_principal_type: String,
    /// The account.
    pub auth_principal_owner_id: String,
    /// The user's id; of a session, `<role name>:<session name>`.
    pub auth_principal_display_name: String,
}

/// A condition key with what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AuthCondition {
    /// The key.
    #[schema(example = "acs:SourceIp")]
    pub condition_key: String,
    /// Its values.
    pub condition_values: Vec<String>,
}

/// A condition that the call did not meet, of a statement that would otherwise have allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UnmetCondition {
    /// The policy's name.
    pub policy_identifier: String,
    /// Which of its statements, from 0.
    pub statement: i32,
    /// The operator.
    #[schema(example = "IpAddress")]
    pub operator: String,
    /// The key, as the policy spells it.
    #[schema(example = "acs:SourceIp")]
    pub condition_key: String,
    /// What the statement wants; of many values the first five.
    pub wanted_values: Vec<String>,
}

/// A policy that decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MatchedPolicy {
    /// The policy's name. For a trust policy, the role's name; for a session policy, the session's.
    pub policy_identifier: String,
    /// `Custom` or `System` for a principal's own policies; for others, their kind.
    pub policy_type: String,
    /// Its effect.
    #[schema(example = "Deny")]
    pub effect: String,
    /// Where it applies.
    #[schema(example = "Account")]
    pub attached_scope: String,
    /// Which of its statements, from 0. The vendor's SDKs have no place for it and leave it out.
    pub statement: i32,
}
