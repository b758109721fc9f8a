//! Users, access keys and policies.

use domain::access_key::AccessKeyStatus;
use domain::actions::{CreateUser, GetInstanceRecordConfig, GetUser, SetInstanceRecordConfig};
use domain::gate::{IdentityResource, RequestFacts, Resource, authorize};
use domain::identity::{Entity, IdentityRefused, KeyOwner, PolicyName, UserName};
use domain::principal::Principal;
use persistence::{Store, StoreError};

use test_facts::{World, account, as_operator, at, event, on_both, other_account, owner};

on_both!(
    a_user_with_a_key_and_a_policy_may_do_what_the_policy_says,
    keys_are_listed_switched_and_deleted,
    a_deleted_user_is_gone_with_all_that_was_its_own,
    names_that_are_taken_or_unknown_are_said_to_be,
    every_change_is_audited_and_bumps_the_revision,
    another_accounts_people_are_out_of_reach,
    lists_of_everything_need_a_grant_for_everything,
    a_policy_that_was_changed_or_taken_bites_at_the_very_next_call,
);

const READ_ONLY: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:Get*", "Resource": "*"}]}"#;

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn policy(name: &str) -> PolicyName {
    PolicyName::parse(name).unwrap()
}

fn audit() -> domain::audit::AuditEvent {
    event(&account(), "AdministerIdentity")
}

async fn a_user_with_a_key_and_a_policy_may_do_what_the_policy_says(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let made = store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let (id, secret) =
        store.create_access_key(&operator, &KeyOwner::User(user("ana")), at(2), audit()).await.unwrap();
    let key = store.find_access_key(&id).await.unwrap().unwrap();
    assert_eq!(key.secret, secret);
    let expected = Principal::User { account: account(), user_id: made.id, user_name: user("ana") };
    assert_eq!(key.principal, expected);
    let facts = RequestFacts::at(at(0));
    let before = store.policies_of(&key.principal).await.unwrap();
    let region = test_facts::region();
    let all = || Resource::AllInstances { region: region.clone() };
    assert!(authorize::<GetInstanceRecordConfig>(&key.principal, all(), &before, &facts).is_err());
    store.put_policy(&operator, &policy("read-only"), READ_ONLY, at(3), audit()).await.unwrap();
    store.attach_policy(&operator, &user("ana"), &policy("read-only"), at(4), audit()).await.unwrap();
    let with = store.policies_of(&key.principal).await.unwrap();
    assert!(authorize::<GetInstanceRecordConfig>(&key.principal, all(), &with, &facts).is_ok());
    assert!(authorize::<SetInstanceRecordConfig>(&key.principal, all(), &with, &facts).is_err());
    let listed = store.all_policies(&operator).await.unwrap();
    assert_eq!((listed[0].document.as_str(), &listed[0].attached_to), (READ_ONLY, &vec![user("ana")]));
    store.detach_policy(&operator, &user("ana"), &policy("read-only"), audit()).await.unwrap();
    let without = store.policies_of(&key.principal).await.unwrap();
    assert!(authorize::<GetInstanceRecordConfig>(&key.principal, all(), &without, &facts).is_err());
    let owner = Principal::Account { account: account() };
    let owners = store.policies_of(&owner).await.unwrap();
    assert!(authorize::<SetInstanceRecordConfig>(&owner, all(), &owners, &facts).is_ok());
}

async fn keys_are_listed_switched_and_deleted(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let (anas, _) =
        store.create_access_key(&operator, &KeyOwner::User(user("ana")), at(2), audit()).await.unwrap();
    let (roots, _) = store.create_access_key(&operator, &KeyOwner::Root, at(3), audit()).await.unwrap();
    let listed = store.all_access_keys(&operator).await.unwrap();
    let seen: Vec<_> =
        listed.iter().map(|key| (key.id.as_str(), key.owner.clone(), key.created_at)).collect();
    assert_eq!(
        seen,
        [
            ("root-key", KeyOwner::Root, at(0)),
            (anas.as_str(), KeyOwner::User(user("ana")), at(2)),
            (roots.as_str(), KeyOwner::Root, at(3)),
        ]
    );
    store.set_access_key_status(&operator, &anas, AccessKeyStatus::Inactive, audit()).await.unwrap();
    assert_eq!(store.find_access_key(&anas).await.unwrap().unwrap().status, AccessKeyStatus::Inactive);
    store.delete_access_key(&operator, &anas, audit()).await.unwrap();
    assert!(store.find_access_key(&anas).await.unwrap().is_none());
    for refused in [
        store.delete_access_key(&operator, &anas, audit()).await,
        store.set_access_key_status(&operator, &anas, AccessKeyStatus::Active, audit()).await,
    ] {
        assert!(
            matches!(
                refused,
                Err(StoreError::Identity(IdentityRefused::NotExist { entity: Entity::AccessKey, .. }))
            ),
            "{refused:?}"
        );
    }
}

async fn a_deleted_user_is_gone_with_all_that_was_its_own(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let first = store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let (key, _) =
        store.create_access_key(&operator, &KeyOwner::User(user("ana")), at(2), audit()).await.unwrap();
    store.put_policy(&operator, &policy("read-only"), READ_ONLY, at(3), audit()).await.unwrap();
    store.attach_policy(&operator, &user("ana"), &policy("read-only"), at(4), audit()).await.unwrap();
    let attached = store.purge_policy(&operator, &policy("read-only"), audit()).await;
    assert!(
        matches!(
            attached,
            Err(StoreError::Identity(IdentityRefused::DeleteConflict { code: "Policy.User", .. }))
        ),
        "{attached:?}"
    );
    store.purge_user(&operator, &user("ana"), audit()).await.unwrap();
    assert!(store.find_access_key(&key).await.unwrap().is_none());
    assert_eq!(store.all_users(&operator).await.unwrap(), []);
    // A later user of the same name has another id and nothing of the first one's.
    let second = store.create_user(&operator, &user("ana"), at(4), audit()).await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(store.all_policies(&operator).await.unwrap()[0].attached_to, []);
    store.purge_policy(&operator, &policy("read-only"), audit()).await.unwrap();
    assert!(store.all_policies(&operator).await.unwrap().is_empty());
}

async fn names_that_are_taken_or_unknown_are_said_to_be(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let taken = store.create_user(&operator, &user("ana"), at(1), audit()).await;
    assert!(
        matches!(
            taken,
            Err(StoreError::Identity(IdentityRefused::AlreadyExists { entity: Entity::User, .. }))
        ),
        "{taken:?}"
    );
    let not_found = |result: Result<(), StoreError>, wanted: &str| match result {
        Err(StoreError::Identity(IdentityRefused::NotExist { entity, .. })) => {
            assert_eq!(entity.noun(), wanted);
        }
        other => panic!("{wanted}: {other:?}"),
    };
    not_found(store.purge_user(&operator, &user("bo"), audit()).await, "user");
    let key = store.create_access_key(&operator, &KeyOwner::User(user("bo")), at(1), audit()).await;
    not_found(key.map(drop), "user");
    not_found(store.attach_policy(&operator, &user("ana"), &policy("none"), at(4), audit()).await, "policy");
    not_found(store.attach_policy(&operator, &user("bo"), &policy("none"), at(4), audit()).await, "user");
    not_found(
        store.detach_policy(&operator, &user("ana"), &policy("none"), audit()).await,
        "attachment of the policy to the user",
    );
    not_found(store.purge_policy(&operator, &policy("none"), audit()).await, "policy");
    let invalid = store.put_policy(&operator, &policy("bad"), r#"{"Version": "2"}"#, at(1), audit()).await;
    assert!(matches!(invalid, Err(StoreError::InvalidPolicy(_))), "{invalid:?}");
    assert!(store.all_policies(&operator).await.unwrap().is_empty());
}

async fn every_change_is_audited_and_bumps_the_revision(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let before = store.configuration_revision(&account()).await.unwrap();
    store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let (key, _) =
        store.create_access_key(&operator, &KeyOwner::User(user("ana")), at(1), audit()).await.unwrap();
    store.set_access_key_status(&operator, &key, AccessKeyStatus::Inactive, audit()).await.unwrap();
    store.put_policy(&operator, &policy("read-only"), READ_ONLY, at(1), audit()).await.unwrap();
    store.put_policy(&operator, &policy("read-only"), READ_ONLY, at(2), audit()).await.unwrap();
    store.attach_policy(&operator, &user("ana"), &policy("read-only"), at(4), audit()).await.unwrap();
    store.detach_policy(&operator, &user("ana"), &policy("read-only"), audit()).await.unwrap();
    store.purge_policy(&operator, &policy("read-only"), audit()).await.unwrap();
    store.delete_access_key(&operator, &key, audit()).await.unwrap();
    store.purge_user(&operator, &user("ana"), audit()).await.unwrap();
    store.purge_user(&operator, &user("ana"), audit()).await.expect_err("it is gone");
    assert!(store.configuration_revision(&account()).await.unwrap() >= before + 10);
    assert_eq!(world.count("audit_events", "action = 'AdministerIdentity'").await, 10);
}

async fn lists_of_everything_need_a_grant_for_everything(world: World) {
    let store = &world.store;
    let ana = || Resource::Identity(vec![IdentityResource::User("ana".parse().unwrap())]);
    let reads = owner::<GetUser>(&account(), ana());
    let writes = owner::<CreateUser>(&account(), ana());
    let name = PolicyName::parse("guard").unwrap();
    for refused in [
        store.all_users(&reads).await.map(drop),
        store.all_policies(&reads).await.map(drop),
        store.all_access_keys(&reads).await.map(drop),
        store.all_control_policies(&reads).await.map(drop),
        store.put_control_policy(&writes, &name, 0, READ_ONLY, None, at(1), audit()).await,
        store.delete_control_policy(&writes, &name, audit()).await,
    ] {
        assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    }
}

async fn another_accounts_people_are_out_of_reach(world: World) {
    let (store, operator, stranger) = (&world.store, as_operator(&account()), as_operator(&other_account()));
    store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let (key, _) =
        store.create_access_key(&operator, &KeyOwner::User(user("ana")), at(2), audit()).await.unwrap();
    store.put_policy(&operator, &policy("read-only"), READ_ONLY, at(3), audit()).await.unwrap();
    let audit = || event(&other_account(), "AdministerIdentity");
    assert!(store.all_users(&stranger).await.unwrap().is_empty());
    assert!(store.all_policies(&stranger).await.unwrap().is_empty());
    assert_eq!(store.all_access_keys(&stranger).await.unwrap().len(), 1, "its own root's");
    assert!(store.purge_user(&stranger, &user("ana"), audit()).await.is_err());
    assert!(store.delete_access_key(&stranger, &key, audit()).await.is_err());
    assert!(store.purge_policy(&stranger, &policy("read-only"), audit()).await.is_err());
    // The same names may be used there.
    store.create_user(&stranger, &user("ana"), at(1), audit()).await.unwrap();
    let refused = store.attach_policy(&stranger, &user("ana"), &policy("read-only"), at(4), audit()).await;
    assert!(
        matches!(
            refused,
            Err(StoreError::Identity(IdentityRefused::NotExist { entity: Entity::Policy, .. }))
        ),
        "{refused:?}"
    );
}

/// Compiled policies are cached across calls, here and in a replica; they are found by the text in the row.
async fn a_policy_that_was_changed_or_taken_bites_at_the_very_next_call(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let replica = world.replica().await;
    store.create_user(&operator, &user("ana"), at(1), audit()).await.unwrap();
    let (id, _) =
        store.create_access_key(&operator, &KeyOwner::User(user("ana")), at(2), audit()).await.unwrap();
    let ana = store.find_access_key(&id).await.unwrap().unwrap().principal;
    let facts = RequestFacts::at(at(0));
    let may = async |store: &Store| {
        let policies = store.policies_of(&ana).await.unwrap();
        let all = Resource::AllInstances { region: test_facts::region() };
        authorize::<GetInstanceRecordConfig>(&ana, all, &policies, &facts).is_ok()
    };
    let expect = async |expected: bool, when: &str| {
        // Twice, so that the second call finds what the first one cached.
        for round in 0..2 {
            for (place, store) in [("here", store), ("in the replica", &replica)] {
                assert_eq!(may(store).await, expected, "{when}, {place}, round {round}");
            }
        }
    };
    let deny = READ_ONLY.replace("Allow", "Deny");
    expect(false, "without policies").await;
    store.put_policy(&operator, &policy("read"), READ_ONLY, at(3), audit()).await.unwrap();
    store.attach_policy(&operator, &user("ana"), &policy("read"), at(4), audit()).await.unwrap();
    expect(true, "attached").await;
    store.put_policy(&operator, &policy("read"), &deny, at(5), audit()).await.unwrap();
    expect(false, "changed to deny").await;
    store.put_policy(&operator, &policy("read"), READ_ONLY, at(6), audit()).await.unwrap();
    expect(true, "changed back").await;
    // Exactly the text that allows, under another name beside one that denies.
    store.put_policy(&operator, &policy("other"), &deny, at(7), audit()).await.unwrap();
    store.attach_policy(&operator, &user("ana"), &policy("other"), at(8), audit()).await.unwrap();
    expect(false, "denied by another policy").await;
    replica.detach_policy(&operator, &user("ana"), &policy("other"), audit()).await.unwrap();
    expect(true, "the other detached").await;
    replica.detach_policy(&operator, &user("ana"), &policy("read"), audit()).await.unwrap();
    expect(false, "all detached").await;
    store.purge_policy(&operator, &policy("read"), audit()).await.unwrap();
    expect(false, "deleted").await;
}
