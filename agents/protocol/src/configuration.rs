//! The effective configuration of one agent: signed by the control plane, pushed over the link, kept on the instance's disk.

use aws_lc_rs::signature::Ed25519KeyPair;
use recording::{AccountId, AgentId, InstanceId, Region, Timestamp};
pub use recording::{DeliveryMode, FailurePolicy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::encoding::Base64Bytes;
use crate::keys::ServerKey;

/// A configuration as it is sent and stored. Each signature is over exactly the payload's bytes.
///
/// Every key of the control plane signs, so that an agent which knows only an older one believes it too, and learns the newer ones from
/// the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SignedConfiguration {
    /// The JSON bytes of an `EffectiveConfiguration`.
    pub payload: Base64Bytes,
    /// One signature with each of the control plane's keys. One with a pinned key is enough.
    pub signatures: Vec<ConfigurationSignature>,
}

/// One key's signature of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigurationSignature {
    /// Which of the control plane's keys signed.
    pub key_id: String,
    /// The Ed25519 signature over "hansard-configuration-v1", a zero byte and the payload's bytes.
    pub signature: Base64Bytes,
}

/// The bytes before the payload in what is signed, so that a signature for another purpose is not valid here.
pub const CONFIGURATION_SIGNATURE_CONTEXT: &[u8] = b"hansard-configuration-v1\0";

/// The configuration that an agent must obey.
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
    /// It grows with every change, unless the control plane's database was restored from a copy.
    pub revision: u64,
    /// When the control plane signed it, RFC 3339 in UTC with milliseconds.
    pub issued_time: String,
    /// The keys that sign configurations from now on. The agent pins them instead of those that it had pinned.
    pub server_keys: Vec<ServerKey>,
    /// What to record; nothing when recording is off.
    pub recording: Option<RecordingConfiguration>,
    /// The kinds of capture that are delegated to this agent, out of those that it announced.
    pub captures: Vec<CaptureDelegation>,
    /// The storage target of a session that began before any configuration was known.
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
    /// The setting that this comes from: `*` or the instance's id.
    pub selector: String,
    /// What happens to a session whose recording cannot be kept. A control plane that does not say ends it.
    #[serde(default)]
    #[schema(schema_with = failure_policy_schema, required = false)]
    pub failure_policy: FailurePolicy,
    /// How far delivery may be behind what a person is shown. A control plane that does not say wants no more than `async`.
    #[serde(default)]
    #[schema(schema_with = delivery_mode_schema, required = false)]
    pub delivery_mode: DeliveryMode,
    /// Whose sessions are recorded: patterns such as `user:ana`, `group:ops-*` and `role:auditor`, one of which must match
    /// a name of the person. Absent or empty: everybody's. Of a pattern that it does not understand, an agent assumes that it matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recorded_principals: Option<Vec<String>>,
    /// What the person is told before the first prompt. Empty: nothing. Absent: a text of the agent's, with the session's
    /// token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub notice_text: Option<String>,
}

fn failure_policy_schema() -> Object {
    let words = FailurePolicy::ALL.map(FailurePolicy::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

fn delivery_mode_schema() -> Object {
    let words = DeliveryMode::ALL.map(DeliveryMode::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// A kind of capture that the control plane delegates to the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CaptureDelegation {
    /// The kind, as the agent announced it.
    pub kind: String,
    /// Always `strict`, the only policy that the first agents know: they could not read a configuration with another one
    /// here. The policy in force is that of `Recording`.
    #[schema(schema_with = failure_policy_schema)]
    pub failure_policy: FailurePolicy,
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
    /// None of the pinned keys has signed it.
    #[error("the configuration is signed by the keys {key_ids:?}, and none of them is pinned")]
    UnknownKey {
        /// The keys it names.
        key_ids: Vec<String>,
    },
    /// No signature with a pinned key is valid for the payload.
    #[error("the configuration's signature does not verify")]
    BadSignature,
    /// The payload is not an `EffectiveConfiguration`.
    #[error("the configuration's payload cannot be read: {why}")]
    BadPayload {
        /// What the parser said.
        why: String,
    },
    /// It is signed, but for another agent.
    #[error("the configuration is meant for {what} {found:?}, not for {expected:?}")]
    NotForUs {
        /// Which identifier differs.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// It names no keys, so that no later configuration could be verified.
    #[error("the configuration names no keys that sign the next one")]
    NoServerKeys,
    /// It is older than the one in force.
    #[error(
        "configuration revision {offered} is older than revision {applied}, which is in force, and was not issued later"
    )]
    Older {
        /// The revision offered.
        offered: u64,
        /// The revision in force.
        applied: u64,
    },
}

impl SignedConfiguration {
    /// Signs a configuration with each of these keys (the control plane's side).
    pub fn sign(
        configuration: &EffectiveConfiguration,
        keys: &[(&str, &Ed25519KeyPair)],
    ) -> Result<SignedConfiguration, serde_json::Error> {
        let payload = serde_json::to_vec(configuration)?;
        let signed = [CONFIGURATION_SIGNATURE_CONTEXT, &payload].concat();
        let signatures = keys
            .iter()
            .map(|(key_id, key)| ConfigurationSignature {
                key_id: (*key_id).to_owned(),
                signature: key.sign(&signed).as_ref().to_vec().into(),
            })
            .collect();
        Ok(SignedConfiguration { payload: payload.into(), signatures })
    }

    /// Looks for a signature by a pinned key and reads the payload (the agent's side).
    pub fn verify(&self, keys: &[ServerKey]) -> Result<EffectiveConfiguration, ConfigurationRefused> {
        let signed = [CONFIGURATION_SIGNATURE_CONTEXT, self.payload.as_slice()].concat();
        let mut pinned = self
            .signatures
            .iter()
            .filter_map(|by| Some((by, keys.iter().find(|key| key.key_id == by.key_id)?)))
            .peekable();
        if pinned.peek().is_none() {
            let key_ids = self.signatures.iter().map(|by| by.key_id.clone()).collect();
            return Err(ConfigurationRefused::UnknownKey { key_ids });
        }
        if !pinned.any(|(by, key)| key.public_key.verifies(&signed, by.signature.as_slice())) {
            return Err(ConfigurationRefused::BadSignature);
        }
        let configuration: EffectiveConfiguration = serde_json::from_slice(self.payload.as_slice())
            .map_err(|error| ConfigurationRefused::BadPayload { why: error.to_string() })?;
        if configuration.server_keys.is_empty() {
            return Err(ConfigurationRefused::NoServerKeys);
        }
        Ok(configuration)
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

    /// Refuses this one as the successor of `applied` if it is older: if its revision is lower and it was not issued
    /// later. A control plane whose database was restored counts its revisions from the copy on, but its clock goes on.
    pub fn check_not_older_than(&self, applied: &EffectiveConfiguration) -> Result<(), ConfigurationRefused> {
        let issued = |configuration: &EffectiveConfiguration| {
            Timestamp::parse_rfc3339_millis(&configuration.issued_time).ok()
        };
        if self.revision < applied.revision && issued(self) <= issued(applied) {
            return Err(ConfigurationRefused::Older { offered: self.revision, applied: applied.revision });
        }
        Ok(())
    }

    /// The failure policy of a kind of capture, if it is delegated to this agent.
    pub fn failure_policy_of(&self, kind: &str) -> Option<FailurePolicy> {
        let is_delegated = self.captures.iter().any(|capture| capture.kind == kind);
        let in_force = self.recording.as_ref().map(|recording| recording.failure_policy);
        is_delegated.then(|| in_force.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::PublicKey;
    use crate::keys::PrivateKey;

    fn configuration() -> EffectiveConfiguration {
        EffectiveConfiguration {
            agent_id: AgentId::parse("agent-0123456789abcdef0123456789abcdef").unwrap(),
            account_id: AccountId::parse("1000000000000001").unwrap(),
            instance_id: InstanceId::parse("i-one").unwrap(),
            region: Region::parse("cn-hangzhou").unwrap(),
            revision: 3,
            issued_time: "2026-01-02T03:04:05.000Z".into(),
            server_keys: vec![ServerKey { key_id: "k1".into(), public_key: PublicKey([1; 32]) }],
            recording: Some(RecordingConfiguration {
                record_storage_target: "oss://bucket".into(),
                expiration_days: 30,
                selector: "*".into(),
                failure_policy: FailurePolicy::BestEffort,
                delivery_mode: DeliveryMode::Sync,
                recorded_principals: Some(vec!["user:ana".into()]),
                notice_text: Some("This session is recorded.".into()),
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
        let signed = SignedConfiguration::sign(&configuration(), &[("k1", key.pair())]).unwrap();
        let text = serde_json::to_string(&signed).unwrap();
        let signed: SignedConfiguration = serde_json::from_str(&text).unwrap();
        let read = signed.verify(&pinned(&key)).unwrap();
        assert_eq!(read, configuration());
        assert_eq!(read.failure_policy_of("terminal"), Some(FailurePolicy::BestEffort));
        assert_eq!(read.failure_policy_of("desktop"), None);
    }

    /// What a control plane and an agent of before FailurePolicy, RecordedPrincipals and NoticeText know.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Before {
        agent_id: AgentId,
        account_id: AccountId,
        instance_id: InstanceId,
        region: Region,
        revision: u64,
        issued_time: String,
        server_keys: Vec<ServerKey>,
        recording: Option<RecordingBefore>,
        captures: Vec<CaptureBefore>,
        default_record_storage_target: String,
        default_expiration_days: u32,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct RecordingBefore {
        record_storage_target: String,
        expiration_days: u32,
        selector: String,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct CaptureBefore {
        kind: String,
        failure_policy: PolicyBefore,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum PolicyBefore {
        Strict,
    }

    #[test]
    fn an_earlier_agent_reads_a_configuration_and_an_earlier_control_planes_is_read() {
        let text = serde_json::to_string(&configuration()).unwrap();
        let read_by_an_earlier_agent: Before = serde_json::from_str(&text).unwrap();
        let of_an_earlier_control_plane = serde_json::to_string(&read_by_an_earlier_agent).unwrap();
        let read: EffectiveConfiguration = serde_json::from_str(&of_an_earlier_control_plane).unwrap();
        let recording = read.recording.as_ref().unwrap();
        assert_eq!(recording.failure_policy, FailurePolicy::Strict);
        assert_eq!(recording.delivery_mode, DeliveryMode::Async);
        assert_eq!((&recording.recorded_principals, &recording.notice_text), (&None, &None));
        assert_eq!(read.failure_policy_of("terminal"), Some(FailurePolicy::Strict));
    }

    #[test]
    fn a_change_of_any_byte_is_noticed() {
        let key = PrivateKey::generate().unwrap();
        let signed = SignedConfiguration::sign(&configuration(), &[("k1", key.pair())]).unwrap();
        for at in 0..signed.payload.0.len() {
            let mut changed = signed.clone();
            changed.payload.0[at] ^= 1;
            assert_eq!(changed.verify(&pinned(&key)), Err(ConfigurationRefused::BadSignature), "byte {at}");
        }
        for at in 0..signed.signatures[0].signature.0.len() {
            let mut changed = signed.clone();
            changed.signatures[0].signature.0[at] ^= 1;
            assert_eq!(changed.verify(&pinned(&key)), Err(ConfigurationRefused::BadSignature), "byte {at}");
        }
    }

    #[test]
    fn only_pinned_keys_count() {
        let key = PrivateKey::generate().unwrap();
        let stranger = PrivateKey::generate().unwrap();
        let signed = SignedConfiguration::sign(&configuration(), &[("k1", stranger.pair())]).unwrap();
        assert_eq!(signed.verify(&pinned(&key)), Err(ConfigurationRefused::BadSignature));
        let signed = SignedConfiguration::sign(&configuration(), &[("k2", key.pair())]).unwrap();
        assert_eq!(
            signed.verify(&pinned(&key)),
            Err(ConfigurationRefused::UnknownKey { key_ids: vec!["k2".into()] })
        );
    }

    #[test]
    fn one_signature_by_a_pinned_key_is_enough() {
        let (new, old) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let signed =
            SignedConfiguration::sign(&configuration(), &[("k2", new.pair()), ("k1", old.pair())]).unwrap();
        assert_eq!(signed.verify(&pinned(&old)), Ok(configuration()));
        let stranger = PrivateKey::generate().unwrap();
        assert_eq!(signed.verify(&pinned(&stranger)), Err(ConfigurationRefused::BadSignature));
    }

    #[test]
    fn a_configuration_without_keys_is_refused() {
        let key = PrivateKey::generate().unwrap();
        let last = EffectiveConfiguration { server_keys: vec![], ..configuration() };
        let signed = SignedConfiguration::sign(&last, &[("k1", key.pair())]).unwrap();
        assert_eq!(signed.verify(&pinned(&key)), Err(ConfigurationRefused::NoServerKeys));
    }

    #[test]
    fn a_lower_revision_counts_when_it_was_issued_later() {
        let applied = configuration();
        let offered = |revision, issued: &str| EffectiveConfiguration {
            revision,
            issued_time: issued.into(),
            ..configuration()
        };
        for (revision, issued) in [
            (4, "2026-01-02T03:04:04.000Z"),
            (3, "2026-01-02T03:04:05.000Z"),
            (2, "2026-01-02T03:04:05.001Z"),
        ] {
            assert_eq!(offered(revision, issued).check_not_older_than(&applied), Ok(()), "{issued}");
        }
        for issued in ["2026-01-02T03:04:05.000Z", "2026-01-02T03:04:04.999Z", "tomorrow"] {
            let refused = offered(2, issued).check_not_older_than(&applied);
            assert_eq!(refused, Err(ConfigurationRefused::Older { offered: 2, applied: 3 }), "{issued}");
        }
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
