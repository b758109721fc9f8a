//! What of a session stands on the disk besides `start.json`, for a later start of the agent.

use std::path::Path;

use agent_protocol::capture::{BadSpoolName, SpoolName};
use agent_protocol::configuration::SignedConfiguration;
use recording::FailurePolicy;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::run::recorder_process::RecorderNote;

pub(super) const NOTE: &str = "session.json";

/// `session.json`: what a later start must know besides `start.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::run) struct Note {
    /// The kind of capture.
    pub(in crate::run) kind: String,
    /// Its spools, in the order of its streams. An agent that knew no more than one noted none: it is named by the kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::run) spools: Vec<SpoolName>,
    /// CLOCK_BOOTTIME at time zero. It means something only as long as the recorder lives.
    pub(in crate::run) start_boottime_micros: u64,
    /// Whose session it is, as the kernel says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::run) user_id: Option<u32>,
    /// The process that asked for it, which records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::run) recorder: Option<RecorderNote>,
    /// The configuration by which it was begun, as the control plane signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::run) configuration: Option<SignedConfiguration>,
    /// What happens to the session when its recording fails. An earlier agent, which noted nothing, ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::run) failure_policy: Option<FailurePolicy>,
}

impl Note {
    /// Whose session lies in a folder, if that can be read.
    pub(in crate::run) fn find_user(folder: &Path) -> Option<u32> {
        durable::find_json::<Note>(&folder.join(NOTE)).ok()??.user_id
    }

    /// The names of its spools; there is at least one.
    pub(super) fn spool_names(&self) -> Result<Vec<SpoolName>, BadSpoolName> {
        if self.spools.is_empty() { Ok(vec![SpoolName::parse(&self.kind)?]) } else { Ok(self.spools.clone()) }
    }
}
