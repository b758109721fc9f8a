use std::fmt;

use domain::access_key::AccessKeyStatus;
use domain::identity::{AccessKeyId, UserName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DoneReply;
use crate::operations::operations;
use crate::parameters::{Deferred, Parameters};

operations! {
    CreateAccessKey: CreateAccessKeyRequest => CreateAccessKeyReply,
        [MissingParameter, EntityNotExist, LimitExceeded];
    ListAccessKeys: ListAccessKeysRequest => ListAccessKeysReply, [MissingParameter, EntityNotExist];
    UpdateAccessKey: UpdateAccessKeyRequest => DoneReply, [MissingParameter, EntityNotExist];
    DeleteAccessKey: DeleteAccessKeyRequest => DoneReply, [MissingParameter, EntityNotExist];
    GetAccessKeyLastUsed: GetAccessKeyLastUsedRequest => GetAccessKeyLastUsedReply,
        [MissingParameter, EntityNotExist];
}

/// Creates an access key.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct CreateAccessKeyRequest {
    /// The user. Omitted: the caller, who is a user or the account's owner.
    #[parameter(example = "ana")]
    pub user_name: Option<Deferred<UserName>>,
}

/// The new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAccessKeyReply {
    /// The call's id.
    pub request_id: String,
    /// The key. Its secret is shown only here.
    pub access_key: CreatedAccessKey,
}

/// An access key with its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedAccessKey {
    /// The public half.
    pub access_key_id: String,
    /// The secret half. It is shown only here and cannot be read again.
    pub access_key_secret: String,
    /// `Active`.
    pub status: String,
    /// When it was created.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
}

/// Lists the access keys of a user.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListAccessKeysRequest {
    /// The user. Omitted: the caller, who is a user or the account's owner.
    #[parameter(example = "ana")]
    pub user_name: Option<Deferred<UserName>>,
}

/// The keys of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccessKeysReply {
    /// The call's id.
    pub request_id: String,
    /// The keys.
    pub access_keys: AccessKeyList,
}

/// Access keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeyList {
    /// The keys, the oldest first.
    pub access_key: Vec<AccessKeyItem>,
}

/// An access key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeyItem {
    /// The public half.
    pub access_key_id: String,
    /// `Active` or `Inactive`.
    pub status: String,
    /// When it was created.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
}

/// Switches an access key on or off.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct UpdateAccessKeyRequest {
    /// The public half of the key.
    #[parameter(example = "LTAI5tExample")]
    pub user_access_key_id: Deferred<AccessKeyId>,
    /// `Active` or `Inactive`.
    #[parameter(example = "Inactive")]
    pub status: Deferred<AccessKeyStatus>,
    /// The user. Omitted: the caller, who is a user or the account's owner.
    #[parameter(example = "ana")]
    pub user_name: Option<Deferred<UserName>>,
}

/// Deletes an access key.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct DeleteAccessKeyRequest {
    /// The public half of the key.
    #[parameter(example = "LTAI5tExample")]
    pub user_access_key_id: Deferred<AccessKeyId>,
    /// The user. Omitted: the caller, who is a user or the account's owner.
    #[parameter(example = "ana")]
    pub user_name: Option<Deferred<UserName>>,
}

/// Asks when an access key last signed.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetAccessKeyLastUsedRequest {
    /// The public half of the key.
    #[parameter(example = "LTAI5tExample")]
    pub user_access_key_id: Deferred<AccessKeyId>,
    /// The user. Omitted: the caller, who is a user or the account's owner.
    #[parameter(example = "ana")]
    pub user_name: Option<Deferred<UserName>>,
}

/// When a key last signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GetAccessKeyLastUsedReply {
    /// The call's id.
    pub request_id: String,
    /// When, and for what.
    pub access_key_last_used: AccessKeyLastUsed,
}

/// When a key last signed a call that was authenticated. A call that another replica
/// received is known after at most 5 seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeyLastUsed {
    /// When; `N/A` when it never signed a call.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub last_used_date: String,
    /// The product that was called, by its RAM code; absent when it never signed a call, or called no known product.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "ecs-workbench")]
    pub service_name: Option<String>,
}

impl fmt::Debug for CreatedAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedAccessKey").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}
