use domain::identity::{BearerKind, GroupName, PolicyKind, PolicyName, RoleName, UserName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules::{BearerName, NoResourceGroup};
use super::{DoneReply, PolicyRequest};
use crate::operations::operations;
use crate::parameter_types::{PageNumber, PageSize};
use crate::parameters::{Deferred, Parameters};

operations! {
    AttachPolicyToUser: PolicyOfUserRequest => DoneReply,
        [EntityNotExist, EntityAlreadyExists, LimitExceeded];
    AttachPolicyToGroup: PolicyOfGroupRequest => DoneReply,
        [EntityNotExist, EntityAlreadyExists, LimitExceeded];
    AttachPolicyToRole: PolicyOfRoleRequest => DoneReply,
        [EntityNotExist, EntityAlreadyExists, LimitExceeded];
    DetachPolicyFromUser: PolicyOfUserRequest => DoneReply, [EntityNotExist];
    DetachPolicyFromGroup: PolicyOfGroupRequest => DoneReply, [EntityNotExist];
    DetachPolicyFromRole: PolicyOfRoleRequest => DoneReply, [EntityNotExist];
    ListPoliciesForUser: ListPoliciesForUserRequest => AttachedPoliciesReply, [EntityNotExist];
    ListPoliciesForGroup: ListPoliciesForGroupRequest => AttachedPoliciesReply, [EntityNotExist];
    ListPoliciesForRole: ListPoliciesForRoleRequest => AttachedPoliciesReply, [EntityNotExist];
    ListEntitiesForPolicy: PolicyRequest => ListEntitiesForPolicyReply, [EntityNotExist];
    ListPolicyAttachments: ListPolicyAttachmentsRequest => ListPolicyAttachmentsReply;
}

/// Names a policy and a user: to attach it, or to detach it.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct PolicyOfUserRequest {
    /// `Custom` or `System`.
    #[parameter(example = "Custom")]
    pub policy_type: Deferred<PolicyKind>,
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// The user's name.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
    /// Refused: there are no resource groups here.
    pub resource_group_id: Option<Deferred<NoResourceGroup>>,
}

/// Asks for the policies of one user.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListPoliciesForUserRequest {
    /// The user's name.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
}

/// Names a policy and a group: to attach it, or to detach it.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct PolicyOfGroupRequest {
    /// `Custom` or `System`.
    #[parameter(example = "Custom")]
    pub policy_type: Deferred<PolicyKind>,
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// The group's name.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
    /// Refused: there are no resource groups here.
    pub resource_group_id: Option<Deferred<NoResourceGroup>>,
}

/// Asks for the policies of one group.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListPoliciesForGroupRequest {
    /// The group's name.
    #[parameter(example = "operators")]
    pub group_name: Deferred<GroupName>,
}

/// Names a policy and a role: to attach it, or to detach it.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct PolicyOfRoleRequest {
    /// `Custom` or `System`.
    #[parameter(example = "Custom")]
    pub policy_type: Deferred<PolicyKind>,
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// The role's name.
    #[parameter(example = "auditor")]
    pub role_name: Deferred<RoleName>,
    /// Refused: there are no resource groups here.
    pub resource_group_id: Option<Deferred<NoResourceGroup>>,
}

/// Asks for the policies of one role.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListPoliciesForRoleRequest {
    /// The role's name.
    #[parameter(example = "auditor")]
    pub role_name: Deferred<RoleName>,
}

/// The policies of a user, a group or a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AttachedPoliciesReply {
    /// The call's id.
    pub request_id: String,
    /// The policies.
    pub policies: AttachedPolicyList,
}

/// Policies of a user, a group or a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AttachedPolicyList {
    /// The policies, by type and name. Those of a user's groups are not included.
    pub policy: Vec<AttachedPolicyItem>,
}

/// A policy of a user, a group or a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AttachedPolicyItem {
    /// Its name.
    #[schema(example = "read-only")]
    pub policy_name: String,
    /// `Custom` or `System`.
    #[schema(example = "Custom")]
    pub policy_type: String,
    /// What it is for.
    pub description: String,
    /// The default version, which is the one that applies.
    #[schema(example = "v1")]
    pub default_version: String,
    /// When it was attached.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub attach_date: String,
}

/// The users, groups and roles that a policy is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListEntitiesForPolicyReply {
    /// The call's id.
    pub request_id: String,
    /// The users that it is attached to.
    pub users: BearingUserList,
    /// The groups that it is attached to; it holds for their members.
    pub groups: BearingGroupList,
    /// The roles that it is attached to; it holds for their sessions.
    pub roles: BearingRoleList,
}

/// Users that have a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct BearingUserList {
    /// The users, by name.
    pub user: Vec<BearingUserItem>,
}

/// Groups that have a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct BearingGroupList {
    /// The groups, by name.
    pub group: Vec<BearingGroupItem>,
}

/// Roles that have a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct BearingRoleList {
    /// The roles, by name.
    pub role: Vec<BearingRoleItem>,
}

/// A user that has a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct BearingUserItem {
    /// Its id.
    pub user_id: String,
    /// Its name.
    pub user_name: String,
    /// The name that people see.
    pub display_name: String,
    /// When the policy was attached.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub attach_date: String,
}

/// A group that has a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct BearingGroupItem {
    /// Its name.
    pub group_name: String,
    /// A comment about the group.
    pub comments: String,
    /// When the policy was attached.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub attach_date: String,
}

/// A role that has a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct BearingRoleItem {
    /// Its id.
    pub role_id: String,
    /// Its name.
    pub role_name: String,
    /// Its ARN.
    pub arn: String,
    /// What it is for.
    pub description: String,
    /// When the policy was attached.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub attach_date: String,
}

/// Lists the attachments of policies to users, groups and roles. What is omitted selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListPolicyAttachmentsRequest {
    /// Only policies of this type, `Custom` or `System`.
    pub policy_type: Option<Deferred<PolicyKind>>,
    /// Only the policy of this name.
    pub policy_name: Option<Deferred<PolicyName>>,
    /// Only attachments to users (`IMSUser`), groups (`IMSGroup`) or roles (`ServiceRole`).
    pub principal_type: Option<Deferred<BearerKind>>,
    /// Only attachments to the user, group or role of this name.
    pub principal_name: Option<BearerName>,
    /// Refused: there are no resource groups here.
    pub resource_group_id: Option<Deferred<NoResourceGroup>>,
    /// Which page, from 1.
    #[parameter(default = 1)]
    pub page_number: Option<PageNumber>,
    /// How many entries a page shows.
    #[parameter(default = 10)]
    pub page_size: Option<PageSize>,
}

/// A page of attachments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListPolicyAttachmentsReply {
    /// The call's id.
    pub request_id: String,
    /// Which page this is.
    pub page_number: i32,
    /// How many entries a page shows.
    pub page_size: i32,
    /// How many attachments there are in all.
    pub total_count: i32,
    /// Those of this page.
    pub policy_attachments: PolicyAttachmentList,
}

/// Attachments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyAttachmentList {
    /// The attachments, by the policy's type and name.
    pub policy_attachment: Vec<PolicyAttachmentItem>,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyAttachmentItem {
    /// The policy's name.
    #[schema(example = "read-only")]
    pub policy_name: String,
    /// `Custom` or `System`.
    #[schema(example = "Custom")]
    pub policy_type: String,
    /// What the policy is for.
    pub description: String,
    /// The name of the user, group or role.
    #[schema(example = "ana")]
    pub principal_name: String,
    /// `IMSUser`, `IMSGroup` or `ServiceRole`.
    #[schema(example = "IMSUser")]
    pub principal_type: String,
    /// The account: every attachment holds for all of it.
    pub resource_group_id: String,
    /// When it was attached.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub attach_date: String,
}
