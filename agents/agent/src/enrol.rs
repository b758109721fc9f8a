//! `hansard-agent enrol`.

use std::path::Path;

use agent_protocol::enrol::{EnrolReply, EnrolRequest};

use crate::client::ControlPlane;
use crate::identity::{self, Identity, Keys};
use crate::settings::EnrolOptions;
use crate::state_directory::StateDirectory;
use crate::{AGENT_VERSION, capabilities, run};

/// Enrols this instance and stores the control plane's reply.
pub(crate) fn enrol(state_dir: &Path, options: EnrolOptions) -> Result<(), String> {
    let join_token = options.join_token()?;
    let directory = StateDirectory::create(state_dir)?;
    let _lock = directory.lock()?;
    if let Some(known) = Identity::find(&directory)?
        && !options.replace
    {
        return Err(format!(
            "{} is enrolled already, as {} of instance {} at {}; --replace enrols it again",
            state_dir.display(),
            known.agent_id,
            known.instance_id,
            known.server_url
        ));
    }

    let waiting = run::waiting_sessions(&directory.spool())?;
    if waiting > 0 && !options.abandon_spool {
        return Err(format!(
            "{waiting} sessions in {} are not delivered yet, and a new agent cannot deliver what another recorded; `hansard-agent run` \
             delivers them, unless this agent was removed or replaced, or --abandon-spool sets them aside",
            directory.spool().display()
        ));
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
    // The identity completes the enrolment: an interruption before this leaves the previous agent, or none.
    keys.store_for(&identity.agent_id, &directory)?;
    if waiting > 0 {
        let aside = directory.set_spool_aside(&identity.agent_id)?;
        crate::say(&format!(
            "{waiting} sessions of the previous agent were set aside in {}; `hansard-agent export` takes them out",
            aside.display()
        ));
    }
    identity.store(&directory)?;
    Keys::settle(&identity.agent_id, &directory)?;
    identity::store_configuration(&directory, &reply.configuration)?;
    crate::say(&format!(
        "enrolled as {} for instance {} at {}; `hansard-agent run` starts the agent",
        identity.agent_id, identity.instance_id, identity.server_url
    ));
    Ok(())
}

fn hostname() -> String {
    // Only for people to recognise the instance by.
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}
