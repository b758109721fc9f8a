//! GetInstanceRecordConfig: the configuration that holds, the instance's own or that of `*`.

use domain::actions::GetInstanceRecordConfig;
use domain::gate::Granted;
use domain::principal::Principal;
use domain::record_config::{InstanceSelector, RecordConfig};
use domain::session_settings::Notice;
use openapi::error_codes::WireError;
use openapi::workbench::{Envelope, GetInstanceRecordConfigReply, RecordConfigRoot};

use super::selected;
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetInstanceRecordConfig {
    type Input = InstanceSelector;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.instance_id
    }

    async fn locate(call: &Call<'_>, selector: &Self::Input) -> Result<Located, ActionError> {
        Ok(selected(call, selector).await?.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        selector: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let effective = call.deciding.effective_record_config(&granted, &selector).await?;
        let (was_set, settings) = (effective.config.is_some(), &effective.settings);
        Ok(Done::read(GetInstanceRecordConfigReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            enabled: was_set.then(|| effective.enabled()),
            inherited: was_set.then(|| effective.inherited(&selector)),
            failure_policy: settings.failure_policy.value.to_string(),
            failure_policy_source: settings.failure_policy.source.to_string(),
            delivery_mode: settings.delivery_mode.value.to_string(),
            delivery_mode_source: settings.delivery_mode.source.to_string(),
            recorded_principals: settings.recorded_principals.value.to_items(),
            recorded_principals_source: settings.recorded_principals.source.to_string(),
            notice: settings.notice.value.kind().as_str().to_owned(),
            notice_source: settings.notice.source.to_string(),
            notice_text: match &settings.notice.value {
                Notice::Text(text) => Some(text.as_str().to_owned()),
                Notice::Default | Notice::None => None,
            },
            root: effective.config.as_ref().and_then(root),
        }))
    }
}

/// A client can tell "off" only by the absence of Root.
fn root(config: &RecordConfig) -> Option<RecordConfigRoot> {
    let target = config.target.as_ref().filter(|_| config.enabled)?;
    Some(RecordConfigRoot {
        expiration_days: config.expiration.get().into(),
        instance_id: config.selector.to_string(),
        parent_id: config.account.to_string(),
        record_storage_target: target.to_string(),
    })
}
