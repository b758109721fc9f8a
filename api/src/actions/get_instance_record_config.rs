//! GetInstanceRecordConfig: the configuration that holds, the instance's own or that of `*`.

use domain::actions::GetInstanceRecordConfig;
use domain::gate::{Granted, Resource};
use domain::record_config::{InstanceSelector, RecordConfig};
use openapi::workbench::{
    Envelope, GetInstanceRecordConfigReply, GetInstanceRecordConfigRequest, RecordConfigRoot,
};

use super::selector;
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

impl RpcAction for GetInstanceRecordConfig {
    type Request = GetInstanceRecordConfigRequest;
    type Reply = GetInstanceRecordConfigReply;

    async fn locate(call: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        match selector(&asked.instance_id)? {
            InstanceSelector::One(instance) => call.instance(instance).await,
            InstanceSelector::All => {
                Ok(Resource::AllInstances { region: call.hansard.settings.region.clone() })
            }
        }
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        asked: Self::Request,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let selector = selector(&asked.instance_id)?;
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
