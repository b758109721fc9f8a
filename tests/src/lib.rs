//! The harness of the whole-system tests: it starts the real programs, calls them with the vendor's real SDKs, types
//! at real shells and uses a real browser. No program of this project is mocked.
//!
//! Everything here panics with a reason if the environment is not as a test needs it.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, clippy::disallowed_methods, clippy::print_stderr)]

mod append_only;
mod database;
mod deployment;
mod identity;
mod instance;
mod person;
mod programs;
mod screens;

pub use database::{MariaDb, postgresql};
pub use deployment::{Client, Deployment, DeploymentOptions};
pub use identity::IdentitySdk;
pub use instance::Instance;
pub use person::Person;
pub use programs::{Sdk, asciinema_cat, in_browser, node, program, python, tests_folder};
pub use screens::{Screen, screens};
pub use test_facts::until;
