use domain::Region;
use domain::expiration::ExpirationDays;
use domain::record_config::InstanceSelector;
use domain::storage_target::RecordStorageTarget;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Envelope;
use crate::operations::operations;
use crate::parameter_types::{IgnoredRegion, Written};
use crate::parameters::{Deferred, Parameters};

operations! {
    SetInstanceRecordConfig: SetInstanceRecordConfigRequest => SetInstanceRecordConfigReply,
        [StorageTargetFormat, StorageTargetBucketName, StorageTargetRegion, StorageTargetAccount, Conflict];
    GetInstanceRecordConfig: GetInstanceRecordConfigRequest => GetInstanceRecordConfigReply;
}

/// Switches recording on or off, for an instance or with `*` for every instance of the account.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct SetInstanceRecordConfigRequest {
    /// On or off; `true` and `false` in any case.
    #[parameter(example = true)]
    pub enabled: bool,
    /// An instance, whether known or not, or `*`.
    #[parameter(example = "i-bp1example")]
    pub instance_id: Deferred<InstanceSelector>,
    /// Where recordings go. Omitted: what was set for this InstanceId before, or else the deployment's default.
    #[parameter(
        example = "acs:oss:cn-hangzhou:1609982529000000:workbench-record-1609982529000000-demo/record"
    )]
    pub record_storage_target: Option<Written<RecordStorageTarget>>,
    /// How many days a recording stays visible after its end. Omitted: 7.
    #[parameter(default = 7, example = 30)]
    pub expiration_days: Option<Deferred<ExpirationDays>>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
    /// The bucket's region. Must agree with that of RecordStorageTarget where both are given.
    pub resource_region_id: Option<Deferred<Region>>,
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
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetInstanceRecordConfigRequest {
    /// An instance, whether known or not, or `*`.
    #[parameter(example = "i-bp1example")]
    pub instance_id: Deferred<InstanceSelector>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
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
