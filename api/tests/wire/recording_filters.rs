//! The filters of ListInstanceRecords.

use domain::condition_keys::SessionOwner;
use domain::recording_life::SessionEnd;
use serde_json::json;

use crate::service::{ACCOUNT, Service};

/// The tokens of a list. Checks that the total count agrees.
fn listed(service: &Service, parameters: &[(&str, &str)]) -> Vec<String> {
    let body = service.call("ListInstanceRecords", parameters).done();
    let items = body["Root"]["RecordList"].as_array().unwrap();
    assert_eq!(body["Root"]["TotalCount"], json!(items.len()), "{parameters:?}");
    assert_eq!(body["Root"].get("TotalCountIsLowerBound"), None);
    items.iter().map(|item| item["TerminalSessionToken"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_parameter_narrows_the_list() {
    let service = Service::start();
    let (one, two) = (service.agent("i-one"), service.agent("i-two"));
    let arn = format!("acs:ram::{ACCOUNT}:user/ana");
    let owner = Some(SessionOwner { arn: arn.clone(), id: "user/200000000000000001".to_owned() });
    // The time is 03:04:05. For each recording, the agent claims that its user is "somebody".
    let running = service.owned_recording(&one, 10_000, owner).to_string();
    let failed = service.recording(&two, 30_000);
    service.seal(&two, &failed, 0, SessionEnd::Exited);
    let interrupted = service.recording(&two, 45_000);
    service.segment(&two, &interrupted);
    service.seal(&two, &interrupted, 1, SessionEnd::Interrupted { reason: "the agent died".to_owned() });
    let finished = service.recording(&one, 60_000);
    service.segment(&one, &finished);
    service.seal(&one, &finished, 1, SessionEnd::Exited);
    let (failed, interrupted, finished) = (failed.to_string(), interrupted.to_string(), finished.to_string());

    for (parameters, expected) in [
        (&[("StartedAfter", "2026-01-02T03:03:35Z")][..], vec![&running, &failed]),
        (&[("StartedAfter", "2026-01-02T03:03:35.001Z")], vec![&running]),
        (&[("StartedBefore", "2026-01-02T03:03:35Z")], vec![&interrupted, &finished]),
        (&[("StartedBefore", "2026-01-02T03:03:35.5Z")], vec![&failed, &interrupted, &finished]),
        (
            &[("StartedAfter", "2026-01-02T03:03:20Z"), ("StartedBefore", "2026-01-02T03:03:55Z")],
            vec![&failed, &interrupted],
        ),
        (&[("Status", "running")], vec![&running]),
        (&[("Status", "failed")], vec![&failed]),
        (&[("Status", "interrupted")], vec![&interrupted]),
        (&[("Status", "finished")], vec![&finished]),
        (&[("UserName", "ana")], vec![&running]),
        (&[("UserName", "somebody")], vec![&running, &failed, &interrupted, &finished]),
        (&[("UserName", "some")], vec![]),
        (&[("UserName", "some%")], vec![]),
        (&[("TokenPrefix", &finished[..9])], vec![&finished]),
        (&[("TokenPrefix", &finished)], vec![&finished]),
        (&[("UserName", "somebody"), ("InstanceId", "i-two"), ("Status", "failed")], vec![&failed]),
        // An empty filter counts as not given.
        (
            &[("UserName", ""), ("Status", ""), ("StartedAfter", ""), ("TokenPrefix", "")],
            vec![&running, &failed, &interrupted, &finished],
        ),
    ] {
        let expected: Vec<String> = expected.into_iter().cloned().collect();
        assert_eq!(listed(&service, parameters), expected, "{parameters:?}");
    }

    let body = service.call("ListInstanceRecords", &[("UserName", "ana")]).done();
    let item = &body["Root"]["RecordList"][0];
    assert_eq!((&item["SessionOwner"], &item["ClaimedUser"]), (&json!(arn), &json!("somebody")));
    let body = service.call("ListInstanceRecords", &[("Status", "failed")]).done();
    assert_eq!(body["Root"]["RecordList"][0].get("SessionOwner"), None, "nothing proves it");

    // The token of the next page is valid for the same filters only.
    let first = service.call("ListInstanceRecords", &[("UserName", "somebody"), ("PageSize", "3")]).done();
    assert_eq!(first["Root"]["TotalCount"], 4);
    let token = first["NextToken"].as_str().unwrap();
    let next = [("UserName", "somebody"), ("PageSize", "3"), ("NextToken", token)];
    let second = service.call("ListInstanceRecords", &next).done();
    assert_eq!(second["Root"]["RecordList"][0]["TerminalSessionToken"], json!(finished));
    for parameters in [&[("NextToken", token)][..], &[("UserName", "ana"), ("NextToken", token)]] {
        let refused = service.call("ListInstanceRecords", parameters).refusal();
        assert_eq!(refused, (400, "InvalidNextToken".to_owned()), "{parameters:?}");
    }
    let second = [("UserName", "somebody"), ("PageSize", "3"), ("PageNumber", "2")];
    let second = service.call("ListInstanceRecords", &second).done();
    assert_eq!(second["Root"]["RecordList"][0]["TerminalSessionToken"], json!(finished));
}

#[test]
fn a_bad_parameter_is_named() {
    let service = Service::start();
    for (parameters, code) in [
        (&[("StartedAfter", "yesterday")][..], "InvalidStartedAfter"),
        (&[("StartedAfter", "2026-01-02T03:03:35+01:00")], "InvalidStartedAfter"),
        (&[("StartedBefore", "2026-02-30T03:03:35Z")], "InvalidStartedBefore"),
        (
            &[("StartedAfter", "2026-01-02T03:03:35Z"), ("StartedBefore", "2026-01-02T03:03:35Z")],
            "InvalidStartedBefore",
        ),
        (&[("Status", "Running")], "InvalidStatus"),
        (&[("Status", "open")], "InvalidStatus"),
        (&[("UserName", &"a".repeat(129))], "InvalidUserName"),
        (&[("TokenPrefix", "5f0")], "InvalidTokenPrefix"),
        (&[("TokenPrefix", "5F0C")], "InvalidTokenPrefix"),
        (&[("TokenPrefix", "5f0%")], "InvalidTokenPrefix"),
        (&[("TokenPrefix", &"a".repeat(33))], "InvalidTokenPrefix"),
    ] {
        let refused = service.call("ListInstanceRecords", parameters).refusal();
        assert_eq!(refused, (400, code.to_owned()), "{parameters:?}");
    }
}
