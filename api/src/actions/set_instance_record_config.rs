//! SetInstanceRecordConfig: switches recording on or off, for one instance or for `*`.

use domain::Region;
use domain::actions::SetInstanceRecordConfig;
use domain::expiration::ExpirationDays;
use domain::gate::{Granted, Resource};
use domain::record_config::{self, DesiredRecordConfig, InstanceSelector};
use domain::storage_target::{RecordStorageTarget, StorageTargetRefused};
use openapi::error_codes::WireError;
use openapi::workbench::{Envelope, SetInstanceRecordConfigReply, SetInstanceRecordConfigRequest};
use persistence::StoreError;

use super::{invalid, selector};
use crate::dispatch::{Call, Done, RpcAction};
use crate::errors::ActionError;

/// How often a change is decided anew when another call changed the same configuration meanwhile.
const ATTEMPTS: u32 = 5;

impl RpcAction for SetInstanceRecordConfig {
    type Request = SetInstanceRecordConfigRequest;
    type Reply = SetInstanceRecordConfigReply;

    async fn locate(call: &Call<'_>, asked: &Self::Request) -> Result<Resource, ActionError> {
        match selector(&asked.instance_id)? {
            InstanceSelector::One(instance) => call.instance(instance).await,
            // The gate refuses it too when an explicit Deny could match one instance (DECISIONS I4).
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
        let desired = desired(&granted, &asked)?;
        let settings = &call.hansard.settings;
        let default = settings
            .default_target
            .then(|| RecordStorageTarget::deployment_default(&settings.region, granted.account()));
        let how = if desired.enabled { "on" } else { "off" };
        for attempt in 1.. {
            let current = call.hansard.store.own_record_config(&granted, &desired.selector).await?;
            let change = record_config::change(
                &granted,
                current.as_ref(),
                desired.clone(),
                default.as_ref(),
                call.now(),
            )
            .map_err(|_| WireError::missing("RecordStorageTarget"))?;
            // What was named has to be good; what was kept, or comes from the deployment, only when something is to be
            // recorded there: a target that went bad must not stand in the way of switching off.
            let target = change.after.target.as_ref();
            if let Some(target) = target.filter(|_| desired.enabled || desired.target.is_some()) {
                call.hansard
                    .check_target(target)
                    .await
                    .map_err(|unusable| ActionError::unusable_target(&unusable))?;
            }
            match call.hansard.store.apply(&granted, change, call.audit_of_change(&granted, how)).await {
                Err(StoreError::Conflict { .. }) if attempt < ATTEMPTS => {}
                outcome => {
                    outcome?;
                    break;
                }
            }
        }
        let envelope = Envelope::ok(call.request_id().as_str());
        Ok(Done::changed(SetInstanceRecordConfigReply { envelope, root: true }))
    }
}

/// Reads what the parameters mean. All of it is checked, also when recording is switched off.
fn desired(
    granted: &Granted<SetInstanceRecordConfig>,
    asked: &SetInstanceRecordConfigRequest,
) -> Result<DesiredRecordConfig, ActionError> {
    let resource_region = match &asked.resource_region_id {
        Some(region) => Some(Region::parse(region).map_err(|error| invalid("ResourceRegionId", &error))?),
        None => None,
    };
    let target = match &asked.record_storage_target {
        Some(target) => Some(RecordStorageTarget::parse(target, granted.account())?),
        None => None,
    };
    if let (Some(region), Some(target)) = (&resource_region, &target)
        && region != target.region()
    {
        return Err(StorageTargetRefused::Region { why: "its region and ResourceRegionId differ" }.into());
    }
    let expiration = match asked.expiration_days {
        Some(days) => Some(ExpirationDays::new(days.into()).map_err(|_| {
            WireError::invalid(
                "ExpirationDays",
                format_args!("it is a whole number from 1 to {}", ExpirationDays::MAX),
            )
        })?),
        None => None,
    };
    Ok(DesiredRecordConfig {
        selector: selector(&asked.instance_id)?,
        enabled: asked.enabled,
        target,
        expiration,
    })
}
