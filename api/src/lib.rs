//! Hansard's HTTP side: the doors (the gateway that reads and authenticates RPC calls, with one file per action; the agents'
//! API; replay), the one road of the calls that come to them, what callers can take, and the jobs of the control plane.

mod actions;
pub mod agent_api;
mod continuity;
mod diagnostics;
mod dispatch;
mod documents;
mod errors;
mod evidence;
pub mod gateway;
mod http;
mod jobs;
mod limits;
mod links;
mod policy_findings;
mod replay;
mod road;
mod serve;
mod signed_tokens;
mod state;

pub use http::trusted_proxies::{InvalidTrustedProxies, TrustedProxies};
pub use limits::connections::ConnectionLimits;
pub use limits::throttle::{RateLimit, ThrottleLimits};
pub use serve::serve;
pub use state::{ApiSettings, Hansard, HansardParts};
