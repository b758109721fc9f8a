//! SetInstanceRecordConfig: switches recording on or off, for one instance or for `*`.

use domain::AccountId;
use domain::actions::SetInstanceRecordConfig;
use domain::expiration::ExpirationDays;
use domain::gate::Granted;
use domain::principal::Principal;
use domain::record_config::{self, DesiredRecordConfig, InstanceSelector};
use domain::session_settings::{Notice, SessionSettings};
use domain::storage_target::{RecordStorageTarget, StorageTargetRefused};
use openapi::error_codes::WireError;
use openapi::workbench::{Envelope, SetInstanceRecordConfigReply, SetInstanceRecordConfigRequest};
use persistence::StoreError;

use super::selected;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

/// How often a change is decided again when another call has changed the same configuration meanwhile.
const ATTEMPTS: u32 = 5;

impl RpcAction for SetInstanceRecordConfig {
    type Input = Input;

    fn read(caller: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let (selector, enabled) = (request.instance_id.clone()?, request.enabled);
        Ok(Input { selector, enabled, settings: settings(caller.account(), request) })
    }

    async fn locate(call: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        // The gate refuses `*` too when an explicit Deny could match one instance (DECISIONS I4).
        Ok(selected(call, &input.selector).await?.into())
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { selector, enabled, settings } = input;
        let Settings { target, expiration, of_sessions } = settings?;
        let desired = DesiredRecordConfig { selector, enabled, target, expiration, settings: of_sessions };
        let settings = &call.hansard.settings;
        let default = settings
            .default_target
            .then(|| RecordStorageTarget::deployment_default(&settings.region, granted.account()));
        let how = how(&desired);
        for attempt in 1.. {
            let current = call.store.find_own_record_config(&granted, &desired.selector).await?;
            let change = record_config::change(
                &granted,
                current.as_ref(),
                desired.clone(),
                default.as_ref(),
                call.now(),
            )
            .map_err(|_| WireError::missing("RecordStorageTarget"))?;
            // A target that the call names must be usable. One that was stored before, or the deployment's default,
            // must be usable only if something will be recorded there: a broken target must not prevent switching off.
            let target = change.after.target.as_ref();
            if let Some(target) = target.filter(|_| desired.enabled || desired.target.is_some()) {
                call.hansard
                    .check_target(target)
                    .await
                    .map_err(|unusable| ActionError::unusable_target(&unusable))?;
            }
            match call.store.apply(&granted, change, call.audit_of_change(&granted, &how)).await {
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

/// The change as the audit trail has it: whom a recording leaves out, and what it lets pass, must be seen there.
fn how(desired: &DesiredRecordConfig) -> String {
    let SessionSettings { failure_policy, delivery_mode, recorded_principals, notice } = &desired.settings;
    let mut how = if desired.enabled { "on" } else { "off" }.to_owned();
    let said = [
        failure_policy.map(|policy| format!("FailurePolicy {policy}")),
        delivery_mode.map(|mode| format!("DeliveryMode {mode}")),
        recorded_principals.as_ref().map(|principals| format!("RecordedPrincipals {principals}")),
        notice.as_ref().map(|notice| format!("Notice {}", notice.kind().as_str())),
    ];
    for setting in said.into_iter().flatten() {
        how.push_str(", ");
        how.push_str(&setting);
    }
    how
}

/// The change that is wanted.
pub(crate) struct Input {
    selector: InstanceSelector,
    enabled: bool,
    settings: Deferred<Settings, ActionError>,
}

/// What a call says about recordings and the sessions they are of.
struct Settings {
    /// Where recordings are kept; `None` leaves it unchanged.
    target: Option<RecordStorageTarget>,
    /// For how long; `None` is the default.
    expiration: Option<ExpirationDays>,
    /// What is recorded of whom, and what people are told; what is `None` stays unchanged.
    of_sessions: SessionSettings,
}

/// All parameters are checked, even when recording is switched off.
fn settings(account: &AccountId, request: SetInstanceRecordConfigRequest) -> Result<Settings, ActionError> {
    let resource_region = request.resource_region_id.transpose()?;
    let target = match &request.record_storage_target {
        Some(target) => Some(RecordStorageTarget::parse(target.as_str(), account)?),
        None => None,
    };
    if let (Some(region), Some(target)) = (&resource_region, &target)
        && region != target.region()
    {
        return Err(StorageTargetRefused::Region { why: "its region and ResourceRegionId differ" }.into());
    }
    let expiration = request.expiration_days.transpose()?;
    let of_sessions = SessionSettings {
        failure_policy: request.failure_policy.transpose()?,
        delivery_mode: request.delivery_mode.transpose()?,
        recorded_principals: request.recorded_principals.transpose()?.map(Into::into),
        notice: match (request.notice_text.transpose()?, request.notice.transpose()?) {
            (Some(_), Some(_)) => {
                return Err(WireError::invalid("Notice", "it is given together with NoticeText").into());
            }
            (Some(text), None) => Some(Notice::Text(text)),
            (None, without_text) => without_text.map(Notice::from),
        },
    };
    Ok(Settings { target, expiration, of_sessions })
}
