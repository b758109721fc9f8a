//! A change is written to the trail of its own account, and to no other.

use domain::access_key::AccessKeyStatus;
use domain::actions::CheckAgentRecordings;
use domain::gate::{Granted, PrincipalPolicies, Resource, authorize};
use domain::identity::{
    GroupChange, GroupName, KeyOwner, LoginProfile, LoginProfileChange, NewGroup, NewPolicyVersion, NewRole,
    PolicyName, RoleChange, UserChange, UserName,
};
use domain::password::Password;
use domain::principal::Principal;
use domain::recording_continuity::{Absence, MissingRecording};
use domain::role::MaxSessionDuration;
use domain::{AccountId, AgentId};
use persistence::{MissingOfAgent, StoreError};

use test_facts::{World, account, as_operator, at, event, facts, instance, on_both, other_account};

on_both!(
    an_audit_row_of_another_account_refuses_the_change,
    what_is_told_of_a_change_afterwards_is_told_to_its_own_account,
);

const DOCUMENT: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:Get*", "Resource": "*"}]}"#;
const TRUST: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": ["acs:ram::1609982529000000:root"]}}]}"#;

async fn an_audit_row_of_another_account_refuses_the_change(world: World) {
    let (store, operator) = (&world.store, &as_operator(&account()));
    let ours = || event(&account(), "Ours");
    let theirs = || event(&other_account(), "Theirs");
    let (ana, bo) = (&UserName::parse("ana").unwrap(), &UserName::parse("bo").unwrap());
    let (readers, writers) = (&GroupName::parse("readers").unwrap(), &GroupName::parse("writers").unwrap());
    let (used, spare) = (&PolicyName::parse("used").unwrap(), &PolicyName::parse("spare").unwrap());
    let group = |name: &str| NewGroup { name: name.parse().unwrap(), comments: String::new() };
    let role = |name: &str| NewRole {
        name: name.parse().unwrap(),
        description: String::new(),
        trust_policy: TRUST.to_owned(),
        max_session_duration: MaxSessionDuration::DEFAULT,
    };
    let hash = Password::parse("correct horse").unwrap().hash();
    let profile = LoginProfile { password_reset_required: true, mfa_bind_required: false, created_at: at(2) };
    let auditor = &"auditor".parse().unwrap();
    let of_ana = &KeyOwner::User(ana.clone());

    // An entity of each kind exists, so that only the audit row can make a change fail.
    store.create_user(operator, ana, at(1), ours()).await.unwrap();
    store.create_group(operator, group("readers"), at(1), ours()).await.unwrap();
    store.add_user_to_group(operator, ana, readers, at(1), ours()).await.unwrap();
    store.create_role(operator, role("auditor"), at(1), ours()).await.unwrap();
    let (key, _) = store.create_access_key(operator, of_ana, at(1), ours()).await.unwrap();
    store.create_login_profile(operator, ana, hash.clone(), profile.clone(), ours()).await.unwrap();
    store.create_policy(operator, used, "", DOCUMENT, at(1), ours()).await.unwrap();
    let second = store
        .create_policy_version(operator, used, DOCUMENT, NewPolicyVersion::default(), None, at(1), ours())
        .await
        .unwrap()
        .id;
    store.attach_policy(operator, ana, used, at(1), ours()).await.unwrap();
    store.put_control_policy(operator, used, 1, DOCUMENT, None, at(1), ours()).await.unwrap();
    store.create_user(operator, bo, at(1), ours()).await.unwrap();
    store.create_group(operator, group("writers"), at(1), ours()).await.unwrap();
    store.create_policy(operator, spare, "", DOCUMENT, at(1), ours()).await.unwrap();
    let revision = store.configuration_revision(&account()).await.unwrap();

    let cy = &UserName::parse("cy").unwrap();
    let new_policy = &PolicyName::parse("new").unwrap();
    let tags = vec![("env".parse().unwrap(), "prod".parse().unwrap())];
    let how = NewPolicyVersion { as_default: true, rotate: false };
    let off = AccessKeyStatus::Inactive;
    for (what, refused) in [
        ("create_user", store.create_user(operator, cy, at(2), theirs()).await.map(drop)),
        (
            "update_user",
            store.update_user(operator, ana, UserChange::default(), at(2), theirs()).await.map(drop),
        ),
        ("delete_user", store.delete_user(operator, bo, theirs()).await),
        ("purge_user", store.purge_user(operator, ana, theirs()).await),
        ("create_group", store.create_group(operator, group("auditors"), at(2), theirs()).await.map(drop)),
        (
            "update_group",
            store.update_group(operator, readers, GroupChange::default(), at(2), theirs()).await.map(drop),
        ),
        ("delete_group", store.delete_group(operator, writers, theirs()).await),
        ("add_user_to_group", store.add_user_to_group(operator, bo, readers, at(2), theirs()).await),
        ("remove_user_from_group", store.remove_user_from_group(operator, ana, readers, theirs()).await),
        ("create_role", store.create_role(operator, role("other"), at(2), theirs()).await.map(drop)),
        (
            "update_role",
            store.update_role(operator, auditor, RoleChange::default(), at(2), theirs()).await.map(drop),
        ),
        ("delete_role", store.delete_role(operator, auditor, theirs()).await),
        ("create_access_key", store.create_access_key(operator, of_ana, at(2), theirs()).await.map(drop)),
        ("set_access_key_status", store.set_access_key_status(operator, &key, off, theirs()).await),
        ("delete_access_key", store.delete_access_key(operator, &key, theirs()).await),
        (
            "create_login_profile",
            store.create_login_profile(operator, bo, hash.clone(), profile.clone(), theirs()).await,
        ),
        (
            "update_login_profile",
            store.update_login_profile(operator, ana, LoginProfileChange::default(), at(2), theirs()).await,
        ),
        ("delete_login_profile", store.delete_login_profile(operator, ana, theirs()).await),
        (
            "create_policy",
            store.create_policy(operator, new_policy, "", DOCUMENT, at(2), theirs()).await.map(drop),
        ),
        ("put_policy", store.put_policy(operator, used, DOCUMENT, at(2), theirs()).await.map(drop)),
        (
            "create_policy_version",
            store.create_policy_version(operator, used, DOCUMENT, how, None, at(2), theirs()).await.map(drop),
        ),
        (
            "set_default_policy_version",
            store.set_default_policy_version(operator, used, second, None, at(2), theirs()).await,
        ),
        ("delete_policy_version", store.delete_policy_version(operator, used, second, theirs()).await),
        ("delete_policy", store.delete_policy(operator, spare, theirs()).await),
        ("purge_policy", store.purge_policy(operator, spare, theirs()).await),
        ("attach_policy", store.attach_policy(operator, bo, used, at(2), theirs()).await),
        ("detach_policy", store.detach_policy(operator, ana, used, theirs()).await),
        (
            "put_control_policy",
            store.put_control_policy(operator, spare, 1, DOCUMENT, None, at(2), theirs()).await,
        ),
        ("delete_control_policy", store.delete_control_policy(operator, used, theirs()).await),
        (
            "tag_instance",
            store
                .tag_instance(&as_operator(&account()), &instance("web1"), Vec::new(), tags, theirs())
                .await
                .map(drop),
        ),
    ] {
        let outside = matches!(refused, Err(StoreError::OutsideGrant { what: "audit row" }));
        assert!(outside, "{what}: {refused:?}");
    }
    assert_eq!(store.configuration_revision(&account()).await.unwrap(), revision, "nothing was changed");
    assert_eq!(world.count("audit_events", "action = 'Theirs'").await, 0);
}

async fn what_is_told_of_a_change_afterwards_is_told_to_its_own_account(world: World) {
    let principal = Principal::System { account: account() };
    let granted: Granted<CheckAgentRecordings> =
        authorize(&principal, Resource::Everything, &PrincipalPolicies::none(), &facts()).unwrap();
    let missing = || MissingOfAgent {
        agent: AgentId::generate(),
        instance: instance("web1"),
        missing: MissingRecording {
            key: "number 7".to_owned(),
            absence: Absence::NotArrived,
            token: None,
            numbers: Some((7, 7)),
            since: at(1),
            why: "the one after it is there".to_owned(),
        },
    };
    let note = async |account: AccountId| {
        let audit = move |_: &MissingOfAgent, _: bool| event(&account, "CheckAgentRecordings");
        world.store.note_missing_recordings(&granted, vec![missing()], |_| false, at(2), audit).await
    };
    let refused = note(other_account()).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { what: "audit row" })), "{refused:?}");
    assert_eq!(world.count("missing_recordings", "1 = 1").await, 0);
    // A finding whose change was refused is still reported as new.
    assert_eq!(note(account()).await.unwrap().found.len(), 1);
    assert_eq!(world.count("audit_events", "action = 'CheckAgentRecordings'").await, 1);
}
