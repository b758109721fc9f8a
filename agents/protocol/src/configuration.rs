//! The effective configuration of one agent: signed by the control plane, pushed over the link, kept on the instance's disk.

use aws_lc_rs::signature::Ed25519KeyPair;
use recording::{AccountId, AgentId, InstanceId, Region};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::encoding::Base64Bytes;
use crate::enrol::ServerKey;

/// A configuration as it travels and as it is kept: the signature is over exactly the payload's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SignedConfiguration {
    /// Which of the server's keys signed.
    pub key_id: String,
    /// The JSON bytes of an `EffectiveConfiguration`.
    pub payload: Base64Bytes,
    /// The Ed25519 signature over "hansard-configuration-v1", a zero byte and the payload's bytes.
    pub signature: Base64Bytes,
}

/// The bytes before the payload in what is signed, so that no signature of another purpose can pass for this one.
pub const CONFIGURATION_SIGNATURE_CONTEXT: &[u8] = b"hansard-configuration-v1\0";

/// What an agent has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct EffectiveConfiguration {
    /// The agent it is meant for.
    #[schema(value_type = String)]
    pub agent_id: AgentId,
    /// The account that owns the instance.
    #[schema(value_type = String)]
    pub account_id: AccountId,
    /// The instance it is meant for.
    #[schema(value_type = String)]
    pub instance_id: InstanceId,
    /// The region of the instance.
    #[schema(value_type = String)]
    pub region: Region,
    /// Grows with every change; an older one is never applied over a newer one.
    pub revision: u64,
    /// When the control plane signed it, RFC 3339.
    pub issued_time: String,
    /// What to record; nothing when recording is off.
    pub recording: Option<RecordingConfiguration>,
    /// The kinds of capture delegated to this agent, of those it announced.
    pub captures: Vec<CaptureDelegation>,
    /// Where a session goes that began before any configuration was known.
    pub default_record_storage_target: String,
    /// How many days such a session is kept.
    pub default_expiration_days: u32,
}

/// Recording is on, and this is where recordings go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RecordingConfiguration {
    /// The storage target, as SetInstanceRecordConfig took it.
    pub record_storage_target: String,
    /// How many days a recording can be replayed after its end.
    pub expiration_days: u32,
    /// Which setting this comes from: `*` or the instance's id.
    pub selector: String,
}

/// A kind of capture that the control plane delegates to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CaptureDelegation {
    /// The kind, as the agent announced it.
    pub kind: String,
    /// What happens to the session when its capture fails.
    pub failure_policy: FailurePolicy,
}

/// What happens to a session that can no longer be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailurePolicy {
    /// The session is refused or ended.
    Strict,
}

/// The reply of `GET /agent/v1/configuration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigurationReply {
    /// The request's id, as in `x-acs-request-id`.
    pub request_id: String,
    /// The configuration in force.
    pub configuration: SignedConfiguration,
}

/// Why a signed configuration is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationRefused {
    /// None of the pinned keys has this id.
    #[error("configuration is signed by key {key_id:?}, which is not among the keys pinned at enrolment")]
    UnknownKey {
        /// The key it names.
        key_id: String,
    },
    /// The signature does not fit the payload.
    #[error("the configuration's signature does not verify")]
    BadSignature,
    /// The payload is no `EffectiveConfiguration`.
    #[error("the configuration's payload cannot be read: {why}")]
    BadPayload {
        /// What the parser said.
        why: String,
    },
    /// It is signed, but for somebody else.
    #[error("the configuration is meant for {what} {found:?}, not for {expected:?}")]
    NotForUs {
        /// Which identifier differs.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// It is older than the one in force.
    #[error("configuration revision {offered} is older than revision {applied}, which is in force")]
    Older {
        /// The revision offered.
        offered: u64,
        /// The revision in force.
        applied: u64,
    },
}

impl SignedConfiguration {
    /// Signs a configuration (the control plane's side).
    pub fn sign(
        configuration: &EffectiveConfiguration,
        key_id: &str,
        key: &Ed25519KeyPair,
    ) -> Result<SignedConfiguration, serde_json::Error> {
        let payload = serde_json::to_vec(configuration)?;
        let signature = key.sign(&[CONFIGURATION_SIGNATURE_CONTEXT, &payload].concat()).as_ref().to_vec();
        Ok(SignedConfiguration {
            key_id: key_id.to_owned(),
            payload: payload.into(),
            signature: signature.into(),
        })
    }

    /// Checks the signature against the pinned keys and reads the payload (the agent's side).
    pub fn verify(&self, keys: &[ServerKey]) -> Result<EffectiveConfiguration, ConfigurationRefused> {
        let key = keys
            .iter()
            .find(|key| key.key_id == self.key_id)
            .ok_or_else(|| ConfigurationRefused::UnknownKey { key_id: self.key_id.clone() })?;
        let signed = [CONFIGURATION_SIGNATURE_CONTEXT, self.payload.as_slice()].concat();
        if !key.public_key.verifies(&signed, self.signature.as_slice()) {
            return Err(ConfigurationRefused::BadSignature);
        }
        serde_json::from_slice(self.payload.as_slice())
            .map_err(|error| ConfigurationRefused::BadPayload { why: error.to_string() })
    }
}

impl EffectiveConfiguration {
    /// Refuses a configuration that was signed for another agent or instance.
    pub fn check_meant_for(
        &self,
        agent_id: &AgentId,
        instance_id: &InstanceId,
    ) -> Result<(), ConfigurationRefused> {
        for (what, found, expected) in [
            ("agent", self.agent_id.as_str(), agent_id.as_str()),
            ("instance", self.instance_id.as_str(), instance_id.as_str()),
        ] {
            if found != expected {
                return Err(ConfigurationRefused::NotForUs {
                    what,
                    found: found.to_owned(),
                    expected: expected.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The failure policy of a kind of capture, if it is delegated to this agent.
    pub fn failure_policy_of(&self, kind: &str) -> Option<FailurePolicy> {
        self.captures.iter().find(|capture| capture.kind == kind).map(|capture| capture.failure_policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::PrivateKey;

    fn configuration() -> EffectiveConfiguration {
        EffectiveConfiguration {
            agent_id: AgentId::parse("agent-0123456789abcdef0123456789abcdef").unwrap(),
            account_id: AccountId::parse("1000000000000001").unwrap(),
            instance_id: InstanceId::parse("i-one").unwrap(),
            region: Region::parse("cn-hangzhou").unwrap(),
            revision: 3,
            issued_time: "2026-01-02T03:04:05.000Z".into(),
            recording: Some(RecordingConfiguration {
                record_storage_target: "oss://bucket".into(),
                expiration_days: 30,
                selector: "*".into(),
            }),
            captures: vec![CaptureDelegation {
                kind: "terminal".into(),
                failure_policy: FailurePolicy::Strict,
            }],
            default_record_storage_target: "oss://default".into(),
            default_expiration_days: 7,
        }
    }

    fn pinned(key: &PrivateKey) -> Vec<ServerKey> {
        vec![ServerKey { key_id: "k1".into(), public_key: key.public_key() }]
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let key = PrivateKey::generate().unwrap();
        let signed = SignedConfiguration::sign(&configuration(), "k1", key.pair()).unwrap();
        let text = serde_json::to_string(&signed).unwrap();
        let signed: SignedConfiguration = serde_json::from_str(&text).unwrap();
        let read = signed.verify(&pinned(&key)).unwrap();
        assert_eq!(read, configuration());
        assert_eq!(read.failure_policy_of("terminal"), Some(FailurePolicy::Strict));
        assert_eq!(read.failure_policy_of("desktop"), None);
    }

    #[test]
    fn a_change_of_any_byte_is_noticed() {
        let key = PrivateKey::generate().unwrap();
        let signed = SignedConfiguration::sign(&configuration(), "k1", key.pair()).unwrap();
        for at in 0..signed.payload.0.len() {
            let mut changed = signed.clone();
            changed.payload.0[at] ^= 1;
            assert_eq!(changed.verify(&pinned(&key)), Err(ConfigurationRefused::BadSignature), "byte {at}");
        }
        for at in 0..signed.signature.0.len() {
            let mut changed = signed.clone();
            changed.signature.0[at] ^= 1;
            assert_eq!(changed.verify(&pinned(&key)), Err(ConfigurationRefused::BadSignature), "byte {at}");
        }
    }

    #[test]
    fn only_pinned_keys_count() {
        let key = PrivateKey::generate().unwrap();
        let stranger = PrivateKey::generate().unwrap();
        let signed = SignedConfiguration::sign(&configuration(), "k1", stranger.pair()).unwrap();
        assert_eq!(signed.verify(&pinned(&key)), Err(ConfigurationRefused::BadSignature));
        let signed = SignedConfiguration::sign(&configuration(), "k2", key.pair()).unwrap();
        assert_eq!(
            signed.verify(&pinned(&key)),
            Err(ConfigurationRefused::UnknownKey { key_id: "k2".into() })
        );
    }

    #[test]
    fn a_configuration_for_somebody_else_is_refused() {
        let ours = configuration();
        assert_eq!(ours.check_meant_for(&ours.agent_id, &ours.instance_id), Ok(()));
        let other = InstanceId::parse("i-two").unwrap();
        assert!(matches!(
            ours.check_meant_for(&ours.agent_id, &other),
            Err(ConfigurationRefused::NotForUs { what: "instance", .. })
        ));
        assert!(matches!(
            ours.check_meant_for(&AgentId::generate(), &ours.instance_id),
            Err(ConfigurationRefused::NotForUs { what: "agent", .. })
        ));
    }
}
