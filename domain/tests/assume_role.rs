//! Who may assume a role, who may ask what without a permission, and what a denial keeps.

#![allow(clippy::unwrap_used, reason = "in a test program an unwrap is a check")]

use std::sync::Arc;

use domain::actions::{AssumeRole, DecodeDiagnosticMessage, GetCallerIdentity, GetRole};
use domain::gate::{Denied, IdentityResource, PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::identity::{RoleId, UserId, UserName};
use domain::principal::Principal;
use domain::role::{AssumableRole, MaxSessionDuration, RoleArn};
use domain::{AccountId, Timestamp};
use policies::{DocumentKind, Layers, PolicyDocument, PolicySet, PolicyType};

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

const ALLOW_ALL: &str = r#"{"Effect":"Allow","Action":"ecs-workbench:*","Resource":"*"}"#;

const TRUSTS_THE_ACCOUNT: &str =
    r#"{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":"acs:ram::1609982529000000:root"}}"#;

fn trust(statements: &str) -> PolicySet {
    let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Trust).unwrap();
    PolicySet::new(vec![("auditor".into(), Arc::new(document))])
}

fn role(account: &str) -> Resource {
    Resource::Identity(vec![IdentityResource::AssumableRole(AssumableRole {
        arn: RoleArn::parse(&format!("acs:ram::{account}:role/auditor")).unwrap(),
        id: Some(RoleId::parse("300000000000000001").unwrap()),
        changed_at: Some(Timestamp::from_millis(1_780_000_000_000)),
        max_session_duration: MaxSessionDuration::DEFAULT,
        external_id: None,
        source_identity: None,
    })])
}

fn of_the_account() -> Resource {
    role("1609982529000000")
}

const MAY_ASSUME: &str =
    r#"{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"acs:ram::*:role/auditor"}"#;

#[test]
fn a_role_is_assumed_when_both_sides_allow_it() {
    let both = || policies(MAY_ASSUME).with_trust(trust(TRUSTS_THE_ACCOUNT));
    let granted = authorize::<AssumeRole>(&user(), of_the_account(), &both(), &facts()).unwrap();
    assert!(granted.by().ends_with("test#0"), "{}", granted.by());
    assert_eq!(granted.account(), &account());
    // The caller's side alone, and the role's side alone.
    let nothing = policies(ALLOW_ALL).with_trust(trust(TRUSTS_THE_ACCOUNT));
    let denied = authorize::<AssumeRole>(&user(), of_the_account(), &nothing, &facts()).unwrap_err();
    assert_eq!(denied.policy_type, PolicyType::AccountLevelIdentityBasedPolicy);
    assert_eq!(denied.resource, "acs:ram::1609982529000000:role/auditor");
    let untrusted = policies(MAY_ASSUME).with_trust(PolicySet::default());
    let denied = authorize::<AssumeRole>(&user(), of_the_account(), &untrusted, &facts()).unwrap_err();
    assert_eq!((denied.policy_type, denied.explicit), (PolicyType::AssumeRolePolicy, false));
    // A Deny of either side.
    let deny = TRUSTS_THE_ACCOUNT.replace("Allow", "Deny");
    let refused = policies(MAY_ASSUME).with_trust(trust(&format!("{TRUSTS_THE_ACCOUNT},{deny}")));
    let denied = authorize::<AssumeRole>(&user(), of_the_account(), &refused, &facts()).unwrap_err();
    assert!(denied.explicit && denied.by.as_deref() == Some("AssumeRolePolicy auditor#1"), "{denied:?}");
    assert_eq!(denied.statement.map(|by| by.statement), Some(1));
}

#[test]
fn a_role_of_another_account_is_asked_about_as_that_accounts() {
    let elsewhere = || role("1000000000000001");
    let trusted = policies(MAY_ASSUME).with_trust(trust(TRUSTS_THE_ACCOUNT));
    let granted = authorize::<AssumeRole>(&user(), elsewhere(), &trusted, &facts()).unwrap();
    assert_eq!(granted.resource().arn(granted.account()), "acs:ram::1000000000000001:role/auditor");
    let own_roles = MAY_ASSUME.replace("acs:ram::*", "acs:ram::1609982529000000");
    let trusted = policies(&own_roles).with_trust(trust(TRUSTS_THE_ACCOUNT));
    authorize::<AssumeRole>(&user(), of_the_account(), &trusted, &facts()).unwrap();
    authorize::<AssumeRole>(&user(), elsewhere(), &trusted, &facts()).unwrap_err();
}

#[test]
fn a_caller_who_is_denied_a_role_of_another_account_learns_nothing_about_its_trust() {
    let deny = TRUSTS_THE_ACCOUNT.replace("Allow", "Deny");
    let own_sides = [
        policies(MAY_ASSUME),
        policies(ALLOW_ALL),
        policies(&MAY_ASSUME.replace("Allow", "Deny")),
        PrincipalPolicies::none(),
    ];
    for own in own_sides {
        let ask = |trust| {
            let asked = own.clone().with_trust(trust);
            authorize::<AssumeRole>(&user(), role("1000000000000001"), &asked, &facts()).unwrap_err()
        };
        let absent = ask(PolicySet::default());
        let denying = ask(trust(&format!("{TRUSTS_THE_ACCOUNT},{deny}")));
        let of_somebody_else =
            ask(trust(&TRUSTS_THE_ACCOUNT.replace("1609982529000000", "1000000000000002")));
        for denied in [&denying, &of_somebody_else] {
            let told = Denied { by: absent.by.clone(), ..denied.clone() };
            assert_eq!(told, absent);
        }
        if !absent.explicit {
            // What audit keeps is what decided.
            assert_eq!(denying.by.as_deref(), Some("AssumeRolePolicy auditor#1"));
        }
    }
}

#[test]
fn the_accounts_owner_assumes_no_role() {
    let owner = Principal::Account { account: account() };
    let layers = Layers { owner: true, ..Layers::default() };
    let policies = PrincipalPolicies::new(layers).with_trust(trust(TRUSTS_THE_ACCOUNT));
    for resource in [of_the_account(), role("1000000000000001")] {
        authorize::<AssumeRole>(&owner, resource, &policies, &facts()).unwrap_err();
    }
}

#[test]
fn a_trust_policy_asks_for_what_the_caller_brings() {
    let condition =
        r#""Condition":{"StringEquals":{"sts:ExternalId":"ticket-7","sts:SourceIdentity":"ana"}}"#;
    let statement = TRUSTS_THE_ACCOUNT.replace(r#""Effect""#, &format!(r#"{condition},"Effect""#));
    let policies = || policies(MAY_ASSUME).with_trust(trust(&statement));
    let brings = |external_id: Option<&str>, source_identity: &str| {
        let Resource::Identity(mut things) = of_the_account() else { panic!("made above") };
        let IdentityResource::AssumableRole(role) = &mut things[0] else { panic!("made above") };
        role.external_id = external_id.map(|text| text.parse().unwrap());
        role.source_identity = Some(source_identity.parse().unwrap());
        Resource::Identity(things)
    };
    let ask = |resource| authorize::<AssumeRole>(&user(), resource, &policies(), &facts());
    ask(brings(Some("ticket-7"), "ana")).unwrap();
    ask(brings(Some("ticket-7"), "bo")).unwrap_err();
    let denied = ask(brings(Some("ticket-8"), "ana")).unwrap_err();
    let key =
        |name: &str| denied.context.iter().find(|(key, _)| key == name).map(|(_, values)| values.clone());
    assert_eq!(key("sts:ExternalId"), Some(vec!["ticket-8".to_owned()]));
    assert_eq!(key("sts:SourceIdentity"), Some(vec!["ana".to_owned()]));
    assert_eq!(key("acs:SourceIp"), Some(vec!["10.1.2.3".to_owned()]));
    assert_eq!(key("acs:PrincipalARN"), Some(vec!["acs:ram::1609982529000000:user/ana".to_owned()]));
    let denied = ask(brings(None, "ana")).unwrap_err();
    assert!(denied.context.iter().all(|(key, _)| key != "sts:ExternalId"));
}

#[test]
fn every_authenticated_caller_may_ask_who_it_is() {
    let deny = policies(r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#);
    let granted = authorize::<GetCallerIdentity>(&user(), Resource::Everything, &deny, &facts()).unwrap();
    assert_eq!(granted.by(), "rule:needs-no-permission");
    let denied = authorize::<DecodeDiagnosticMessage>(&user(), Resource::Everything, &deny, &facts());
    assert!(denied.unwrap_err().explicit);
    // Who comes in by another door does not sign.
    let system = Principal::System { account: account() };
    authorize::<GetCallerIdentity>(&system, Resource::Everything, &PrincipalPolicies::none(), &facts())
        .unwrap_err();
}

#[test]
fn a_deny_of_an_instance_says_nothing_about_other_products() {
    let allow = r#"{"Effect":"Allow","Action":"ram:*","Resource":"*"}"#;
    let deny = r#"{"Effect":"Deny","Action":"*","Resource":"acs:ecs-workbench:*:*:workbench/i-9"}"#;
    let policies = policies(&format!("{allow},{deny}"));
    authorize::<DecodeDiagnosticMessage>(&user(), Resource::Everything, &policies, &facts()).unwrap();
    let role = Resource::Identity(vec![IdentityResource::Role("auditor".parse().unwrap())]);
    authorize::<GetRole>(&user(), role, &policies, &facts()).unwrap();
}
