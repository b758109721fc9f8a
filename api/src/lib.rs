//! Hansard's HTTP side: the doors (the gateway that reads and authenticates RPC calls, with one file per action; the
//! agents' API; replay), the one road that all their calls take, the limits on callers, the agents' links with the
//! calls between replicas about them, and the jobs of the control plane.

mod actions;
pub mod agent_api;
mod clocks;
mod continuity;
mod diagnostics;
mod dispatch;
mod documents;
mod ending;
mod errors;
mod evidence;
pub mod gateway;
mod http;
mod internal;
mod jobs;
mod limits;
mod links;
mod pages;
mod policy_findings;
mod reach;
mod readiness;
mod replay;
mod road;
mod serve;
mod signed_tokens;
mod state;

pub use http::trusted_proxies::{InvalidTrustedProxies, TrustedProxies};
pub use limits::connections::ConnectionLimits;
pub use limits::throttle::{RateLimit, ThrottleLimits};
pub use links::NotReached;
pub use serve::{Listeners, serve, serve_shared};
pub use state::{ApiSettings, Hansard, HansardParts, LinkTiming};
