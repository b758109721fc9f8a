//! GetInstanceRecordConfig: the configuration that holds, the instance's own or that of `*`.

use domain::actions::GetInstanceRecordConfig;
use domain::gate::Granted;
use domain::principal::Principal;
use domain::record_config::{InstanceSelector, RecordConfig};
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
        let effective = call.hansard.store.effective_record_config(&granted, &selector).await?;
        let was_set = effective.config.is_some();
        Ok(Done::read(GetInstanceRecordConfigReply {
            envelope: Envelope::ok(call.request_id().as_str()),
            enabled: was_set.then(|| effective.enabled()),
            inherited: was_set.then(|| effective.inherited(&selector)),
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
