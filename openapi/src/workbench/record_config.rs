use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::Envelope;
use crate::operations::operations;

operations! {
    SetInstanceRecordConfig: SetInstanceRecordConfigRequest => SetInstanceRecordConfigReply,
        [StorageTargetFormat, StorageTargetBucketName, StorageTargetRegion, StorageTargetAccount, Conflict];
    GetInstanceRecordConfig: GetInstanceRecordConfigRequest => GetInstanceRecordConfigReply;
}

/// Switches recording on or off, for an instance or with `*` for every instance of the account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SetInstanceRecordConfigRequest {
    /// On or off; `true` and `false` in any case.
    pub enabled: bool,
    /// An instance, whether known or not, or `*`.
    #[schema(example = "i-bp1example", pattern = r"^(\*|[a-z]{1,8}-[A-Za-z0-9]{1,60})$")]
    pub instance_id: String,
    /// Where recordings go. Omitted: what was set for this InstanceId before, or else the deployment's default.
    #[schema(
        nullable = false,
        example = "acs:oss:cn-hangzhou:1609982529000000:workbench-record-1609982529000000-demo/record"
    )]
    pub record_storage_target: Option<String>,
    /// How many days a recording stays visible after its end. Omitted: 7.
    #[schema(nullable = false, minimum = 1, maximum = 3650, default = 7)]
    pub expiration_days: Option<i32>,
    /// Recorded, and otherwise ignored.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it must have at most 128 characters"))]
    pub region_id: Option<String>,
    /// The bucket's region. Must agree with that of RecordStorageTarget where both are given.
    #[schema(nullable = false, pattern = "^[a-z]{2}-[a-z0-9-]{1,30}$")]
    pub resource_region_id: Option<String>,
}

/// The configuration was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SetInstanceRecordConfigReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Always true.
    pub root: bool,
}

/// Asks for the configuration that applies to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GetInstanceRecordConfigRequest {
    /// An instance, whether known or not, or `*`.
    #[schema(example = "i-bp1example", pattern = r"^(\*|[a-z]{1,8}-[A-Za-z0-9]{1,60})$")]
    pub instance_id: String,
    /// Recorded, and otherwise ignored.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it must have at most 128 characters"))]
    pub region_id: Option<String>,
}

/// The configuration that applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct GetInstanceRecordConfigReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Absent when recording is off or was never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub root: Option<RecordConfigRoot>,
    /// Whether sessions are recorded. It is false when recording was switched off, and absent when it was never set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub enabled: Option<bool>,
    /// Whether the configuration was set for `*` and not for the instance itself; absent when none was ever set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub inherited: Option<bool>,
}

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RecordConfigRoot {
    /// How many days a recording stays visible after its end.
    #[schema(example = 7)]
    pub expiration_days: i32,
    /// The instance that it was set for, or `*`.
    pub instance_id: String,
    /// The account.
    #[schema(example = "1609982529000000")]
    pub parent_id: String,
    /// Where recordings go.
    pub record_storage_target: String,
}
