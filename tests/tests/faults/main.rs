//! Faults in the whole system: the real control plane, the real agent and its recorders, and people who see what they
//! see, while connections fail, processes die or stand still, and clocks jump. After each: what the person saw is in
//! the recording, exactly once, and `hansard recordings verify` passes or says what is missing.
//!
//! `HANSARD_TEST_FAULT_CASES` says how many seeds the tests with a seed take; `make test` takes few and always the same.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may panic, say its seed, and read its setting"
)]

mod clocks;
mod connections;
mod kills;
mod oracle;
mod session;
mod stand_still;
mod truncation;
mod upload_steps;

use whole_system::{Deployment, FaultProxy, Instance};

/// How many cases a test takes that takes few unless it is told otherwise.
fn cases(few: u64) -> u64 {
    let Ok(cases) = std::env::var("HANSARD_TEST_FAULT_CASES") else { return few };
    cases.parse().expect("HANSARD_TEST_FAULT_CASES is a number")
}

/// A control plane that records everything, a proxy before it, and an instance whose agent was enrolled through that.
struct Stage {
    // Dropped in this order: the agent leaves before what it speaks to.
    instance: Instance,
    proxy: FaultProxy,
    deployment: Deployment,
}

impl Stage {
    fn new(id: &str) -> Self {
        Self::of(Deployment::start(), id)
    }

    fn of(deployment: Deployment, id: &str) -> Self {
        record_everything(&deployment);
        let proxy = FaultProxy::before(&[&deployment.root.endpoint]);
        let instance = Instance::enrol_through(&deployment, &proxy.endpoint(), id, &[]);
        instance.wait_until_recording_is(true);
        Self { instance, proxy, deployment }
    }
}

/// Without the vendor's SDK, which other tests call.
fn record_everything(deployment: &Deployment) {
    let set = ["Enabled=true", "InstanceId=*", "ExpirationDays=7"];
    let _ = deployment.root.call("SetInstanceRecordConfig", &set);
}
