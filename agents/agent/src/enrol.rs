//! `hansard-agent enrol`.

use std::path::Path;

use agent_protocol::configuration::SignedConfiguration;
use agent_protocol::enrol::{EnrolReply, EnrolRequest};
use url::Url;

use crate::client::ControlPlane;
use crate::identity::{self, Identity, Keys};
use crate::settings::EnrolOptions;
use crate::state_directory::StateDirectory;
use crate::{AGENT_VERSION, capabilities, predecessors, run};

/// Enrols this instance and stores the control plane's reply.
pub(crate) fn enrol(state_dir: &Path, options: EnrolOptions) -> Result<(), String> {
    let join_token = options.join_token()?;
    let directory = StateDirectory::create(state_dir)?;
    let _lock = directory.lock()?;
    let known = Identity::find(&directory)?;
    if let Some(known) = &known {
        if !options.replace {
            return Err(format!(
                "{} is enrolled already, as {} of instance {} at {}; --replace enrols it again",
                state_dir.display(),
                known.agent_id,
                known.instance_id,
                known.server_url
            ));
        }
        // The enrolment before may have been cut off: what is kept or set aside must be that agent's key.
        Keys::settle(&known.agent_id, &directory)?;
    }
    let left = Left::find(&directory, known.as_ref(), &options)?;
    if let Left::TakenOver { agent, .. } = &left {
        // Before the control plane is asked: if it cannot be kept, nothing changes there.
        predecessors::keep(&agent.agent_id, &directory).map_err(|why| {
            format!("{why}. Without them no new agent can deliver what it recorded; --abandon-spool sets that aside")
        })?;
    }

    let keys = Keys::generate()?;
    let request = EnrolRequest {
        join_token,
        instance_id: options.instance_id.clone(),
        authentication_public_key: keys.authentication.public_key(),
        sealing_public_key: keys.sealing.public_key(),
        hostname: hostname(),
        agent_version: AGENT_VERSION.to_owned(),
        capabilities: capabilities(),
        replace: options.replace,
    };
    let control_plane = ControlPlane::new(options.server.clone(), None)?;
    let reply: EnrolReply = run::runtime()?
        .block_on(control_plane.post("/enrol", &request))
        .map_err(|error| error.to_string())?;

    if reply.instance_id != options.instance_id {
        return Err(format!(
            "the control plane enrolled instance {}, not {}: nothing was stored",
            reply.instance_id, options.instance_id
        ));
    }
    if let Left::TakenOver { agent, .. } = &left
        && agent.account_id != reply.account_id
    {
        return Err(format!(
            "the control plane enrolled the instance in account {}, and what lies in {} is of account {}: nothing was stored. \
             --abandon-spool sets it aside",
            reply.account_id,
            directory.spool().display(),
            agent.account_id
        ));
    }
    let identity = Identity {
        agent_id: reply.agent_id,
        account_id: reply.account_id,
        instance_id: reply.instance_id,
        region: reply.region,
        server_url: options.server,
        server_keys: reply.server_keys,
    };
    identity
        .believe(&reply.configuration)
        .map_err(|error| format!("the control plane's first configuration is not accepted: {error}"))?;
    store(&directory, &identity, &keys, &reply.configuration, &left)?;
    crate::say(&format!(
        "enrolled as {} for instance {} at {}; `hansard-agent run` starts the agent",
        identity.agent_id, identity.instance_id, identity.server_url
    ));
    Ok(())
}

/// What becomes of the sessions that the previous agent left.
#[derive(Debug)]
enum Left<'a> {
    /// There are none.
    Nothing,
    /// They are kept, and no agent delivers them.
    SetAside { sessions: usize },
    /// The new agent delivers them.
    TakenOver { sessions: usize, agent: &'a Identity },
}

impl<'a> Left<'a> {
    /// Looks what there is, and what can and shall become of it.
    fn find(
        directory: &StateDirectory,
        known: Option<&'a Identity>,
        options: &EnrolOptions,
    ) -> Result<Self, String> {
        let sessions = run::waiting_sessions(&directory.spool())?;
        if sessions == 0 {
            return Ok(Left::Nothing);
        }
        if options.abandon_spool {
            return Ok(Left::SetAside { sessions });
        }
        let server = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let why = match known {
            None => "nothing says of which instance they are".to_owned(),
            Some(known) if known.instance_id != options.instance_id => {
                format!("they are of instance {}", known.instance_id)
            }
            Some(known) if server(&known.server_url) != server(&options.server) => {
                format!("they are for the control plane at {}", known.server_url)
            }
            Some(known) => return Ok(Left::TakenOver { sessions, agent: known }),
        };
        Err(format!(
            "{sessions} sessions in {} are not delivered yet, and only a new agent of the same instance at the same control plane \
             can deliver what another recorded: {why}. `hansard-agent run` delivers them, unless this agent was removed or \
             replaced, or --abandon-spool sets them aside",
            directory.spool().display()
        ))
    }
}

/// Stores an enrolment. The identity completes it: an interruption before that leaves the previous agent, or none; and one after it
/// the new agent.
fn store(
    directory: &StateDirectory,
    identity: &Identity,
    keys: &Keys,
    configuration: &SignedConfiguration,
    left: &Left<'_>,
) -> Result<(), String> {
    keys.store_for(&identity.agent_id, directory)?;
    if let Left::SetAside { sessions } = left {
        let aside = directory.set_spool_aside(&identity.agent_id)?;
        crate::say(&format!(
            "{sessions} sessions of the previous agent were set aside in {}; `hansard-agent export` takes them out",
            aside.display()
        ));
    }
    if let Left::TakenOver { .. } = left {
        run::forget_refusals(&directory.spool())?;
    }
    identity.store(directory)?;
    Keys::settle(&identity.agent_id, directory)?;
    identity::store_configuration(directory, configuration)?;
    if let Left::TakenOver { sessions, agent } = left {
        crate::say(&format!(
            "{sessions} sessions that were recorded before this are not delivered yet, the last of them by {}: the new agent delivers \
             them, with leave of the control plane",
            agent.agent_id
        ));
    }
    Ok(())
}

fn hostname() -> String {
    // Only for people to recognise the instance by.
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use agent_protocol::configuration::SignedConfiguration;
    use recording::{AccountId, AgentId, InstanceId, Region};
    use rustix::io::Errno;

    use super::*;
    use crate::faults::tests::{fail_after, has_failed};

    fn enrolled() -> (Identity, Keys) {
        let identity = Identity {
            agent_id: AgentId::generate(),
            account_id: AccountId::parse("1000000000000001").unwrap(),
            instance_id: InstanceId::parse("i-one").unwrap(),
            region: Region::parse("cn-hangzhou").unwrap(),
            server_url: "http://localhost".parse().unwrap(),
            server_keys: vec![],
        };
        (identity, Keys::generate().unwrap())
    }

    fn configuration() -> SignedConfiguration {
        serde_json::from_str(r#"{"Payload":"","Signatures":[]}"#).unwrap()
    }

    fn ledger_of(agent_id: &AgentId) -> String {
        format!(r#"{{"AgentId":"{agent_id}","NextRecordingNumber":7,"LastManifest":null}}"#)
    }

    #[test]
    fn an_enrolment_that_is_cut_off_anywhere_leaves_whoever_is_enrolled_with_the_keys_of_all_before() {
        for failing in 1..3 {
            for step in 0.. {
                let folder = tempfile::tempdir().unwrap();
                let directory = StateDirectory::create(&folder.path().join("state")).unwrap();
                let kept = predecessors::folder(&directory);
                let agents: Vec<(Identity, Keys)> = (0..3).map(|_| enrolled()).collect();
                let (first, first_keys) = &agents[0];
                store(&directory, first, first_keys, &configuration(), &Left::Nothing).unwrap();
                let ledger = directory.file(crate::state_directory::LEDGER);
                std::fs::write(&ledger, ledger_of(&first.agent_id)).unwrap();
                let mut failed = false;
                // One takes over from the first, and the third from that, which has recorded nothing itself.
                for after in 1..agents.len() {
                    let (before, next) = (&agents[after - 1].0, &agents[after]);
                    let take_over = || {
                        Keys::settle(&before.agent_id, &directory)?;
                        predecessors::keep(&before.agent_id, &directory)?;
                        let left = Left::TakenOver { sessions: 1, agent: before };
                        store(&directory, &next.0, &next.1, &configuration(), &left)
                    };
                    if after == failing {
                        fail_after(step, Errno::IO);
                    }
                    let done = take_over();
                    failed |= after == failing && has_failed();
                    let now = Identity::get(&directory).unwrap();
                    let stands = agents.iter().position(|(identity, _)| *identity == now).unwrap();
                    assert!(stands == after || stands + 1 == after && done.is_err(), "step {step}");
                    // Whoever starts now has its own key, and those of all before.
                    let keys = Keys::load(&now.agent_id, &directory).unwrap();
                    assert_eq!(
                        keys.sealing.public_key(),
                        agents[stands].1.sealing.public_key(),
                        "step {step}"
                    );
                    for (earlier, keys) in &agents[..stands] {
                        let key =
                            identity::read_sealing_key(&predecessors::key_path(&kept, &earlier.agent_id));
                        assert_eq!(key.unwrap().public_key(), keys.sealing.public_key(), "step {step}");
                    }
                    let ledger = std::fs::read_to_string(predecessors::ledger_path(&kept, &first.agent_id));
                    assert!(stands == 0 || ledger.unwrap() == ledger_of(&first.agent_id), "step {step}");
                    if done.is_err() && stands < after {
                        take_over().unwrap();
                    }
                }
                assert!(!predecessors::ledger_path(&kept, &agents[1].0.agent_id).exists());
                if !failed {
                    assert!(step > 15, "only {step} steps can fail");
                    break;
                }
            }
        }
    }

    #[test]
    fn what_is_set_aside_takes_the_keys_of_all_its_agents_along() {
        let folder = tempfile::tempdir().unwrap();
        let directory = StateDirectory::create(&folder.path().join("state")).unwrap();
        let agents: Vec<(Identity, Keys)> = (0..3).map(|_| enrolled()).collect();
        store(&directory, &agents[0].0, &agents[0].1, &configuration(), &Left::Nothing).unwrap();
        predecessors::keep(&agents[0].0.agent_id, &directory).unwrap();
        let left = Left::TakenOver { sessions: 1, agent: &agents[0].0 };
        store(&directory, &agents[1].0, &agents[1].1, &configuration(), &left).unwrap();
        let left = Left::SetAside { sessions: 1 };
        store(&directory, &agents[2].0, &agents[2].1, &configuration(), &left).unwrap();
        let aside = directory.file(&format!("spool-before-{}", agents[2].0.agent_id));
        let files = [predecessors::key_path(&aside, &agents[0].0.agent_id), aside.join("sealing.key")];
        for (file, (_, keys)) in files.iter().zip(&agents) {
            assert_eq!(identity::read_sealing_key(file).unwrap().public_key(), keys.sealing.public_key());
        }
    }
}
