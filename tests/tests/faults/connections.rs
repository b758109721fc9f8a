//! Connections that are late, slow, cut, half open, or answered by a gateway.

use std::time::Duration;

use whole_system::{Deployment, Fault, FaultPlan, FaultProxy, Instance, Step};

use crate::oracle::{self, Ending};
use crate::session::{Connected, Session};
use crate::{Stage, cases, record_everything};

/// More than one segment, of bytes that cannot be compressed and are not text.
const SEGMENTS: &str = "head -c 1100000 /dev/urandom";

/// Two segments that are quickly read.
const TEXT: &str = "seq 190000";

/// So many faults, and then it must come to an end.
const MOST_FAULTS: u32 = 8;

#[test]
fn what_is_seen_is_recorded_once_whatever_happens_to_connections() {
    let stage = Stage::new("i-proxy");
    for seed in 1..=cases(3) {
        eprintln!("seed {seed}");
        stage.proxy.follow(Some(FaultPlan::of_seed(seed, MOST_FAULTS)));
        // The link, too, meets the faults.
        stage.proxy.cut();
        let terminal = Session::begin(
            &stage.instance,
            Connected::ToATerminal,
            "for i in 1 2 3 4 5 6 7 8; do seq $((i * 1000)) $((i * 1000 + 300)); sleep 0.05; done; head -c 9000 /dev/urandom",
        );
        let piped = Session::begin(&stage.instance, Connected::ToPipes, SEGMENTS);
        for session in [terminal, piped] {
            let (success, seen) = session.ends();
            assert!(success, "a session does not depend on the control plane");
            let decoded = oracle::check(&stage.deployment.root, &seen, Ending::Whole);
            assert!(!oracle::has_loss(&decoded), "nothing is missing: {:?}", decoded.totals);
        }
    }
    stage.proxy.follow(None);
    assert_eq!(oracle::count(&stage.deployment.root), 2 * cases(3), "each is recorded once");
}

#[test]
fn each_step_of_a_delivery_outlives_each_fault_of_a_connection() {
    let shortly = Duration::from_millis(300);
    let faults = [
        Fault::Delay(shortly),
        Fault::CutRequest(100),
        Fault::CutReply(20),
        Fault::Slow(400_000),
        Fault::Silent(shortly),
        Fault::DeadReply(shortly),
        Fault::Status(503),
        Fault::StatusAfterwards(502),
    ];
    let deployment = Deployment::start();
    record_everything(&deployment);
    std::thread::scope(|scope| {
        for (number, fault) in faults.into_iter().enumerate() {
            let deployment = &deployment;
            scope.spawn(move || {
                let proxy = FaultProxy::before(&[&deployment.root.endpoint]);
                let id = format!("i-fault{number}");
                let instance = Instance::enrol_through(deployment, &proxy.endpoint(), &id, &[]);
                instance.wait_until_recording_is(true);
                proxy.follow(Some(FaultPlan::once_at(&Step::OF_A_DELIVERY, fault)));
                let (success, seen) = Session::begin(&instance, Connected::ToPipes, TEXT).ends();
                assert!(success, "{fault:?}");
                oracle::check(&deployment.root, &seen, Ending::Whole);
                for step in Step::OF_A_DELIVERY {
                    assert!(proxy.reached(step) > 0, "{fault:?}: {step:?} met nothing");
                }
            });
        }
    });
    assert_eq!(oracle::count(&deployment.root), 8, "each is recorded once");
}

#[test]
#[ignore = "the agent gives a silent connection up after a minute; make test-deep waits for it"]
fn a_connection_that_never_says_anything_again_is_given_up() {
    let silent = Fault::Silent(Duration::from_secs(3600));
    let unheard = Fault::DeadReply(Duration::from_secs(3600));
    for (id, step, fault) in [
        ("i-silent1", Step::Open, silent),
        ("i-silent2", Step::Acknowledge, unheard),
        ("i-silent3", Step::Link, Fault::LinkHalfOpen { from_agent: true }),
        ("i-silent4", Step::Link, Fault::LinkHalfOpen { from_agent: false }),
    ] {
        let stage = Stage::new(id);
        stage.proxy.follow(Some(FaultPlan::once_at(&[step], fault)));
        stage.proxy.cut();
        let (success, seen) = Session::begin(&stage.instance, Connected::ToPipes, SEGMENTS).ends();
        assert!(success);
        let patience = std::time::Instant::now();
        while stage.proxy.reached(step) < 2 {
            assert!(patience.elapsed() < Duration::from_secs(100), "{step:?} is not tried again");
            std::thread::sleep(Duration::from_millis(200));
        }
        oracle::check(&stage.deployment.root, &seen, Ending::Whole);
    }
}
