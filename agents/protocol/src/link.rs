//! `GET /agent/v1/link`: one WebSocket from the agent to the control plane. Messages are JSON in text frames, tagged by `Type`; binary
//! frames are those of channels ([`crate::bus`]).

use recording::TerminalSessionToken;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::capture::Capability;
use crate::configuration::SignedConfiguration;
use crate::local::DiskState;

/// How often each side sends a ping.
pub const PING_EVERY_SECONDS: u64 = 15;

/// A link that was silent for this long is dead.
pub const SILENT_AFTER_SECONDS: u64 = 45;

/// What the agent says on the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "Type")]
pub enum AgentMessage {
    /// The first message.
    #[serde(rename = "hello", rename_all = "PascalCase")]
    Hello {
        /// The version of the agent program.
        agent_version: String,
        /// The kinds of capture this agent offers.
        capabilities: Vec<Capability>,
        /// The tokens of the sessions that are open now.
        #[schema(value_type = Vec<String>)]
        sessions: Vec<TerminalSessionToken>,
        /// The names of the services that channels can be opened to. An agent that omits it does not support channels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        services: Option<Vec<String>>,
    },
    /// A configuration is in force on the instance.
    #[serde(rename = "configuration-applied", rename_all = "PascalCase")]
    ConfigurationApplied {
        /// Its revision.
        revision: u64,
    },
    /// How many recordings wait in the spool because the control plane does not accept them; sent once after hello, and
    /// whenever it changes.
    #[serde(rename = "waiting", rename_all = "PascalCase")]
    Waiting {
        /// How many there are now.
        recordings: u32,
        /// Why most of them wait; absent when none waits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        reason: Option<String>,
    },
    /// How much room the spool's disk has; sent once after hello, when the state changes, and when so much more or less is
    /// free that it matters.
    #[serde(rename = "spool-disk", rename_all = "PascalCase")]
    SpoolDisk {
        /// What follows from it.
        state: DiskState,
        /// What is free for the spool, in bytes.
        free_bytes: u64,
    },
}

/// What the control plane says on the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "Type")]
pub enum ServerMessage {
    /// Apply this configuration.
    #[serde(rename = "configuration", rename_all = "PascalCase")]
    Configuration {
        /// The configuration.
        configuration: SignedConfiguration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_tagged_by_type() {
        let hello = AgentMessage::Hello {
            agent_version: "0.1.0".into(),
            capabilities: vec![Capability { kind: "terminal".into(), version: "1".into() }],
            sessions: vec![],
            services: Some(vec!["echo".into()]),
        };
        let text = serde_json::to_string(&hello).unwrap();
        assert_eq!(
            text,
            r#"{"Type":"hello","AgentVersion":"0.1.0","Capabilities":[{"Kind":"terminal","Version":"1"}],"Sessions":[],"Services":["echo"]}"#
        );
        assert_eq!(serde_json::from_str::<AgentMessage>(&text).unwrap(), hello);
        let before_channels = r#"{"Type":"hello","AgentVersion":"0.1.0","Capabilities":[],"Sessions":[]}"#;
        let AgentMessage::Hello { services: None, .. } = serde_json::from_str(before_channels).unwrap()
        else {
            panic!("an agent that knows no channels greets as ever")
        };
        let applied = r#"{"Type":"configuration-applied","Revision":4}"#;
        assert_eq!(
            serde_json::from_str::<AgentMessage>(applied).unwrap(),
            AgentMessage::ConfigurationApplied { revision: 4 }
        );
        let waiting = AgentMessage::Waiting { recordings: 2, reason: Some("r".into()) };
        let text = serde_json::to_string(&waiting).unwrap();
        assert_eq!(text, r#"{"Type":"waiting","Recordings":2,"Reason":"r"}"#);
        assert_eq!(serde_json::from_str::<AgentMessage>(&text).unwrap(), waiting);
        let disk = AgentMessage::SpoolDisk { state: DiskState::Low, free_bytes: 5 };
        let text = serde_json::to_string(&disk).unwrap();
        assert_eq!(text, r#"{"Type":"spool-disk","State":"low","FreeBytes":5}"#);
        assert_eq!(serde_json::from_str::<AgentMessage>(&text).unwrap(), disk);
        let none = serde_json::to_string(&AgentMessage::Waiting { recordings: 0, reason: None }).unwrap();
        assert_eq!(none, r#"{"Type":"waiting","Recordings":0}"#);
    }
}
