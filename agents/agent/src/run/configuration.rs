//! The configuration in force: believed, kept on the disk, then obeyed.

use std::sync::{Mutex, PoisonError};

use agent_protocol::configuration::{ConfigurationRefused, EffectiveConfiguration, SignedConfiguration};

use crate::identity::{self, Identity};
use crate::state_directory::StateDirectory;

/// The newest configuration that was believed; none before the first.
pub(super) struct AppliedConfiguration {
    current: Mutex<Option<EffectiveConfiguration>>,
}

impl AppliedConfiguration {
    /// From the disk. One that cannot be read or believed is as good as none: sessions are recorded by the defaults, and the control
    /// plane soon sends another.
    pub(super) fn load(directory: &StateDirectory, identity: &Identity) -> Self {
        let current = identity.stored_configuration(directory).unwrap_or_else(|why| {
            tracing::warn!("{why}");
            None
        });
        AppliedConfiguration { current: Mutex::new(current) }
    }

    /// The one in force now.
    pub(super) fn current(&self) -> Option<EffectiveConfiguration> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a configuration in force and returns its revision.
    pub(super) fn apply(
        &self,
        directory: &StateDirectory,
        identity: &Identity,
        signed: &SignedConfiguration,
    ) -> Result<u64, String> {
        let offered = identity.believe(signed)?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(applied) = current.as_ref() {
            if offered.revision < applied.revision {
                let older =
                    ConfigurationRefused::Older { offered: offered.revision, applied: applied.revision };
                return Err(older.to_string());
            }
            // The same again, signed anew.
            if offered
                == (EffectiveConfiguration { issued_time: offered.issued_time.clone(), ..applied.clone() })
            {
                return Ok(offered.revision);
            }
        }
        // Kept before it is obeyed: a restart must not fall back behind what was acknowledged.
        identity::store_configuration(directory, signed)?;
        tracing::info!(
            revision = offered.revision,
            recording = offered.recording.is_some(),
            "a configuration is in force"
        );
        let revision = offered.revision;
        *current = Some(offered);
        Ok(revision)
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::enrol::ServerKey;
    use agent_protocol::keys::PrivateKey;
    use recording::{AccountId, AgentId, InstanceId, Region};

    use super::*;

    struct Bench {
        _folder: tempfile::TempDir,
        directory: StateDirectory,
        identity: Identity,
        key: PrivateKey,
    }

    fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::create(&folder.path().join("state")).unwrap();
        let key = PrivateKey::generate().unwrap();
        let identity = Identity {
            agent_id: AgentId::generate(),
            account_id: AccountId::parse("1000000000000001").unwrap(),
            instance_id: InstanceId::parse("i-one").unwrap(),
            region: Region::parse("cn-hangzhou").unwrap(),
            server_url: "http://localhost".parse().unwrap(),
            server_keys: vec![ServerKey { key_id: "k".into(), public_key: key.public_key() }],
        };
        Bench { _folder: folder, directory, identity, key }
    }

    impl Bench {
        fn signed(
            &self,
            revision: u64,
            change: impl FnOnce(&mut EffectiveConfiguration),
        ) -> SignedConfiguration {
            let mut configuration = EffectiveConfiguration {
                agent_id: self.identity.agent_id.clone(),
                account_id: self.identity.account_id.clone(),
                instance_id: self.identity.instance_id.clone(),
                region: self.identity.region.clone(),
                revision,
                issued_time: "2026-01-01T00:00:00.000Z".into(),
                recording: None,
                captures: vec![],
                default_record_storage_target: "x".into(),
                default_expiration_days: 7,
            };
            change(&mut configuration);
            SignedConfiguration::sign(&configuration, "k", self.key.pair()).unwrap()
        }
    }

    #[test]
    fn a_configuration_outlives_a_restart_and_never_grows_older() {
        let bench = bench();
        let applied = AppliedConfiguration::load(&bench.directory, &bench.identity);
        assert_eq!(applied.current(), None);
        let apply = |signed: &SignedConfiguration| applied.apply(&bench.directory, &bench.identity, signed);
        assert_eq!(apply(&bench.signed(5, |_| {})), Ok(5));
        assert_eq!(apply(&bench.signed(5, |_| {})), Ok(5));
        assert!(apply(&bench.signed(4, |_| {})).unwrap_err().contains("older"));
        let again = AppliedConfiguration::load(&bench.directory, &bench.identity);
        assert_eq!(again.current().map(|configuration| configuration.revision), Some(5));
    }

    #[test]
    fn only_our_own_signed_configuration_is_obeyed() {
        let bench = bench();
        let applied = AppliedConfiguration::load(&bench.directory, &bench.identity);
        let apply = |signed: &SignedConfiguration| applied.apply(&bench.directory, &bench.identity, signed);
        let other = bench.signed(1, |configuration| configuration.agent_id = AgentId::generate());
        assert!(apply(&other).unwrap_err().contains("meant for agent"));
        let mut forged = bench.signed(1, |_| {});
        forged.payload.0[0] ^= 1;
        assert!(apply(&forged).unwrap_err().contains("signature"));
        assert_eq!(applied.current(), None);
    }
}
