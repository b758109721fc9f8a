//! What tests share: accounts and instances, facts about them, the grants and events with which they are written, and
//! databases to write them into.
//!
//! Only test code depends on this crate. It knows nothing of HTTP, so that the tests of `persistence` do not wait for
//! `api` to be compiled; `test-server` adds a running control plane.
//!
//! Everything here panics with a reason when the environment is not as a test needs it.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "test code: an unwrap is a check")]

mod acts;
mod database;
mod events;
pub mod fill;
mod grants;
pub mod mariadb;
mod names;
mod patience;
pub mod postgres;
mod restartable;
mod samples;
mod supervisor;
mod world;

pub use acts::{acknowledge, enrol, issue, open, seal, user};
pub use database::{Backend, TestDatabase};
pub use events::{event, operator_event};
pub use grants::{as_agent, as_operator, as_system, facts, list_of, owner, reaching, resource_of, view};
pub use names::{ACCOUNT, DAY, START, account, at, instance, other_account, region};
pub use patience::{PATIENCE, until, until_async};
pub use restartable::RestartableServer;
pub use samples::{agent, arrived, join_token, opened, recording, sealed, segment};
pub use world::World;
