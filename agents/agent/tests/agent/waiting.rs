//! Recordings that the control plane does not accept now: they wait in the spool, the reason is reported, and nothing
//! is lost.

use agent_protocol::AgentErrorCode;

use crate::bench::{Instance, eventually};

/// What the agent last reported about waiting recordings.
fn told(instance: &Instance) -> Option<(u32, Option<String>)> {
    instance.control_plane.state().waiting.last().cloned()
}

/// The reply says to try again in an hour: only the configuration makes the agent try sooner.
fn waits_until_it_is_configured_anew(call: &'static str, code: AgentErrorCode) {
    let instance = Instance::running();
    instance.control_plane.state().puts_off = Some((call, code));
    let (output, token) = instance.record(&["echo", "kept"]);
    eventually("it is told that one recording waits, and why", || {
        let (recordings, reason) = told(&instance)?;
        (recordings == 1 && reason?.contains(code.code())).then_some(())
    });
    let session = instance.status()["Running"]["Sessions"][0].clone();
    assert_ne!(session["State"], "refused", "it may be mended: {session}");
    assert!(session["Reason"].as_str().unwrap().contains(code.code()), "{session}");
    assert!(instance.agent_log().contains(code.code()), "the log has the reason");
    instance.control_plane.state().puts_off = None;
    instance.control_plane.configure(|_| {});
    assert!(instance.control_plane.sealed(&token).output() == output.stdout);
    instance.spool_is_empty();
    eventually("it is told that nothing waits any more", || (told(&instance)? == (0, None)).then_some(()));
}

#[test]
fn a_target_that_cannot_be_used_keeps_the_recording_waiting() {
    waits_until_it_is_configured_anew("/recordings", AgentErrorCode::StorageTargetUnusable);
}

#[test]
fn an_agent_with_too_many_open_recordings_spools() {
    waits_until_it_is_configured_anew("/recordings", AgentErrorCode::TooManyOpenRecordings);
}

#[test]
fn an_agent_with_too_many_unclaimed_bytes_spools() {
    waits_until_it_is_configured_anew("/grants", AgentErrorCode::TooManyUnclaimedBytes);
}

#[test]
fn a_final_refusal_is_tried_again_at_each_configuration_too() {
    let instance = Instance::running();
    instance.control_plane.state().refuses_recordings = true;
    let (output, token) = instance.record(&["echo", "kept"]);
    let refused = instance.session_folder(&token).join("refused.json");
    eventually("the refusal is known", || refused.exists().then_some(()));
    eventually("it is told", || (told(&instance)?.0 == 1).then_some(()));
    instance.control_plane.state().refuses_recordings = false;
    instance.control_plane.configure(|_| {});
    assert!(instance.control_plane.sealed(&token).output() == output.stdout);
    instance.spool_is_empty();
}

#[test]
fn a_call_that_comes_too_soon_is_made_again_whichever_it_is() {
    let mut instance = Instance::new();
    instance.enrol();
    instance.control_plane.state().throttled = Some(Default::default());
    instance.start_agent();
    let throttled = |instance: &Instance| instance.control_plane.state().throttled.clone().unwrap();
    eventually("it knows its configuration", || {
        (!instance.control_plane.state().applied_revisions.is_empty()).then_some(())
    });
    let (output, token) = instance.record(&["echo", "kept"]);
    assert!(instance.control_plane.sealed(&token).output() == output.stdout);
    assert!(!instance.session_folder(&token).join("refused.json").exists());
    instance.spool_is_empty();
    let all: Vec<_> = throttled(&instance).into_iter().collect();
    assert_eq!(all, ["configuration", "grants", "link", "recordings", "seal", "segments", "uploads"]);
}
