//! The real `hansard` program: started, called, refused and stopped.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test may panic and say why"
)]

mod admin_policies;
mod administration;
mod audit;
mod calls;
mod denials;
mod deployment;
mod durability;
mod local_agent;
mod policy;
mod recordings;
mod refusals;
mod roots;
mod starting;
mod stopping;
mod unauthenticated;
