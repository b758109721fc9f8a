//! The protocol between an agent and the control plane: the bodies of `/agent/v1`, the messages and channels of the
//! link, the token that proves each request, the signed configuration, the local socket between a person's `record` and
//! the running agent, the messages between a recorder and a person's side of a session, and between a recorder and the agent, and the agent's half of every
//! kind of capture; and what all of them need from the operating system: a clock, and the list of signals.

pub mod bus;
pub mod capture;
pub mod claims;
pub mod clock;
pub mod configuration;
pub mod encoding;
pub mod enrol;
pub mod errors;
pub mod keys;
pub mod lines;
pub mod link;
pub mod live;
pub mod local;
pub mod person;
pub mod processes;
pub mod recorder;
pub mod recordings;
pub mod signals;
pub mod succession;
pub mod unrecorded;

pub use capture::{Capability, Segmenting};
pub use claims::{AgentClaims, ClaimsRefused};
pub use configuration::{ConfigurationRefused, EffectiveConfiguration, SignedConfiguration};
pub use encoding::{Base64Bytes, InvalidPublicKey, PublicKey};
pub use errors::{AgentErrorCode, ErrorReply};
pub use keys::{KeyError, PrivateKey};

/// The path below which every call of the Agent API lies.
pub const AGENT_API_PREFIX: &str = "/agent/v1";

/// The largest object that one grant may carry.
pub const MAXIMUM_OBJECT_BYTES: u64 = 8 * 1024 * 1024;

/// The largest body of a call (an object's upload is no call).
pub const MAXIMUM_CALL_BYTES: usize = 1024 * 1024;
