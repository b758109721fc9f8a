//! The harness of the whole-system tests: it starts the real programs, calls them with the vendor's real SDKs, types
//! at real shells and uses a real browser. No program of this project is mocked.
//!
//! Everything here panics with a reason if the environment is not as a test needs it.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, clippy::disallowed_methods, clippy::print_stderr)]

mod append_only;
mod audited;
mod balancer;
mod database;
mod deployment;
mod fault_plan;
mod fault_proxy;
mod identity;
mod instance;
pub mod load;
mod person;
mod programs;
mod screens;

pub use audited::audited;
pub use balancer::Balancer;
pub use database::{MariaDb, postgresql};
pub use deployment::{Client, Deployment, DeploymentOptions, free_port};
pub use fault_plan::{Fault, FaultPlan, Seeded};
pub use fault_proxy::{FaultProxy, Moment, Step, Trap};
pub use identity::IdentitySdk;
pub use instance::Instance;
pub use person::Person;
pub use programs::{Sdk, asciinema_cat, deep_python, in_browser, node, program, python, tests_folder};
pub use screens::{Screen, screens};
pub use test_facts::until;

/// Whether this test has to be left out, because it needs root and this is another user. Fails unless
/// `HANSARD_TEST_WITHOUT_ROOT` says that such tests are left out.
#[must_use]
pub fn without_root(why: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return false;
    }
    let left_out = std::env::var_os("HANSARD_TEST_WITHOUT_ROOT").is_some();
    assert!(left_out, "{why}: run as root, or set HANSARD_TEST_WITHOUT_ROOT=1 to leave such tests out");
    true
}
