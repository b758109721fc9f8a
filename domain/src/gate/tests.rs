//! What the gate permits, and what it refuses.

use policies::{DocumentKind, PolicyDocument, PolicySet};

use super::*;
use crate::actions::{
    GetCallerIdentity, GetInstanceRecordConfig, ListAgents, ListAuditEvents, ListInstanceRecords,
    OpenRecording, SetInstanceRecordConfig, SimulatePolicy, SweepRecordings, ValidatePolicy,
    ViewInstanceRecords,
};
use crate::condition_keys::RecordingFacts;
use crate::identity::{UserId, UserName};
use crate::instance_tags::InstanceTags;

fn account() -> AccountId {
    "1609982529000000".parse().unwrap()
}

fn user() -> Principal {
    Principal::User {
        account: account(),
        user_id: UserId::parse("200000000000000001").unwrap(),
        user_name: UserName::parse("ana").unwrap(),
    }
}

fn policies(statements: &str) -> PrincipalPolicies {
    let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).unwrap();
    PrincipalPolicies::new(Layers {
        identity: PolicySet::new(vec![("test".into(), Arc::new(document))]),
        ..Layers::default()
    })
}

fn facts() -> RequestFacts {
    RequestFacts {
        source_address: Some("10.1.2.3".parse().unwrap()),
        secure_transport: false,
        ..RequestFacts::at(Timestamp::from_millis(1_790_000_000_000))
    }
}

fn instance(id: &str) -> Resource {
    Resource::Instance(InstanceFacts::untagged("cn-hangzhou".parse().unwrap(), id.parse().unwrap()))
}

fn all() -> Resource {
    Resource::AllInstances { region: "cn-hangzhou".parse().unwrap() }
}

const ALLOW_ALL: &str = r#"{"Effect":"Allow","Action":"ecs-workbench:*","Resource":"*"}"#;

#[test]
fn the_account_comes_from_the_principal_and_the_statement_is_remembered() {
    let granted =
        authorize::<GetInstanceRecordConfig>(&user(), instance("i-1"), &policies(ALLOW_ALL), &facts())
            .unwrap();
    assert_eq!(granted.account(), &account());
    assert_eq!(granted.instance(), Some(&"i-1".parse().unwrap()));
    assert!(granted.by().ends_with("test#0"), "{}", granted.by());
}

#[test]
fn a_star_does_not_get_around_a_deny_of_one_instance() {
    let deny = r#"{"Effect":"Deny","Action":"*:*InstanceRecord*","Resource":"acs:ecs-workbench:*:*:workbench/i-9*"}"#;
    let policies = policies(&format!("{ALLOW_ALL},{deny}"));
    let set = authorize::<SetInstanceRecordConfig>(&user(), all(), &policies, &facts()).unwrap_err();
    assert!(set.explicit && set.by.unwrap().ends_with("test#1"));
    authorize::<ListInstanceRecords>(&user(), Resource::Everything, &policies, &facts()).unwrap_err();
    authorize::<ListInstanceRecords>(&user(), instance("i-1"), &policies, &facts()).unwrap();
    authorize::<ListInstanceRecords>(&user(), instance("i-90"), &policies, &facts()).unwrap_err();
}

#[test]
fn a_deny_of_one_instance_does_not_affect_calls_about_no_instance() {
    let deny =
        r#"{"Effect":"Deny","Action":"ecs-workbench:*","Resource":"acs:ecs-workbench:*:*:workbench/i-9"}"#;
    let policies = policies(&format!("{ALLOW_ALL},{deny}"));
    authorize::<ValidatePolicy>(&user(), Resource::Everything, &policies, &facts()).unwrap();
    authorize::<SimulatePolicy>(&user(), Resource::Everything, &policies, &facts()).unwrap();
    authorize::<GetCallerIdentity>(&user(), Resource::Everything, &policies, &facts()).unwrap();
    // Calls that change or show all instances are affected.
    authorize::<SetInstanceRecordConfig>(&user(), all(), &policies, &facts()).unwrap_err();
    authorize::<ListAgents>(&user(), Resource::Everything, &policies, &facts()).unwrap_err();
    authorize::<ListAuditEvents>(&user(), Resource::Everything, &policies, &facts()).unwrap_err();
}

#[test]
fn a_deny_elsewhere_does_not_affect_the_star() {
    let deny = r#"{"Effect":"Deny","Action":"*","Resource":"acs:ecs-workbench:*:1000000000000001:workbench/*"},
                  {"Effect":"Deny","Action":"*","Resource":"acs:ecs:*:*:instance/*"},
                  {"Effect":"Deny","Action":"ecs-workbench:View*","Resource":"acs:ecs-workbench:*:*:workbench/*"}"#;
    let policies = policies(&format!("{ALLOW_ALL},{deny}"));
    authorize::<SetInstanceRecordConfig>(&user(), all(), &policies, &facts()).unwrap();
    authorize::<ListInstanceRecords>(&user(), Resource::Everything, &policies, &facts()).unwrap();
}

#[test]
fn an_allow_of_one_instance_does_not_cover_the_star() {
    let policies =
        policies(r#"{"Effect":"Allow","Action":"*","Resource":"acs:ecs-workbench:*:*:workbench/i-1"}"#);
    authorize::<ViewInstanceRecords>(&user(), instance("i-1"), &policies, &facts()).unwrap();
    let denied = authorize::<SetInstanceRecordConfig>(&user(), all(), &policies, &facts()).unwrap_err();
    assert!(!denied.explicit && denied.by.is_none());
    authorize::<ListInstanceRecords>(&user(), Resource::Everything, &policies, &facts()).unwrap_err();
}

fn tagged(id: &str, tag: Option<(&str, &str)>) -> InstanceFacts {
    let tags = tag.map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap()));
    let tags = InstanceTags::of(tags);
    InstanceFacts { region: "cn-hangzhou".parse().unwrap(), instance: id.parse().unwrap(), tags }
}

#[test]
fn tags_belong_to_one_instance_and_a_star_does_not_get_around_them() {
    let set = |resource, statements: &str| {
        authorize::<SetInstanceRecordConfig>(&user(), resource, &policies(statements), &facts()).is_ok()
    };
    let one = |tag| Resource::Instance(tagged("i-1", tag));
    let deny = r#"{"Effect":"Deny","Action":"*","Resource":"*",
        "Condition":{"StringEquals":{"ecs-workbench:InstanceTag/Env":"prod"}}}"#;
    let careful = format!("{ALLOW_ALL},{deny}");
    assert!(!set(one(Some(("env", "prod"))), &careful), "keys compare without case");
    assert!(set(one(Some(("env", "Prod"))), &careful), "values do not");
    assert!(set(one(None), &careful));
    assert!(!set(all(), &careful), "an instance could have the tag");
    // Granted where the tag is not there, as every negated operator is (RAM.md, section 4), but not for all at once.
    let allow = r#"{"Effect":"Allow","Action":"*","Resource":"*",
        "Condition":{"StringNotEquals":{"ecs-workbench:InstanceTag/env":"prod"}}}"#;
    assert!(set(one(None), allow) && set(one(Some(("env", "test"))), allow));
    assert!(!set(one(Some(("env", "prod"))), allow));
    assert!(!set(all(), allow));
    assert!(set(all(), &format!("{allow},{ALLOW_ALL}")));
}

#[test]
fn the_key_and_the_program_of_a_call_are_condition_keys_where_they_are_known() {
    let nobody = facts();
    let facts = RequestFacts {
        access_key: Some("LTAIexample".parse().unwrap()),
        user_agent: Some("java-sdk/2.1".to_owned()),
        ..facts()
    };
    let may = |effect: &str, condition: &str, facts: &RequestFacts| {
        let statement =
            format!(r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{{{condition}}}}}"#);
        let statements = if effect == "Deny" { format!("{ALLOW_ALL},{statement}") } else { statement };
        // A call about all instances asks for the same: it is the call's.
        let one =
            authorize::<SetInstanceRecordConfig>(&user(), instance("i-1"), &policies(&statements), facts);
        let all = authorize::<SetInstanceRecordConfig>(&user(), all(), &policies(&statements), facts);
        assert_eq!(one.is_ok(), all.is_ok(), "{statements}");
        one.is_ok()
    };
    for (condition, holds, holds_of_nobody) in [
        (r#""StringEquals":{"acs:AccessId":"LTAIexample"}"#, true, false),
        (r#""StringEquals":{"acs:accessid":"LTAIanother"}"#, false, false),
        (r#""StringNotEquals":{"acs:AccessId":"LTAIanother"}"#, true, true),
        (r#""StringLike":{"acs:UserAgent":"java-sdk*"}"#, true, false),
        (r#""StringNotLike":{"acs:UserAgent":"java-sdk*"}"#, false, true),
    ] {
        for (facts, holds) in [(&facts, holds), (&nobody, holds_of_nobody)] {
            assert_eq!(may("Allow", condition, facts), holds, "{condition}");
            assert_eq!(may("Deny", condition, facts), !holds, "{condition}");
        }
    }
}

fn recording(owner: Option<&Principal>, age_days: i64) -> RecordingFacts {
    let now = facts().now.as_millis();
    RecordingFacts {
        token: crate::TerminalSessionToken::generate(),
        started_at: Timestamp::from_millis(now - age_days * condition_keys::DAY_MILLIS),
        owner: owner.and_then(condition_keys::SessionOwner::of),
        kind: recording::CaptureKind::Terminal,
    }
}

fn view(found: Option<RecordingFacts>, statements: &str) -> Result<Granted<ViewInstanceRecords>, Denied> {
    let resource = Resource::Recording { of: tagged("i-1", None), found };
    authorize(&user(), resource, &policies(statements), &facts())
}

#[test]
fn a_denied_recording_is_answered_like_one_that_does_not_exist() {
    let other = Principal::Account { account: account() };
    let (own, foreign) = (recording(Some(&user()), 1), recording(Some(&other), 1));
    // Own sessions only: without a recording of one's own, nothing is allowed on the instance.
    let self_only = r#"{"Effect":"Allow","Action":"*","Resource":"*",
        "Condition":{"StringEquals":{"ecs-workbench:SessionOwner":"self"}}}"#;
    assert!(view(Some(own.clone()), self_only).is_ok());
    let absent = view(None, self_only).unwrap_err();
    assert_eq!(absent.told, Told::Denial);
    for denied in [Some(foreign.clone()), Some(recording(None, 1))] {
        assert_eq!(view(denied, self_only).unwrap_err(), absent);
    }
    // Everything but the old: the instance is allowed, so that what is denied is not found.
    let recent = format!(
        r#"{ALLOW_ALL},{{"Effect":"Deny","Action":"*","Resource":"*",
        "Condition":{{"NumericGreaterThanEquals":{{"ecs-workbench:RecordingAge":"30"}}}}}}"#
    );
    assert!(view(Some(recording(None, 29)), &recent).is_ok());
    assert!(view(None, &recent).is_ok(), "and then the store finds nothing");
    let old = view(Some(recording(None, 30)), &recent).unwrap_err();
    assert_eq!(old.told, Told::NoSuchRecording);
    assert!(old.by.unwrap().ends_with("test#1"), "audit has the true reason");
}

#[test]
fn the_audit_trail_has_the_reason_that_the_caller_does_not_learn() {
    let deny_foreign = r#"{"Effect":"Deny","Action":"*","Resource":"*",
        "Condition":{"StringEquals":{"ecs-workbench:CaptureKind":"terminal"}}}"#;
    let absent = view(None, deny_foreign).unwrap_err();
    let found = view(Some(recording(None, 0)), deny_foreign).unwrap_err();
    assert!(!absent.explicit && absent.by.is_none());
    assert!(found.by.as_ref().unwrap().ends_with("test#0"));
    assert_eq!(Denied { by: None, ..found }, absent, "but for that, it is the same");
}

#[test]
fn an_absent_owner_fails_positive_operators_and_fits_negated_ones() {
    let statement = |effect: &str, operator: &str| {
        format!(
            r#"{{"Effect":"{effect}","Action":"*","Resource":"*",
            "Condition":{{"{operator}":{{"ecs-workbench:SessionOwner":"self"}}}}}}"#
        )
    };
    let other = Principal::Account { account: account() };
    let allowed = |statements: &str| {
        [recording(Some(&user()), 0), recording(Some(&other), 0), recording(None, 0)]
            .map(|found| view(Some(found), statements).is_ok())
    };
    assert_eq!(allowed(&statement("Allow", "StringEquals")), [true, false, false]);
    assert_eq!(allowed(&statement("Allow", "StringNotEquals")), [false, true, true]);
    let but = |deny: String| format!("{ALLOW_ALL},{deny}");
    assert_eq!(allowed(&but(statement("Deny", "StringEquals"))), [false, true, true]);
    assert_eq!(allowed(&but(statement("Deny", "StringNotEquals"))), [true, false, false]);
}

#[test]
fn the_context_keys_are_always_set() {
    let condition = r#""Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"},
        "Bool":{"acs:SecureTransport":"false","acs:MFAPresent":"false"},
        "StringEquals":{"acs:PrincipalARN":"acs:ram::1609982529000000:user/ana"},
        "DateGreaterThan":{"acs:CurrentTime":"2026-01-01T00:00:00Z"}}"#;
    let policies = policies(&format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*",{condition}}}"#));
    authorize::<GetInstanceRecordConfig>(&user(), instance("i-1"), &policies, &facts()).unwrap();
    let elsewhere = RequestFacts { source_address: Some("11.1.1.1".parse().unwrap()), ..facts() };
    authorize::<GetInstanceRecordConfig>(&user(), instance("i-1"), &policies, &elsewhere).unwrap_err();
}

#[test]
fn fixed_rules_keep_each_principal_behind_its_own_door() {
    let agent = Principal::Agent {
        account: account(),
        agent: recording::AgentId::generate(),
        instance: "i-1".parse().unwrap(),
    };
    let none = PrincipalPolicies::none();
    authorize::<OpenRecording>(&agent, instance("i-1"), &none, &facts()).unwrap();
    authorize::<OpenRecording>(&agent, instance("i-2"), &none, &facts()).unwrap_err();
    authorize::<SetInstanceRecordConfig>(&agent, instance("i-1"), &none, &facts()).unwrap_err();
    authorize::<SweepRecordings>(&agent, instance("i-1"), &none, &facts()).unwrap_err();
    let system = Principal::System { account: account() };
    authorize::<SweepRecordings>(&system, Resource::Everything, &none, &facts()).unwrap();
    authorize::<ViewInstanceRecords>(&system, instance("i-1"), &none, &facts()).unwrap_err();
    // Not even the owner may use the agents' door.
    authorize::<OpenRecording>(&user(), instance("i-1"), &policies(ALLOW_ALL), &facts()).unwrap_err();
}
