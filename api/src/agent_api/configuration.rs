//! The effective configuration of an agent: built from the database, and signed by the control plane.

use actix_web::HttpResponse;
use agent_protocol::capture::Capability;
use agent_protocol::configuration::{
    CONFIGURATION_SIGNATURE_CONTEXT, CaptureDelegation, ConfigurationReply, ConfigurationSignature,
    FailurePolicy, RecordingConfiguration,
};
use agent_protocol::keys::ServerKey;
use agent_protocol::{EffectiveConfiguration, PublicKey, SignedConfiguration};
use domain::actions::{ReadAgentConfiguration, ReadsRecordConfig};
use domain::agent::Agent;
use domain::expiration::ExpirationDays;
use domain::gate::Granted;
use domain::record_config::{EffectiveRecordConfig, InstanceSelector};
use domain::storage_target::RecordStorageTarget;
use recording::CaptureKind;

use super::call::AgentCall;
use super::refusal::AgentRefusal;
use crate::Hansard;
use crate::road::Done;

/// The kinds of capture that this control plane can take in, with the versions it reads.
const KNOWN_CAPTURES: &[(CaptureKind, &str)] = &[(CaptureKind::Terminal, "1")];

/// `GET /agent/v1/configuration`
pub(crate) async fn get(call: AgentCall) -> HttpResponse {
    call.run::<ReadAgentConfiguration, _>(None, async |call, granted| {
        let configuration = sign(&call.hansard, &effective(&call.hansard, granted, &call.agent).await?)?;
        call.hansard.store.mark_agent_seen(granted, &call.agent.id, call.now()).await?;
        Ok(Done::read(ConfigurationReply { request_id: call.request_id(), configuration }))
    })
    .await
}

/// The configuration in force for `agent`.
///
/// The revision is read first. If the configuration changes between the two reads, the newer content is sent with the
/// older number, and the push for the change follows with the newer one.
pub(crate) async fn effective<A: ReadsRecordConfig>(
    hansard: &Hansard,
    granted: &Granted<A>,
    agent: &Agent,
) -> Result<EffectiveConfiguration, AgentRefusal> {
    let revision = hansard.store.configuration_revision(granted.account()).await?;
    let selector = InstanceSelector::One(agent.instance.clone());
    let effective = hansard.store.effective_record_config(granted, &selector).await?;
    Ok(of_agent(hansard, agent, revision, &effective))
}

/// The configuration of an agent, of what is in force for it.
pub(crate) fn of_agent(
    hansard: &Hansard,
    agent: &Agent,
    revision: i64,
    effective: &EffectiveRecordConfig,
) -> EffectiveConfiguration {
    let default_target = default_target(hansard, agent);
    EffectiveConfiguration {
        agent_id: agent.id.clone(),
        account_id: agent.account.clone(),
        instance_id: agent.instance.clone(),
        region: agent.region.clone(),
        revision: u64::try_from(revision).unwrap_or(0),
        issued_time: hansard.now().to_rfc3339_millis(),
        server_keys: server_keys(hansard),
        recording: recording_of(effective),
        captures: delegated(&agent.capabilities),
        default_record_storage_target: default_target.map(|target| target.to_string()).unwrap_or_default(),
        default_expiration_days: u32::from(ExpirationDays::DEFAULT.get()),
    }
}

/// Signs a configuration with each of the deployment's keys: an agent that was offline during a rotation knows only
/// older ones.
pub(crate) fn sign(
    hansard: &Hansard,
    configuration: &EffectiveConfiguration,
) -> Result<SignedConfiguration, AgentRefusal> {
    let payload = serde_json::to_vec(configuration).map_err(AgentRefusal::internal)?;
    let signed = [CONFIGURATION_SIGNATURE_CONTEXT, &payload].concat();
    let signers = hansard.keys.configuration_signers();
    let signatures = signers
        .iter()
        .map(|signer| ConfigurationSignature {
            key_id: signer.key_id().to_owned(),
            signature: signer.sign(&signed).to_vec().into(),
        })
        .collect();
    Ok(SignedConfiguration { payload: payload.into(), signatures })
}

/// Whether two configurations ask for the same, whenever they were made. The revision counts every change of the
/// account; most of them concern other instances, or no agent at all.
pub(crate) fn ask_for_the_same(one: &EffectiveConfiguration, other: &EffectiveConfiguration) -> bool {
    let asked = |configuration: &EffectiveConfiguration| EffectiveConfiguration {
        revision: 0,
        issued_time: String::new(),
        ..configuration.clone()
    };
    asked(one) == asked(other)
}

/// The keys that an agent pins, when it enrols and with each configuration: every one that may sign one from now on.
pub(crate) fn server_keys(hansard: &Hansard) -> Vec<ServerKey> {
    let keys = hansard.keys.configuration_public_keys();
    keys.into_iter()
        .map(|key| ServerKey { key_id: key.key_id, public_key: PublicKey(key.public_key) })
        .collect()
}

/// Where recordings go when nothing was configured; `None` if the deployment has no default.
pub(crate) fn default_target(hansard: &Hansard, agent: &Agent) -> Option<RecordStorageTarget> {
    hansard
        .settings
        .default_target
        .then(|| RecordStorageTarget::deployment_default(&hansard.settings.region, &agent.account))
}

fn recording_of(effective: &EffectiveRecordConfig) -> Option<RecordingConfiguration> {
    let config = effective.config.as_ref().filter(|config| config.enabled)?;
    // Enabled implies a target (domain::record_config::change refuses anything else).
    let target = config.target.as_ref()?;
    let settings = &effective.settings;
    Some(RecordingConfiguration {
        record_storage_target: target.to_string(),
        expiration_days: u32::from(config.expiration.get()),
        selector: config.selector.as_str().to_owned(),
        failure_policy: settings.failure_policy.value,
        delivery_mode: settings.delivery_mode.value,
        recorded_principals: settings.recorded_principals.value.to_patterns(),
        notice_text: settings.notice.value.to_agent_text(),
    })
}

/// Delegates by capability: what the agent announced and this control plane can take in.
fn delegated(capabilities: &[domain::agent::Capability]) -> Vec<CaptureDelegation> {
    capabilities
        .iter()
        .filter(|capability| {
            let kind = capability.kind.parse();
            kind.is_ok_and(|kind| KNOWN_CAPTURES.contains(&(kind, capability.version.as_str())))
        })
        .map(|capability| CaptureDelegation {
            kind: capability.kind.clone(),
            failure_policy: FailurePolicy::Strict,
        })
        .collect()
}

/// What an agent announces, as it is stored.
pub(crate) fn announced(capabilities: Vec<Capability>) -> Vec<domain::agent::Capability> {
    capabilities
        .into_iter()
        .map(|Capability { kind, version }| domain::agent::Capability { kind, version })
        .collect()
}

/// Whether this control plane delegated `kind` to the agent.
pub(crate) fn is_delegated(agent: &Agent, kind: CaptureKind) -> bool {
    delegated(&agent.capabilities).iter().any(|capture| capture.kind == kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_kinds_and_versions_are_delegated() {
        let capability = |kind: &str, version: &str| domain::agent::Capability {
            kind: kind.into(),
            version: version.into(),
        };
        let announced =
            [capability("terminal", "1"), capability("terminal", "2"), capability("enhanced", "1")];
        let kinds: Vec<_> = delegated(&announced).into_iter().map(|capture| capture.kind).collect();
        assert_eq!(kinds, ["terminal"]);
        assert!(delegated(&[capability("desktop", "1")]).is_empty());
    }
}
