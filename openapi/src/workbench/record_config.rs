use domain::Region;
use domain::expiration::ExpirationDays;
use domain::parameter::{Parameter, Refused, Shape, TextShape};
use domain::record_config::InstanceSelector;
use domain::session_settings::{DeliveryMode, FailurePolicy, NoticeText, RecordedPrincipals, TextlessNotice};
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
    /// What happens to a session that must be recorded when its recording cannot be kept: with `strict`, which is the
    /// default, it is refused or ended, with the reason; with `best_effort` it goes on unrecorded, the person is told, and the
    /// audit trail has it. Omitted: unchanged.
    #[parameter(example = "strict")]
    pub failure_policy: Option<Deferred<FailurePolicy>>,
    /// How far the delivery of a recording may be behind what the person is shown. With `async`, which is the default, any
    /// time: what is not delivered lies on the instance. With `sync`, output is held while the control plane has not stored
    /// what was shown longer ago than 10 seconds (a setting of the agent), and after 30 more (another) the session ends under
    /// FailurePolicy `strict`, or goes on as with `async` under `best_effort`. It is obeyed by sessions that begin from then
    /// on. Omitted: unchanged.
    #[parameter(example = "sync")]
    pub delivery_mode: Option<Deferred<DeliveryMode>>,
    /// Whose sessions are recorded: at most 100 patterns such as `user:ana`, `group:ops-*` or `role:auditor`, parted by commas,
    /// as a JSON list, or as `RecordedPrincipals.1`, `RecordedPrincipals.2` and so on. `*` in a name is any run of
    /// characters, `?` exactly one. A session is recorded if one of them matches: names of RAM where a signed call proves who
    /// opened the session, and otherwise users and groups of the operating system, where no role matches. `*` alone, which is
    /// the default, records everybody. Omitted: unchanged.
    #[parameter(example = "user:ana,group:ops-*")]
    pub recorded_principals: Option<Deferred<PrincipalList>>,
    /// What a person is told before the first prompt of a recorded session: one line of at most 500 characters. Omitted:
    /// unchanged.
    #[parameter(example = "Sessions on this machine are recorded.")]
    pub notice_text: Option<Deferred<NoticeText>>,
    /// A notice without a text of its own: `default` is the agent's text, which names the session's token; `none` tells the
    /// person nothing. It cannot be given together with NoticeText. Omitted: unchanged.
    #[parameter(example = "default")]
    pub notice: Option<Deferred<TextlessNotice>>,
}

/// [`RecordedPrincipals`] in any of the forms of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalList(RecordedPrincipals);

impl From<PrincipalList> for RecordedPrincipals {
    fn from(list: PrincipalList) -> Self {
        list.0
    }
}

impl PrincipalList {
    /// How long it may be, however it is written: more than as many of the longest patterns need.
    const MOST_CHARACTERS: usize = 16_384;
}

impl Parameter for PrincipalList {
    fn shape() -> Shape {
        TextShape::of_length(1..=Self::MOST_CHARACTERS).into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        if !TextShape::of_length(1..=Self::MOST_CHARACTERS).has_length(text) {
            return Err(Refused::value(format!("it must have at most {} characters", Self::MOST_CHARACTERS)));
        }
        let read = if text.starts_with('[') {
            let items: Vec<String> = serde_json::from_str(text).map_err(|_| {
                Refused::value(
                    "it must be a JSON list of texts, such as [\"user:ana\"], or texts parted by commas",
                )
            })?;
            RecordedPrincipals::of_items(items.iter().map(String::as_str))
        } else {
            text.parse()
        };
        read.map(Self).map_err(|why| Refused::value(why.to_string()))
    }
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
    /// What happens to a session whose recording cannot be kept: `strict`, it is refused or ended; `best_effort`, it goes on
    /// unrecorded.
    #[schema(example = "strict")]
    pub failure_policy: String,
    /// What FailurePolicy was set for: the instance or `*`; `default` if it never was, for either.
    #[schema(example = "default")]
    pub failure_policy_source: String,
    /// How far the delivery of a recording may be behind what the person is shown: `async`, any time; `sync`, a short time,
    /// after which output is held.
    #[schema(example = "async")]
    pub delivery_mode: String,
    /// What DeliveryMode was set for, as in FailurePolicySource.
    #[schema(example = "default")]
    pub delivery_mode_source: String,
    /// The patterns of which one must match a person whose sessions are recorded; `*` records everybody.
    #[schema(example = json!(["user:ana", "group:ops-*"]))]
    pub recorded_principals: Vec<String>,
    /// What RecordedPrincipals was set for, as in FailurePolicySource.
    #[schema(example = "*")]
    pub recorded_principals_source: String,
    /// What people are told before the first prompt: `default`, the agent's text, which names the session's token; `text`,
    /// NoticeText; `none`, nothing.
    #[schema(example = "text")]
    pub notice: String,
    /// What the notice was set for, as in FailurePolicySource.
    #[schema(example = "*")]
    pub notice_source: String,
    /// The text, if Notice is `text`; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Sessions on this machine are recorded.")]
    pub notice_text: Option<String>,
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
