//! The configuration in force: it is verified, stored on the disk, and then obeyed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use agent_protocol::configuration::{EffectiveConfiguration, SignedConfiguration};

use crate::identity::{self, Identity};
use crate::state_directory::StateDirectory;

/// The newest configuration that was accepted; none before the first.
pub(super) struct AppliedConfiguration {
    in_force: Mutex<InForce>,
}

struct InForce {
    /// With the keys that are pinned now.
    identity: Identity,
    current: Option<(EffectiveConfiguration, SignedConfiguration)>,
}

impl AppliedConfiguration {
    /// From the disk. One that cannot be read or believed is as good as none: sessions are recorded by the defaults, and the control
    /// plane soon sends another.
    pub(super) fn load(directory: &StateDirectory, identity: &Identity) -> Self {
        let current = identity.stored_signed_configuration(directory).unwrap_or_else(|why| {
            tracing::warn!("{why}");
            None
        });
        AppliedConfiguration { in_force: Mutex::new(InForce { identity: identity.clone(), current }) }
    }

    fn in_force(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one in force now, with what the control plane signed.
    pub(super) fn current(&self) -> Option<(EffectiveConfiguration, SignedConfiguration)> {
        self.in_force().current.clone()
    }

    /// Puts a configuration in force, pins the keys it names, and returns its revision.
    pub(super) fn apply(
        &self,
        directory: &StateDirectory,
        signed: &SignedConfiguration,
    ) -> Result<u64, String> {
        let mut in_force = self.in_force();
        let offered = in_force.identity.believe(signed)?;
        if let Some((applied, _)) = in_force.current.as_ref() {
            offered.check_not_older_than(applied).map_err(|error| error.to_string())?;
            // The same again, signed anew.
            if offered
                == (EffectiveConfiguration { issued_time: offered.issued_time.clone(), ..applied.clone() })
                && in_force.identity.server_keys == offered.server_keys
            {
                return Ok(offered.revision);
            }
        }
        // Stored before it is obeyed, so that a restart does not fall back behind what was acknowledged. The keys after
        // it: should this process end between the two, the keys pinned before still verify what was kept.
        identity::store_configuration(directory, signed)?;
        if in_force.identity.server_keys != offered.server_keys {
            let identity = Identity { server_keys: offered.server_keys.clone(), ..in_force.identity.clone() };
            identity.store(directory)?;
            let keys: Vec<&str> = offered.server_keys.iter().map(|key| key.key_id.as_str()).collect();
            tracing::info!(?keys, "the control plane's new keys were pinned");
            in_force.identity = identity;
        }
        tracing::info!(
            revision = offered.revision,
            recording = offered.recording.is_some(),
            "a configuration is in force"
        );
        let revision = offered.revision;
        in_force.current = Some((offered, signed.clone()));
        Ok(revision)
    }
}

#[cfg(test)]
mod tests {
    use agent_protocol::keys::PrivateKey;
    use agent_protocol::keys::ServerKey;
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
        identity.store(&directory).unwrap();
        Bench { _folder: folder, directory, identity, key }
    }

    impl Bench {
        fn configuration(&self, revision: u64) -> EffectiveConfiguration {
            EffectiveConfiguration {
                agent_id: self.identity.agent_id.clone(),
                account_id: self.identity.account_id.clone(),
                instance_id: self.identity.instance_id.clone(),
                region: self.identity.region.clone(),
                revision,
                issued_time: "2026-01-01T00:00:00.000Z".into(),
                server_keys: self.identity.server_keys.clone(),
                recording: None,
                captures: vec![],
                default_record_storage_target: "x".into(),
                default_expiration_days: 7,
            }
        }

        fn signed(
            &self,
            revision: u64,
            change: impl FnOnce(&mut EffectiveConfiguration),
        ) -> SignedConfiguration {
            let mut configuration = self.configuration(revision);
            change(&mut configuration);
            SignedConfiguration::sign(&configuration, &[("k", self.key.pair())]).unwrap()
        }
    }

    #[test]
    fn a_configuration_survives_a_restart_and_is_never_replaced_by_an_older_one() {
        let bench = bench();
        let applied = AppliedConfiguration::load(&bench.directory, &bench.identity);
        assert!(applied.current().is_none());
        let apply = |signed: &SignedConfiguration| applied.apply(&bench.directory, signed);
        assert_eq!(apply(&bench.signed(5, |_| {})), Ok(5));
        assert_eq!(apply(&bench.signed(5, |_| {})), Ok(5));
        assert!(apply(&bench.signed(4, |_| {})).unwrap_err().contains("older"));
        let again = AppliedConfiguration::load(&bench.directory, &bench.identity);
        assert_eq!(again.current().map(|(configuration, _)| configuration.revision), Some(5));
    }

    #[test]
    fn a_restored_control_plane_is_obeyed() {
        let bench = bench();
        let applied = AppliedConfiguration::load(&bench.directory, &bench.identity);
        let apply = |signed: &SignedConfiguration| applied.apply(&bench.directory, signed);
        assert_eq!(apply(&bench.signed(5, |_| {})), Ok(5));
        let later =
            bench.signed(3, |configuration| configuration.issued_time = "2026-01-01T00:00:00.001Z".into());
        assert_eq!(apply(&later), Ok(3));
        assert_eq!(applied.current().map(|(configuration, _)| configuration.revision), Some(3));
    }

    #[test]
    fn new_keys_are_pinned_when_an_old_one_has_signed() {
        let bench = bench();
        let server_key = |key_id: &str, key: &PrivateKey| ServerKey {
            key_id: key_id.into(),
            public_key: key.public_key(),
        };
        let second = PrivateKey::generate().unwrap();
        let third = PrivateKey::generate().unwrap();
        let rotated = |revision, ring: &[(&str, &PrivateKey)]| {
            let mut configuration = bench.configuration(revision);
            configuration.server_keys = ring.iter().map(|(id, key)| server_key(id, key)).collect();
            let ring: Vec<_> = ring.iter().map(|(id, key)| (*id, key.pair())).collect();
            SignedConfiguration::sign(&configuration, &ring).unwrap()
        };
        let first = &bench.key;
        let steps: [&[(&str, &PrivateKey)]; 4] = [
            &[("k", first)],
            &[("k2", &second), ("k", first)],
            &[("k2", &second)],
            &[("k3", &third), ("k2", &second)],
        ];
        for (revision, ring) in (1..).zip(steps) {
            // Each time as after a restart.
            let identity = Identity::get(&bench.directory).unwrap();
            let applied = AppliedConfiguration::load(&bench.directory, &identity);
            assert_eq!(applied.current().is_some(), revision > 1, "what was kept is believed");
            assert_eq!(applied.apply(&bench.directory, &rotated(revision, ring)), Ok(revision));
        }
        let identity = Identity::get(&bench.directory).unwrap();
        let applied = AppliedConfiguration::load(&bench.directory, &identity);
        let unpinned = applied.apply(&bench.directory, &rotated(9, &[("k", first)])).unwrap_err();
        assert!(unpinned.contains("none of them is pinned"), "{unpinned}");
    }

    #[test]
    fn only_our_own_signed_configuration_is_obeyed() {
        let bench = bench();
        let applied = AppliedConfiguration::load(&bench.directory, &bench.identity);
        let apply = |signed: &SignedConfiguration| applied.apply(&bench.directory, signed);
        let other = bench.signed(1, |configuration| configuration.agent_id = AgentId::generate());
        assert!(apply(&other).unwrap_err().contains("meant for agent"));
        let mut forged = bench.signed(1, |_| {});
        forged.payload.0[0] ^= 1;
        assert!(apply(&forged).unwrap_err().contains("signature"));
        assert!(applied.current().is_none());
    }
}
