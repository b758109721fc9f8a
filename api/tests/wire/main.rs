//! The RPC wire, from outside: the real server, a real SQLite database, real HTTP.

#![allow(clippy::unwrap_used, reason = "in a test program an unwrap is a check")]

mod actions;
mod audit_trail;
mod authentication;
mod conditions;
mod documents;
mod hostile;
mod http;
mod large_targets;
mod lifecycle;
mod log;
mod order;
mod pipelining;
mod policies;
mod policy_tools;
mod proxies;
mod query_secrets;
mod ram_codes;
mod readiness;
mod recording_filters;
mod service;
mod session_settings;
mod sessions;
mod shapes;
mod signing;
mod throttling;
mod unauthenticated;
mod visits;
