//! kill -9 of the control plane, of the agent, and of both at each step of a delivery: before the control plane has the
//! request, while it serves it, before its reply is heard, and behind that. And of one of two control planes.

use std::path::Path;

use whole_system::{
    Client, Deployment, DeploymentOptions, FaultPlan, FaultProxy, Instance, Moment, Step, postgresql, program,
};

use crate::oracle::{self, Ending};
use crate::session::{Connected, Session};
use crate::{Stage, cases, record_everything};

/// Two segments, so that a step is the first or the last of its kind.
const SEGMENTS: &str = "seq 190000";

/// Who is killed, and started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Killed {
    ControlPlane,
    Agent,
    Both,
}

/// Kills them at this moment of a step, `pass` requests of which have passed, and starts them again.
fn kill_at(stage: &mut Stage, killed: Killed, step: Step, moment: Moment, pass: u32) {
    eprintln!("{killed:?}: {moment:?} of {step:?} {pass}");
    let trap = stage.proxy.trap(step, moment, pass);
    let session = Session::begin(&stage.instance, Connected::ToPipes, SEGMENTS);
    trap.wait();
    if killed != Killed::ControlPlane {
        stage.instance.kill();
    }
    if killed != Killed::Agent {
        stage.deployment.kill();
        stage.deployment.resume();
    }
    trap.release();
    if killed != Killed::ControlPlane {
        stage.instance.resume();
    }
    let (success, seen) = session.ends();
    assert!(success, "{moment:?} of {step:?}: a session depends on neither");
    let decoded = oracle::check(&stage.deployment.root, &seen, Ending::Whole);
    assert!(!oracle::has_loss(&decoded), "{moment:?} of {step:?}: nothing is missing");
}

fn kill_at_each_step(mut stage: Stage, killed: Killed, steps: &[Step], moments: &[Moment]) {
    let mut sessions = 0;
    // Grants come with the acknowledgements of the segments before, so that often only the first is asked for.
    for round in 0..cases(1).min(2) {
        for step in steps {
            let pass = if matches!(step, Step::Upload | Step::Acknowledge) {
                u32::try_from(round).unwrap()
            } else {
                0
            };
            for moment in moments {
                kill_at(&mut stage, killed, *step, *moment, pass);
                sessions += 1;
            }
        }
    }
    assert_eq!(oracle::count(&stage.deployment.root), sessions, "each is recorded once");
}

#[test]
fn a_control_plane_that_is_killed_while_a_recording_is_opened_or_granted_or_sealed_loses_nothing() {
    let steps = [Step::Open, Step::Grant, Step::Seal];
    kill_at_each_step(Stage::new("i-steps1"), Killed::ControlPlane, &steps, &Moment::ALL);
}

#[test]
fn a_control_plane_that_is_killed_while_a_segment_is_stored_or_acknowledged_loses_nothing() {
    let steps = [Step::Upload, Step::Acknowledge];
    kill_at_each_step(Stage::new("i-steps2"), Killed::ControlPlane, &steps, &Moment::ALL);
}

#[test]
fn an_agent_that_is_killed_at_any_step_of_a_delivery_loses_nothing() {
    let moments = [Moment::BeforeReply, Moment::AfterReply];
    kill_at_each_step(Stage::new("i-steps4"), Killed::Agent, &Step::OF_A_DELIVERY, &moments);
}

#[test]
fn an_agent_and_a_control_plane_that_are_killed_together_lose_nothing() {
    let steps = [Step::Open, Step::Acknowledge, Step::Seal];
    kill_at_each_step(Stage::new("i-steps5"), Killed::Both, &steps, &[Moment::BeforeReply]);
}

#[test]
fn a_control_plane_on_postgresql_that_is_killed_at_any_step_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (database, keys) = (postgresql(), server_keys(folder.path()));
    let mut stage = Stage::of(replica(&database, &keys, None), "i-steps3");
    for step in Step::OF_A_DELIVERY {
        kill_at(&mut stage, Killed::ControlPlane, step, Moment::BeforeReply, 0);
    }
}

fn server_keys(folder: &Path) -> String {
    let keys = folder.join("keys.toml").to_str().unwrap().to_owned();
    let made = std::process::Command::new(program("hansard"))
        .args(["admin", "server-keys", "generate", &keys])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    keys
}

/// One of several control planes on a database.
fn replica(database: &str, keys: &str, shares_objects_of: Option<&Deployment>) -> Deployment {
    let arguments = ["--database-url", database, "--server-keys", keys, "--internal-listen", "127.0.0.1:0"];
    Deployment::start_with(DeploymentOptions {
        arguments: arguments.map(str::to_owned).to_vec(),
        objects: shares_objects_of.map(Deployment::objects_folder),
        ..DeploymentOptions::default()
    })
}

#[test]
fn two_control_planes_in_turn_of_which_one_is_killed_deliver_once() {
    let folder = tempfile::tempdir().unwrap();
    let (database, keys) = (postgresql(), server_keys(folder.path()));
    let mut one = replica(&database, &keys, None);
    let other = replica(&database, &keys, Some(&one));
    record_everything(&one);
    // Each request goes to the other one than that before it.
    let proxy = FaultProxy::before(&[&one.root.endpoint, &other.root.endpoint]);
    let instance = Instance::enrol_through(&one, &proxy.endpoint(), "i-two", &[]);
    instance.wait_until_recording_is(true);
    let delivered = |clients: &[&Client], session: Session| {
        let (success, seen) = session.ends();
        assert!(success);
        for client in clients {
            oracle::check(client, &seen, Ending::Whole);
        }
    };
    delivered(&[&one.root, &other.root], Session::begin(&instance, Connected::ToPipes, SEGMENTS));
    for (step, moment) in [
        (Step::Upload, Moment::BeforeReply),
        (Step::Acknowledge, Moment::WhileServing),
        (Step::Acknowledge, Moment::BeforeReply),
        (Step::Seal, Moment::WhileServing),
    ] {
        let trap = proxy.trap(step, moment, 0);
        let session = Session::begin(&instance, Connected::ToPipes, SEGMENTS);
        trap.wait();
        one.kill();
        trap.release();
        // The rest is the other's.
        delivered(&[&other.root], session);
        one.resume();
    }
    let seeds = cases(1).min(20);
    for seed in 1..=seeds {
        proxy.follow(Some(FaultPlan::of_seed(1000 + seed, 8)));
        delivered(&[&other.root, &one.root], Session::begin(&instance, Connected::ToPipes, SEGMENTS));
    }
    assert_eq!(oracle::count(&one.root), 5 + seeds, "each is recorded once");
}
