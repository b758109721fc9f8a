//! The identity of this agent: ids, the control plane's address and pinned keys, and the agent's own two keys.

use std::path::Path;

use agent_protocol::configuration::{EffectiveConfiguration, SignedConfiguration};
use agent_protocol::keys::{self, PrivateKey, ServerKey};
use recording::{AccountId, AgentId, InstanceId, Region, SealingKey};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::durable;
use crate::state_directory::{PRIVATE_MODE, PUBLIC_MODE, SEALING_KEY, StateDirectory};

const IDENTITY: &str = "agent.json";
const CONFIGURATION: &str = "configuration.json";
const AUTHENTICATION_KEY: &str = "authentication.key";

/// `agent.json`: nothing in it is secret, and `record` reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Identity {
    pub(crate) agent_id: AgentId,
    pub(crate) account_id: AccountId,
    pub(crate) instance_id: InstanceId,
    pub(crate) region: Region,
    pub(crate) server_url: Url,
    pub(crate) server_keys: Vec<ServerKey>,
}

impl Identity {
    /// `None` when the state directory is not enrolled.
    pub(crate) fn find(directory: &StateDirectory) -> Result<Option<Identity>, String> {
        let path = directory.file(IDENTITY);
        durable::find_json(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
    }

    pub(crate) fn get(directory: &StateDirectory) -> Result<Identity, String> {
        Identity::find(directory)?.ok_or_else(|| {
            format!(
                "this instance is not enrolled: there is no {IDENTITY} in {}; `hansard-agent enrol` makes it",
                directory.path().display()
            )
        })
    }

    pub(crate) fn store(&self, directory: &StateDirectory) -> Result<(), String> {
        let path = directory.file(IDENTITY);
        durable::write_json(&path, self, PUBLIC_MODE)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// Checks that a configuration is signed by a pinned key and meant for this agent.
    pub(crate) fn believe(&self, signed: &SignedConfiguration) -> Result<EffectiveConfiguration, String> {
        let configuration = signed.verify(&self.server_keys).map_err(|error| error.to_string())?;
        configuration
            .check_meant_for(&self.agent_id, &self.instance_id)
            .map_err(|error| error.to_string())?;
        Ok(configuration)
    }

    /// The configuration on the disk, if there is one; it is checked like one from the network.
    pub(crate) fn stored_configuration(
        &self,
        directory: &StateDirectory,
    ) -> Result<Option<EffectiveConfiguration>, String> {
        Ok(self.stored_signed_configuration(directory)?.map(|(configuration, _)| configuration))
    }

    /// The same, with what the control plane signed.
    pub(crate) fn stored_signed_configuration(
        &self,
        directory: &StateDirectory,
    ) -> Result<Option<(EffectiveConfiguration, SignedConfiguration)>, String> {
        let path = directory.file(CONFIGURATION);
        let signed: Option<SignedConfiguration> = durable::find_json(&path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        signed
            .map(|signed| Ok((self.believe(&signed)?, signed)))
            .transpose()
            .map_err(|error: String| format!("{} is not accepted: {error}", path.display()))
    }
}

/// Stores a configuration that was accepted.
pub(crate) fn store_configuration(
    directory: &StateDirectory,
    signed: &SignedConfiguration,
) -> Result<(), String> {
    let path = directory.file(CONFIGURATION);
    durable::write_json(&path, signed, PUBLIC_MODE)
        .map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// Reads a key that seals recordings.
pub(crate) fn read_sealing_key(path: &Path) -> Result<SealingKey, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let bad = |why: String| format!("{} is not a key: {why}", path.display());
    let der = keys::from_pem(&text).map_err(|error| bad(error.to_string()))?;
    SealingKey::from_pkcs8(&der).map_err(|error| bad(error.to_string()))
}

/// The file of a key until its agent is enrolled.
fn new_key(name: &str, agent_id: &AgentId) -> String {
    format!("{name}.{agent_id}")
}

/// The agent's two keys: one signs requests, the other seals recordings.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) authentication: PrivateKey,
    pub(crate) sealing: SealingKey,
}

impl Keys {
    pub(crate) fn generate() -> Result<Keys, String> {
        let authentication = PrivateKey::generate().map_err(|error| error.to_string())?;
        Ok(Keys { authentication, sealing: SealingKey::generate() })
    }

    /// Keeps the keys of an agent that is being enrolled. They count from the moment its identity is stored: until then
    /// the keys of the previous agent stay in place, because only they can seal what it recorded.
    pub(crate) fn store_for(&self, agent_id: &AgentId, directory: &StateDirectory) -> Result<(), String> {
        for (name, pem) in [
            (AUTHENTICATION_KEY, self.authentication.to_pem()),
            (SEALING_KEY, keys::to_pem(&self.sealing.to_pkcs8())),
        ] {
            let path = directory.file(&new_key(name, agent_id));
            durable::write(&path, pem.as_bytes(), PRIVATE_MODE)
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Moves the keys of the enrolled agent into place. This also completes an enrolment that was interrupted.
    pub(crate) fn settle(agent_id: &AgentId, directory: &StateDirectory) -> Result<(), String> {
        for name in [AUTHENTICATION_KEY, SEALING_KEY] {
            let new = directory.file(&new_key(name, agent_id));
            match std::fs::rename(&new, directory.file(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(format!("{} cannot be put in its place: {error}", new.display()));
                }
                _ => {}
            }
        }
        durable::sync_folder(directory.path())
            .map_err(|error| format!("{} cannot be synced: {error}", directory.path().display()))
    }

    pub(crate) fn load(agent_id: &AgentId, directory: &StateDirectory) -> Result<Keys, String> {
        Keys::settle(agent_id, directory)?;
        let path = directory.file(AUTHENTICATION_KEY);
        let pem = std::fs::read_to_string(&path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let authentication = PrivateKey::from_pem(&pem)
            .map_err(|error| format!("{} is not a key: {error}", path.display()))?;
        let sealing = read_sealing_key(&directory.file(SEALING_KEY))?;
        Ok(Keys { authentication, sealing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enrolment_that_is_cut_off_leaves_an_agent_with_its_own_keys() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::create(&folder.path().join("state")).unwrap();
        let enrolled = || {
            let identity = Identity {
                agent_id: AgentId::generate(),
                account_id: AccountId::parse("1000000000000001").unwrap(),
                instance_id: InstanceId::parse("i-one").unwrap(),
                region: Region::parse("cn-hangzhou").unwrap(),
                server_url: "http://localhost".parse().unwrap(),
                server_keys: vec![],
            };
            (identity, Keys::generate().unwrap())
        };
        let sealing_key_of_the_enrolled = || {
            let identity = Identity::get(&directory).unwrap();
            Keys::load(&identity.agent_id, &directory).unwrap().sealing.public_key()
        };
        let (first, first_keys) = enrolled();
        first_keys.store_for(&first.agent_id, &directory).unwrap();
        first.store(&directory).unwrap();
        assert_eq!(sealing_key_of_the_enrolled(), first_keys.sealing.public_key());

        let (second, second_keys) = enrolled();
        second_keys.store_for(&second.agent_id, &directory).unwrap();
        assert_eq!(sealing_key_of_the_enrolled(), first_keys.sealing.public_key());
        second.store(&directory).unwrap();
        assert_eq!(sealing_key_of_the_enrolled(), second_keys.sealing.public_key());
        assert_eq!(sealing_key_of_the_enrolled(), second_keys.sealing.public_key());
    }
}
