//! The shapes that every reply shares: the error and the detail of a denial.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error on the wire.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorReply {
    /// The call's id: an upper-case UUID, also in the header `x-acs-request-id`.
    #[schema(example = "473469C7-AA6F-4DC5-B3DB-A3DC0DE30E47")]
    pub request_id: String,
    /// The host that answered.
    pub host_id: String,
    /// One code of the table `x-error-codes`.
    pub code: String,
    /// What was wrong.
    pub message: String,
    /// What to do about it.
    pub recommend: String,
    /// Always false.
    pub success: bool,
    /// Whether the same call may succeed later without any change.
    pub retryable: bool,
    /// Why policies denied the call; only with `Forbidden.RAM` and `NoPermission`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub access_denied_detail: Option<AccessDeniedDetail>,
}

/// What a caller may learn about a denial. It never names a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccessDeniedDetail {
    /// The action that was called.
    #[schema(example = "ecs-workbench:ViewInstanceRecords")]
    pub auth_action: String,
    /// `SubUser` for a RAM user, `AssumedRoleUser` for a session of a role, `Account` for the account's owner.
    pub auth_principal_type: String,
    /// The account.
    pub auth_principal_owner_id: String,
    /// The user's id; of a session, `<role name>:<session name>`.
    pub auth_principal_display_name: String,
    /// The kind of policy that decided.
    #[schema(example = "AccountLevelIdentityBasedPolicy")]
    pub policy_type: String,
    /// `ImplicitDeny` or `ExplicitDeny`.
    pub no_permission_type: String,
    /// The reason, sealed. DecodeDiagnosticMessage decodes it for callers of the account who have that permission.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "AQ5zZWFsaW5nLTBhMWIyYzNk...")]
    pub encoded_diagnostic_message: Option<String>,
}
