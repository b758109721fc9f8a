use openapi::ram::{AuthCondition, AuthPrincipal};
use reqwest::header::HeaderValue;
use serde_json::json;

use super::*;

fn refused(status: StatusCode, headers: &[(&'static str, &'static str)], body: &Value) -> Refusal {
    let headers = headers.iter().map(|(name, value)| {
        (reqwest::header::HeaderName::from_static(name), HeaderValue::from_static(value))
    });
    Refusal::read("ListAgents", status, &headers.collect(), body.to_string().as_bytes())
}

fn denied(no_permission_type: &str) -> Refusal {
    let body = json!({
        "Code": "Forbidden.RAM", "Message": "No.", "RequestId": "R-2",
        "AccessDeniedDetail": {
            "AuthAction": "ecs-workbench:ListAgents", "AuthPrincipalType": "SubUser", "AuthPrincipalOwnerId": "1",
            "AuthPrincipalDisplayName": "20\u{1b}[2J", "PolicyType": "AccountLevelIdentityBasedPolicy",
            "NoPermissionType": no_permission_type, "EncodedDiagnosticMessage": "AQBx+/=",
        },
    });
    Refusal { address: Some("127.0.0.1".parse().unwrap()), ..refused(StatusCode::FORBIDDEN, &[], &body) }
}

fn decoded() -> DecodedDiagnosticMessage {
    let condition = |key: &str, value: &str| AuthCondition {
        condition_key: key.to_owned(),
        condition_values: vec![value.to_owned()],
    };
    DecodedDiagnosticMessage {
        explicit_deny: false,
        no_permission_policy_type: "AccountLevelIdentityBasedPolicy".to_owned(),
        auth_action: "ecs-workbench:ListAgents".to_owned(),
        auth_resource: "acs:ecs-workbench:cn-hangzhou:1:workbench/*".to_owned(),
        auth_principal: AuthPrincipal {
            auth_principal_type: "SubUser".to_owned(),
            auth_principal_owner_id: "1".to_owned(),
            auth_principal_display_name: "20".to_owned(),
        },
        auth_conditions: vec![condition("acs:SourceIp", "192.0.2.7")],
        matched_policies: Vec::new(),
        unmet_conditions: vec![UnmetCondition {
            policy_identifier: "auditors".to_owned(),
            statement: 0,
            operator: "IpAddress".to_owned(),
            condition_key: "acs:SourceIp".to_owned(),
            wanted_values: vec!["10.0.0.0/8".to_owned(), "10.9.9.9".to_owned()],
        }],
    }
}

#[test]
fn refusals_name_code_message_and_request() {
    let body = json!({"Code": "Forbidden.RAM", "Message": "You may not.\u{1b}[2J", "RequestId": "R-1"});
    let failure = refused(StatusCode::FORBIDDEN, &[], &body).failure(&[], None);
    assert_eq!(
        failure.message(),
        "ListAgents: Forbidden.RAM: You may not.\\u{1b}[2J (HTTP 403, RequestId R-1)"
    );
    let failure = refused(StatusCode::BAD_GATEWAY, &[], &json!("<html>")).failure(&[], None);
    assert!(
        failure.message().contains("HTTP 502 Bad Gateway and does not come from a Hansard server"),
        "{failure}"
    );
}

#[test]
fn a_denial_names_action_resource_and_address_and_gives_a_line_for_an_administrator() {
    let parameters = [("InstanceId", "i-web1"), ("Password", "hunter2"), ("UserName", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let failure = denied("ImplicitDeny").failure(&parameters, None);
    assert_eq!(
        failure.message(),
        "ListAgents: Forbidden.RAM: No. [nothing allows ecs-workbench:ListAgents on InstanceId=i-web1 for SubUser \
         20\\u{1b}[2J; your address is 127.0.0.1] (HTTP 403, RequestId R-2)"
    );
    assert_eq!(
        failure.hint(),
        Some(
            "an administrator sees why with: hansard call DecodeDiagnosticMessage EncodedDiagnosticMessage=AQBx+/="
        )
    );
    let failure = denied("ExplicitDeny").failure(&[], None);
    assert!(failure.message().contains("[a policy denies ecs-workbench:ListAgents for SubUser"), "{failure}");
}

#[test]
fn whoever_may_decode_a_denial_reads_what_was_wanted() {
    let failure = denied("ImplicitDeny").failure(&[], Some(&decoded()));
    let expected = "nothing allows ecs-workbench:ListAgents on acs:ecs-workbench:cn-hangzhou:1:workbench/* for SubUser \
                    20\\u{1b}[2J; your address is 192.0.2.7; the policy auditors, statement 0 (counted from 0), would \
                    allow it, and wants acs:SourceIp IpAddress 10.0.0.0/8, 10.9.9.9: the call has 192.0.2.7]";
    assert!(failure.message().contains(expected), "{failure}");
    assert_eq!(failure.hint(), None);
}

#[test]
fn a_wrong_secret_is_said_first() {
    let body = json!({"Code": "SignatureDoesNotMatch", "Message": "It does not match.", "RequestId": "R"});
    let failure = refused(StatusCode::BAD_REQUEST, &[], &body).failure(&[], None);
    assert!(
        failure.message().starts_with("ALIBABA_CLOUD_ACCESS_KEY_SECRET is not the secret of this access key"),
        "{failure}"
    );
    assert!(failure.message().contains("SignatureDoesNotMatch: It does not match."), "{failure}");
}

#[test]
fn a_throttled_call_says_when_to_try_again() {
    let body = json!({"Code": "Throttling.User", "Message": "Too often.", "RequestId": "R"});
    for (headers, expected) in [
        (
            &[("x-acs-retry-after", "1200"), ("retry-after", "9")][..],
            "Too often. Try again in 2 s. (HTTP 429",
        ),
        (&[("x-acs-retry-after", "250")], "Too often. Try again in 250 ms. (HTTP 429"),
        (&[("retry-after", "9")], "Too often. Try again in 9 s. (HTTP 429"),
        (&[("x-acs-retry-after", "soon")], "Too often. (HTTP 429"),
    ] {
        let failure = refused(StatusCode::TOO_MANY_REQUESTS, headers, &body).failure(&[], None);
        assert!(failure.message().contains(expected), "{failure}");
    }
}

#[test]
fn the_own_address_towards_this_machine_is_the_loopback() {
    assert_eq!(own_address("127.0.0.1:9".parse().unwrap()), Some("127.0.0.1".parse().unwrap()));
}
