//! Hansard's HTTP side: the gateway that reads and authenticates RPC calls, the one road that dispatches them,
//! one file per action, the agents' API, replay, and the jobs of the control plane.

mod actions;
pub mod agent_api;
mod connection;
mod diagnostics;
mod dispatch;
mod documents;
mod errors;
pub mod gateway;
mod jobs;
mod links;
mod network;
pub mod policy_tools;
mod replay;
mod request;
mod serve;
mod signed_tokens;
mod state;
mod stranger;
mod tally;
mod throttle;
mod trusted_proxies;
mod turns;

pub use serve::serve;
pub use state::{ApiSettings, Hansard, HansardParts};
pub use throttle::{RateLimit, ThrottleLimits};
pub use trusted_proxies::{InvalidTrustedProxies, TrustedProxies};
