use domain::identity::RoleName;
use domain::role::MaxSessionDuration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules::{Description, NoConsoleLogin, TrustDocument};
use super::{DoneReply, TagList, Tags};
use crate::operations::operations;
use crate::parameter_types::{Marker, MaxItems, Written};
use crate::parameters::{Deferred, Parameters};
use crate::workbench::PolicyFinding;

operations! {
    CreateRole: CreateRoleRequest => WrittenRoleReply,
        [EntityAlreadyExists, LimitExceeded, InvalidRamParameter, MalformedPolicyDocument];
    GetRole: GetRoleRequest => RoleReply, [EntityNotExist];
    UpdateRole: UpdateRoleRequest => WrittenRoleReply,
        [EntityNotExist, InvalidRamParameter, MalformedPolicyDocument];
    ListRoles: ListRolesRequest => ListRolesReply;
    DeleteRole: DeleteRoleRequest => DoneReply, [EntityNotExist, DeleteConflict];
}

/// Creates a role.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct CreateRoleRequest {
    /// The name, unique within the account.
    #[parameter(example = "auditor")]
    pub role_name: Deferred<RoleName>,
    /// The policy that says who may assume it: a JSON document with `Principal` and without `Resource`.
    #[parameter(
        example = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::1609982529000000:root"]}}]}"#
    )]
    pub assume_role_policy_document: Written<TrustDocument>,
    /// What it is for.
    pub description: Option<Description>,
    /// The maximum duration of its sessions, in seconds.
    #[parameter(default = 3600)]
    pub max_session_duration: Option<MaxSessionDuration>,
    /// Refused when true: roles cannot sign in to a console here.
    #[parameter(default = false)]
    pub allow_console_login: Option<NoConsoleLogin>,
    /// Its tags, at most 20: a JSON list of objects with `Key` and `Value`, or `Tag.1.Key`, `Tag.1.Value` and so on; as in
    /// TagResources.
    #[parameter(example = r#"[{"Key":"team","Value":"payments"}]"#)]
    pub tag: Option<Tags>,
}

/// Asks for one role.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetRoleRequest {
    /// The role.
    #[parameter(example = "auditor")]
    pub role_name: Deferred<RoleName>,
}

/// Changes a role. What is omitted stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct UpdateRoleRequest {
    /// The role.
    #[parameter(example = "auditor")]
    pub role_name: Deferred<RoleName>,
    /// The new policy that says who may assume it. Sessions that have begun continue.
    pub new_assume_role_policy_document: Option<Written<TrustDocument>>,
    /// What it is for.
    #[parameter(example = "Reads recordings.")]
    pub new_description: Option<Description>,
    /// The new maximum duration of its sessions, in seconds.
    pub new_max_session_duration: Option<MaxSessionDuration>,
    /// Refused when true: roles cannot sign in to a console here.
    #[parameter(default = false)]
    pub new_allow_console_login: Option<NoConsoleLogin>,
}

/// Lists the roles of the account, by name.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListRolesRequest {
    /// Where the previous page ended, from its reply.
    pub marker: Option<Marker>,
    /// How many entries a page shows.
    #[parameter(default = 100)]
    pub max_items: Option<MaxItems>,
    /// Only those that have all of these tags: a JSON list of objects with `Key`, and `Value` unless any value will do; or
    /// `Tag.1.Key`, `Tag.1.Value` and so on.
    #[parameter(example = r#"[{"Key":"team"}]"#)]
    pub tag: Option<Tags>,
}

/// Deletes a role that has no policies, and ends its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct DeleteRoleRequest {
    /// The role.
    #[parameter(example = "auditor")]
    pub role_name: Deferred<RoleName>,
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
    /// Its tags; only in lists, and absent when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tags: Option<TagList>,
}
