use domain::identity::{PolicyKind, PolicyName};
use domain::policy_version::PolicyVersionId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules::{Description, IdentityDocument, RotateStrategy};
use super::{DoneReply, TagList, Tags};
use crate::operations::operations;
use crate::parameter_types::{Marker, MaxItems, Written};
use crate::parameters::{Deferred, Parameters};
use crate::workbench::PolicyFinding;

operations! {
    CreatePolicy: CreatePolicyRequest => CreatePolicyReply,
        [EntityAlreadyExists, LimitExceeded, InvalidRamParameter, MalformedPolicyDocument];
    GetPolicy: PolicyRequest => GetPolicyReply, [EntityNotExist];
    ListPolicies: ListPoliciesRequest => ListPoliciesReply;
    UpdatePolicyDescription: UpdatePolicyDescriptionRequest => PolicyDescriptionReply, [EntityNotExist];
    DeletePolicy: DeletePolicyRequest => DoneReply, [EntityNotExist, DeleteConflict];
    CreatePolicyVersion: CreatePolicyVersionRequest => CreatePolicyVersionReply,
        [EntityNotExist, LimitExceeded, InvalidRamParameter, MalformedPolicyDocument, Conflict];
    ListPolicyVersions: PolicyRequest => ListPolicyVersionsReply, [EntityNotExist];
    GetPolicyVersion: GetPolicyVersionRequest => PolicyVersionReply, [EntityNotExist];
    SetDefaultPolicyVersion: PolicyVersionRequest => SetDefaultPolicyVersionReply, [EntityNotExist, Conflict];
    DeletePolicyVersion: PolicyVersionRequest => DoneReply, [EntityNotExist, DeleteConflict];
}

/// Creates a policy of the account.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct CreatePolicyRequest {
    /// Its name: 1 to 128 letters, digits or `-`.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// The document: at most 6,144 characters.
    #[parameter(
        example = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:List*","Resource":"*"}]}"#
    )]
    pub policy_document: Written<IdentityDocument>,
    /// What it is for.
    pub description: Option<Description>,
    /// Its tags, at most 20: a JSON list of objects with `Key` and `Value`, or `Tag.1.Key`, `Tag.1.Value` and so on; as in
    /// TagResources.
    #[parameter(example = r#"[{"Key":"team","Value":"payments"}]"#)]
    pub tag: Option<Tags>,
}

/// The policy that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreatePolicyReply {
    /// The call's id.
    pub request_id: String,
    /// The policy.
    pub policy: CreatedPolicyItem,
    /// Findings about the document, as ValidatePolicy reports them. They do not keep it from being stored.
    pub findings: Vec<PolicyFinding>,
}

/// A policy that was just created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedPolicyItem {
    /// Its name.
    pub policy_name: String,
    /// Always `Custom`.
    pub policy_type: String,
    /// What it is for.
    pub description: String,
    /// The default version: `v1`.
    pub default_version: String,
    /// When it was created.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
}

/// Changes what a policy of the account is said to be for.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct UpdatePolicyDescriptionRequest {
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// What it is for, in at most 1,024 bytes.
    #[parameter(example = "Reads recordings.")]
    pub new_description: Description,
}

/// The policy as it is described now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDescriptionReply {
    /// The call's id.
    pub request_id: String,
    /// The policy.
    pub policy: PolicyItem,
}

/// Names a policy of the account or of the system.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct PolicyRequest {
    /// `Custom` or `System`.
    #[parameter(example = "Custom")]
    pub policy_type: Deferred<PolicyKind>,
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
}

/// A policy with the document of its default version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GetPolicyReply {
    /// The call's id.
    pub request_id: String,
    /// The policy.
    pub policy: PolicyItem,
    /// The default version, with its document.
    pub default_policy_version: PolicyVersionItem,
}

/// Lists policies of the account and of the system.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListPoliciesRequest {
    /// Only those of this type, `Custom` or `System`. Omitted: both, those of the system first.
    pub policy_type: Option<Deferred<PolicyKind>>,
    /// Where the previous page ended, from its reply.
    pub marker: Option<Marker>,
    /// How many entries a page shows.
    #[parameter(default = 100)]
    pub max_items: Option<MaxItems>,
    /// Only those that have all of these tags: a JSON list of objects with `Key`, and `Value` unless any value will do; or
    /// `Tag.1.Key`, `Tag.1.Value` and so on. Policies of the system have no tags.
    #[parameter(example = r#"[{"Key":"team"}]"#)]
    pub tag: Option<Tags>,
}

/// A page of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListPoliciesReply {
    /// The call's id.
    pub request_id: String,
    /// Whether more entries follow.
    pub is_truncated: bool,
    /// Where this page ends; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marker: Option<String>,
    /// The policies of this page.
    pub policies: PolicyList,
}

/// Policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyList {
    /// The policies, by type and name.
    pub policy: Vec<PolicyItem>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyItem {
    /// Its name, unique among those of its type.
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
    /// How many users, groups and roles it is attached to.
    pub attachment_count: i32,
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

/// Deletes a policy of the account that is attached to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct DeletePolicyRequest {
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// Whether its other versions are deleted with it. Omitted: false; the policy must then have the default version alone.
    #[parameter(default = false)]
    pub cascading_delete: Option<bool>,
}

/// Adds a version to a policy.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct CreatePolicyVersionRequest {
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// The document: at most 6,144 characters.
    #[parameter(
        example = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:List*","Resource":"*"}]}"#
    )]
    pub policy_document: Written<IdentityDocument>,
    /// Whether the new version becomes the default. Omitted: false.
    #[parameter(default = false)]
    pub set_as_default: Option<bool>,
    /// Whether the oldest version that is not the default is deleted if there are five already. Omitted: `None`.
    #[parameter(default = "None")]
    pub rotate_strategy: Option<Deferred<RotateStrategy>>,
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyVersionReply {
    /// The call's id.
    pub request_id: String,
    /// The version.
    pub policy_version: PolicyVersionItem,
}

/// The version that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreatePolicyVersionReply {
    /// The call's id.
    pub request_id: String,
    /// The version.
    pub policy_version: PolicyVersionItem,
    /// Findings about the document, as ValidatePolicy reports them. They do not keep it from being stored.
    pub findings: Vec<PolicyFinding>,
}

/// Another version is the default now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SetDefaultPolicyVersionReply {
    /// The call's id.
    pub request_id: String,
    /// Findings about the new default document, as ValidatePolicy reports them; absent for callers who may not read it with GetPolicyVersion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub findings: Option<Vec<PolicyFinding>>,
}

/// The versions of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListPolicyVersionsReply {
    /// The call's id.
    pub request_id: String,
    /// The versions.
    pub policy_versions: PolicyVersionList,
}

/// Versions of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyVersionList {
    /// The versions, the oldest first.
    pub policy_version: Vec<PolicyVersionItem>,
}

/// A version of a policy. It is never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyVersionItem {
    /// `v` and a number that is used once.
    #[schema(example = "v1")]
    pub version_id: String,
    /// Whether it is the default version.
    pub is_default_version: bool,
    /// The document, as it was given.
    pub policy_document: String,
    /// When it was created.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
}

/// Asks for one version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetPolicyVersionRequest {
    /// `Custom` or `System`.
    #[parameter(example = "Custom")]
    pub policy_type: Deferred<PolicyKind>,
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// The version.
    #[parameter(example = "v2")]
    pub version_id: Deferred<PolicyVersionId>,
}

/// Names one version of a policy of the account.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct PolicyVersionRequest {
    /// The policy's name.
    #[parameter(example = "read-only")]
    pub policy_name: Deferred<PolicyName>,
    /// The version.
    #[parameter(example = "v2")]
    pub version_id: Deferred<PolicyVersionId>,
}
