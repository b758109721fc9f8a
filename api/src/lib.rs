//! Hansard's HTTP side: the gateway that reads and authenticates RPC calls, the one road that dispatches them,
//! one file per action, the agents' API, replay, and the jobs of the control plane.

pub(crate) mod agent_api;
pub(crate) mod errors;
pub(crate) mod jobs;
pub(crate) mod links;
pub(crate) mod replay;
pub(crate) mod request;
mod state;

pub use state::{ApiSettings, Hansard, HansardParts};
