use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{DoneReply, rules};
use crate::operations::operations;
use crate::workbench::PolicyFinding;

operations! {
    CreateRole: CreateRoleRequest => WrittenRoleReply,
        [EntityAlreadyExists, LimitExceeded, InvalidRamParameter];
    GetRole: GetRoleRequest => RoleReply, [EntityNotExist];
    UpdateRole: UpdateRoleRequest => WrittenRoleReply, [EntityNotExist, InvalidRamParameter];
    ListRoles: ListRolesRequest => ListRolesReply;
    DeleteRole: DeleteRoleRequest => DoneReply, [EntityNotExist, DeleteConflict];
}

/// Creates a role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreateRoleRequest {
    /// The name, unique within the account.
    #[schema(example = "auditor", pattern = "^[A-Za-z0-9.-]{1,64}$")]
    pub role_name: String,
    /// The policy that says who may assume it: a JSON document with `Principal` and without `Resource`.
    pub assume_role_policy_document: String,
    /// What it is for.
    #[schema(nullable = false)]
    #[validate(custom(function = "rules::description"))]
    pub description: Option<String>,
    /// The maximum duration of its sessions, in seconds.
    #[schema(nullable = false, minimum = 3600, maximum = 43200, default = 3600)]
    #[validate(range(
        min = 3600,
        max = 43200,
        message = "it must be a whole number of seconds from 3600 to 43200"
    ))]
    pub max_session_duration: Option<i64>,
    /// Refused when true: roles cannot sign in to a console here.
    #[schema(nullable = false, default = false)]
    pub allow_console_login: Option<bool>,
    /// Refused: roles have no tags here.
    #[schema(nullable = false)]
    pub tag: Option<String>,
}

/// Asks for one role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GetRoleRequest {
    /// The role.
    #[schema(example = "auditor")]
    pub role_name: String,
}

/// Changes a role. What is omitted stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateRoleRequest {
    /// The role.
    #[schema(example = "auditor")]
    pub role_name: String,
    /// The new policy that says who may assume it. Sessions that have begun continue.
    #[schema(nullable = false)]
    pub new_assume_role_policy_document: Option<String>,
    /// What it is for.
    #[schema(nullable = false)]
    #[validate(custom(function = "rules::description"))]
    pub new_description: Option<String>,
    /// The new maximum duration of its sessions, in seconds.
    #[schema(nullable = false, minimum = 3600, maximum = 43200)]
    #[validate(range(
        min = 3600,
        max = 43200,
        message = "it must be a whole number of seconds from 3600 to 43200"
    ))]
    pub new_max_session_duration: Option<i64>,
    /// Refused when true: roles cannot sign in to a console here.
    #[schema(nullable = false, default = false)]
    pub new_allow_console_login: Option<bool>,
}

/// Lists the roles of the account, by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListRolesRequest {
    /// Where the previous page ended, from its reply.
    #[schema(nullable = false)]
    #[validate(length(min = 1, max = 512, message = "it must be the Marker of an earlier reply"))]
    pub marker: Option<String>,
    /// How many entries a page shows.
    #[schema(nullable = false, minimum = 1, maximum = 1000, default = 100)]
    #[validate(range(min = 1, max = 1000, message = "it must be a whole number from 1 to 1000"))]
    pub max_items: Option<i32>,
    /// Refused: roles have no tags here.
    #[schema(nullable = false)]
    pub tag: Option<String>,
}

/// Deletes a role that has no policies, and ends its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteRoleRequest {
    /// The role.
    #[schema(example = "auditor")]
    pub role_name: String,
}

/// One role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RoleReply {
    /// The call's id.
    pub request_id: String,
    /// The role.
    pub role: RoleItem,
}

/// A role that was created or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct WrittenRoleReply {
    /// The call's id.
    pub request_id: String,
    /// The role.
    pub role: RoleItem,
    /// Findings about the trust policy, as ValidatePolicy reports them; absent when the call gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub findings: Option<Vec<PolicyFinding>>,
}

/// A page of roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListRolesReply {
    /// The call's id.
    pub request_id: String,
    /// Whether more entries follow.
    pub is_truncated: bool,
    /// Where this page ends; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marker: Option<String>,
    /// The roles of this page.
    pub roles: RoleList,
}

/// Roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RoleList {
    /// The roles, by name.
    pub role: Vec<RoleItem>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RoleItem {
    /// The id: 18 digits, never reused.
    #[schema(example = "300000000000000001")]
    pub role_id: String,
    /// The name, unique within the account.
    #[schema(example = "auditor")]
    pub role_name: String,
    /// The ARN.
    #[schema(example = "acs:ram::1609982529000000:role/auditor")]
    pub arn: String,
    /// What it is for.
    pub description: String,
    /// Who may assume it; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub assume_role_policy_document: Option<String>,
    /// The maximum duration of its sessions, in seconds.
    #[schema(example = 3600)]
    pub max_session_duration: i64,
    /// When it was created.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
    /// When it was last changed.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub update_date: String,
}
