//! Policies and their versions, and concurrent changes of the same policy.

use domain::actions::{CreatePolicyVersion, GetInstanceRecordConfig, ListPolicies};
use domain::gate::{IdentityResource, RequestFacts, Resource, authorize};
use domain::identity::{
    AccessKeyId, AttachmentTarget, GroupId, GroupName, IdentityRefused, NewPolicyVersion, PolicyKind,
    PolicyName, PolicyRef, RoleId, RoleName, RoleSessionName, UserName,
};
use domain::policy_bearer::PolicyBearer;
use domain::policy_version::PolicyVersionId;
use domain::principal::Principal;
use domain::role::SecurityToken;
use persistence::{MarkerRequest, Store, StoreError};
use policies::PolicyType;

use test_facts::{World, account, as_operator, at, event, on_both, other_account, owner};

on_both!(
    a_policy_has_at_most_five_versions_and_never_the_same_number_twice,
    a_policy_that_somebody_has_is_not_deleted,
    policies_are_listed_in_pages_those_of_the_system_first,
    an_account_has_at_most_fifteen_hundred_policies,
    of_two_that_put_a_policy_at_once_one_is_told,
    a_version_that_decides_is_never_deleted_by_a_race,
    a_race_for_the_last_version_has_one_winner,
    a_policy_is_not_deleted_from_under_somebody_who_just_got_it,
    a_control_policy_bounds_users_and_roles_and_not_the_owner,
    a_grant_of_one_policy_reaches_no_other,
);

pub(crate) const READ: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:Get*", "Resource": "*"}]}"#;
const DENY: &str =
    r#"{"Version": "1", "Statement": [{"Effect": "Deny", "Action": "ecs-workbench:Get*", "Resource": "*"}]}"#;

pub(crate) fn policy(name: &str) -> PolicyName {
    PolicyName::parse(name).unwrap()
}

pub(crate) fn custom(name: &str) -> PolicyRef {
    (&policy(name)).into()
}

pub(crate) fn system(name: &str) -> PolicyRef {
    PolicyRef { kind: PolicyKind::System, name: policy(name) }
}

fn version(text: &str) -> PolicyVersionId {
    text.parse().unwrap()
}

pub(crate) fn audit() -> domain::audit::AuditEvent {
    event(&account(), "AdministerIdentity")
}

const GROUP: &str = "400000000000000001";
pub(crate) const ROLE: &str = "300000000000000001";

/// A user `ana` with a key, a group `crew` that she is in, a role `deploy`.
pub(crate) async fn people(world: &World) -> [PolicyBearer; 3] {
    let (store, operator) = (&world.store, as_operator(&account()));
    let ana = UserName::parse("ana").unwrap();
    let user = store.create_user(&operator, &ana, at(1), audit()).await.unwrap();
    let account = account();
    for statement in [
        format!(
            "INSERT INTO groups (group_id, account_id, name, comments, created_at, changed_at) VALUES ('{GROUP}', '{account}', 'crew', 'all hands', 0, 0)"
        ),
        format!(
            "INSERT INTO group_members (account_id, group_id, user_id, joined_at) VALUES ('{account}', '{GROUP}', '{}', 0)",
            user.id
        ),
        format!(
            "INSERT INTO roles (role_id, account_id, name, description, trust_policy, max_session_seconds, created_at, changed_at) VALUES ('{ROLE}', '{account}', 'deploy', 'rolls out', '{{}}', 3600, 0, 0)"
        ),
    ] {
        world.database.execute(&statement).await;
    }
    [
        PolicyBearer::User(ana),
        PolicyBearer::Group(GroupName::parse("crew").unwrap()),
        PolicyBearer::Role(RoleName::parse("deploy").unwrap()),
    ]
}

pub(crate) fn refused(result: Result<impl std::fmt::Debug, StoreError>) -> IdentityRefused {
    match result {
        Err(StoreError::Identity(refused)) => refused,
        other => panic!("not refused by a rule of the identity store: {other:?}"),
    }
}

/// The part of an error that becomes the first part of the code in the API.
pub(crate) fn code(result: Result<impl std::fmt::Debug, StoreError>) -> &'static str {
    match refused(result) {
        IdentityRefused::NotExist { entity, .. } | IdentityRefused::AlreadyExists { entity, .. } => {
            entity.code()
        }
        IdentityRefused::NoSystemPolicy { .. } => "Policy",
        IdentityRefused::LimitExceeded { code, .. } | IdentityRefused::DeleteConflict { code, .. } => code,
    }
}

async fn standing(store: &Store, name: &str) -> Vec<String> {
    let versions = store.versions_of_policy(&as_operator(&account()), &custom(name)).await.unwrap();
    let shown = |version: domain::identity::PolicyVersion| {
        format!("{}{}", version.id, if version.is_default { "*" } else { "" })
    };
    versions.into_iter().map(shown).collect()
}

async fn add(
    store: &Store,
    name: &str,
    as_default: bool,
    rotate: bool,
) -> Result<PolicyVersionId, StoreError> {
    let (operator, how) = (as_operator(&account()), NewPolicyVersion { as_default, rotate });
    let made = store.create_policy_version(&operator, &policy(name), DENY, how, None, at(9), audit()).await;
    made.map(|version| version.id)
}

async fn a_policy_has_at_most_five_versions_and_never_the_same_number_twice(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let made = store.create_policy(&operator, &policy("p"), "what for", READ, at(5), audit()).await.unwrap();
    assert_eq!((made.default_version, made.attachment_count), (PolicyVersionId::FIRST, 0));
    assert_eq!(code(store.create_policy(&operator, &policy("p"), "", READ, at(5), audit()).await), "Policy");
    for number in 2..=5 {
        assert_eq!(add(store, "p", false, false).await.unwrap(), PolicyVersionId::new(number).unwrap());
    }
    assert_eq!(standing(store, "p").await, ["v1*", "v2", "v3", "v4", "v5"]);
    assert_eq!(code(add(store, "p", true, false).await), "Policy.Version");
    assert_eq!(add(store, "p", false, true).await.unwrap(), version("v6"));
    assert_eq!(standing(store, "p").await, ["v1*", "v3", "v4", "v5", "v6"]);
    assert_eq!(add(store, "p", true, true).await.unwrap(), version("v7"));
    assert_eq!(standing(store, "p").await, ["v1", "v4", "v5", "v6", "v7*"]);
    let delete = async |id| store.delete_policy_version(&operator, &policy("p"), version(id), audit()).await;
    assert_eq!(code(delete("v7").await), "Policy.Version.Default");
    assert_eq!(code(delete("v3").await), "Policy.Version");
    store
        .set_default_policy_version(&operator, &policy("p"), version("v4"), None, at(11), audit())
        .await
        .unwrap();
    delete("v7").await.unwrap();
    delete("v6").await.unwrap();
    assert_eq!(add(store, "p", false, false).await.unwrap(), version("v8"), "no number is used twice");
    let (p, v7) = (policy("p"), version("v7"));
    let gone = store.set_default_policy_version(&operator, &p, v7, None, at(9), audit()).await;
    assert_eq!(code(gone), "Policy.Version");
    let (summary, deciding) = store.get_policy(&operator, &custom("p")).await.unwrap();
    assert_eq!(
        (summary.default_version, deciding.id, deciding.is_default),
        (version("v4"), version("v4"), true)
    );
    assert_eq!((summary.created_at, summary.changed_at), (at(5), at(9)), "a new version changes the policy");
    assert_eq!((summary.description.as_str(), deciding.document.as_str()), ("what for", DENY));
    assert_eq!(
        code(store.get_policy_version(&operator, &custom("p"), version("v9")).await),
        "Policy.Version"
    );
    let first = store.get_policy_version(&operator, &custom("p"), version("v1")).await.unwrap();
    assert_eq!((first.document.as_str(), first.created_at), (READ, at(5)));
    let of_system = store.versions_of_policy(&operator, &system("AdministratorAccess")).await.unwrap();
    assert_eq!((of_system.len(), of_system[0].id), (1, PolicyVersionId::FIRST));
    assert_eq!(code(store.get_policy(&operator, &system("p")).await), "Policy");
    let invalid =
        store.create_policy(&operator, &policy("q"), "", r#"{"Version": "1"}"#, at(1), audit()).await;
    assert!(matches!(invalid, Err(StoreError::InvalidPolicy(_))), "{invalid:?}");
    // The name of a system policy is taken, however the policy would be made.
    let taken = policy("AdministratorAccess");
    let made = store.create_policy(&operator, &taken, "", READ, at(9), audit()).await;
    let put = store.put_policy(&operator, &taken, READ, at(9), audit()).await;
    for refused in [refused(made), refused(put)] {
        assert!(matches!(refused, IdentityRefused::AlreadyExists { .. }), "{refused:?}");
    }
    assert_eq!(world.count("policies", "name = 'AdministratorAccess'").await, 0);
}

async fn a_policy_that_somebody_has_is_not_deleted(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    store.create_policy(&operator, &policy("p"), "", READ, at(1), audit()).await.unwrap();
    for (bearer, expected) in people(&world).await.iter().zip(["Policy.User", "Policy.Group", "Policy.Role"])
    {
        store.attach_policy(&operator, bearer, &policy("p"), at(2), audit()).await.unwrap();
        let conflict = store.purge_policy(&operator, &policy("p"), audit()).await;
        let said = refused(conflict).to_string();
        assert!(said.contains(bearer.name()), "{said}");
        assert_eq!(code(store.delete_policy(&operator, &policy("p"), audit()).await), expected);
        store.detach_policy(&operator, bearer, &policy("p"), audit()).await.unwrap();
    }
    add(store, "p", true, false).await.unwrap();
    assert_eq!(code(store.delete_policy(&operator, &policy("p"), audit()).await), "Policy.Version");
    assert_eq!(standing(store, "p").await, ["v1", "v2*"]);
    store.purge_policy(&operator, &policy("p"), audit()).await.unwrap();
    assert_eq!(code(store.get_policy(&operator, &custom("p")).await), "Policy");
    assert_eq!(world.count("policy_versions", "policy_name = 'p'").await, 0);
    // The name may be used again, and its versions start over.
    store.create_policy(&operator, &policy("p"), "", READ, at(1), audit()).await.unwrap();
    store.delete_policy(&operator, &policy("p"), audit()).await.unwrap();
    assert_eq!(code(store.delete_policy(&operator, &policy("p"), audit()).await), "Policy");
}

async fn policies_are_listed_in_pages_those_of_the_system_first(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    for name in ["b", "a", "Administrator"] {
        store.create_policy(&operator, &policy(name), name, READ, at(1), audit()).await.unwrap();
    }
    let [ana, ..] = people(&world).await;
    store.attach_policy(&operator, &ana, &policy("a"), at(2), audit()).await.unwrap();
    let of_system = domain::system_policies::ALL.len();
    for kind in [None, Some(PolicyKind::System), Some(PolicyKind::Custom)] {
        let mut whole = None;
        for size in [1000, 1, 2, 3] {
            let mut asked = MarkerRequest { marker: None, max_items: size };
            let mut seen = Vec::new();
            loop {
                let page = store.list_policies(&operator, kind, &asked).await.unwrap();
                assert!(page.items.len() <= size as usize && !page.items.is_empty());
                seen.extend(page.items);
                asked.marker = page.marker;
                if asked.marker.is_none() {
                    break;
                }
                let other = if kind.is_none() { Some(PolicyKind::Custom) } else { None };
                let misled = store.list_policies(&operator, other, &asked).await;
                assert!(matches!(misled, Err(StoreError::InvalidMarker)), "{misled:?}");
            }
            assert_eq!(*whole.get_or_insert_with(|| seen.clone()), seen, "the same in pages of {size}");
        }
        let whole = whole.unwrap();
        let systems = whole.iter().filter(|policy| policy.policy.kind == PolicyKind::System).count();
        assert_eq!(systems, if kind == Some(PolicyKind::Custom) { 0 } else { of_system });
        assert!(whole[..systems].iter().all(|policy| policy.policy.kind == PolicyKind::System));
        assert_eq!(whole.len() - systems, if kind == Some(PolicyKind::System) { 0 } else { 3 });
        let count = |name| {
            let found = whole.iter().find(|policy| policy.policy == custom(name));
            found.map(|policy| policy.attachment_count)
        };
        if kind != Some(PolicyKind::System) {
            assert_eq!((count("a"), count("b"), count("Administrator")), (Some(1), Some(0), Some(0)));
        }
    }
}

async fn an_account_has_at_most_fifteen_hundred_policies(world: World) {
    let (store, operator, account) = (&world.store, as_operator(&account()), account());
    let rows: Vec<_> = (0..1499).map(|number| format!("('{account}', 'p{number}', 0, 0)")).collect();
    let rows = rows.join(", ");
    world
        .database
        .execute(&format!("INSERT INTO policies (account_id, name, created_at, changed_at) VALUES {rows}"))
        .await;
    // Ten at once, on two replicas, where there is room for one.
    let other = world.replica().await;
    let mut running = Vec::new();
    for number in 0..10 {
        let (store, operator) =
            (if number % 2 == 0 { store.clone() } else { other.clone() }, operator.clone());
        let name = policy(&format!("new{number}"));
        running.push(tokio::spawn(async move {
            store.create_policy(&operator, &name, "", READ, at(1), audit()).await
        }));
    }
    let mut made = 0;
    for outcome in running {
        match outcome.await.unwrap() {
            Ok(_) => made += 1,
            full => assert_eq!(code(full), "Policy"),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(world.count("policies", "created_at >= 0").await, 1500);
    let full = store.put_policy(&operator, &policy("one-more"), READ, at(1), audit()).await;
    assert!(matches!(refused(full), IdentityRefused::LimitExceeded { code: "Policy", limit: 1500, .. }));
    let stranger = as_operator(&other_account());
    let audit = event(&other_account(), "AdministerIdentity");
    store.create_policy(&stranger, &policy("one-more"), "", READ, at(1), audit).await.unwrap();
}

async fn of_two_that_put_a_policy_at_once_one_is_told(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let other = world.replica().await;
    let name = policy("p");
    let mut seen = store.find_default_policy_version(&operator, &name).await.unwrap();
    assert_eq!(seen, None);
    for round in 0..5 {
        let put = |store: Store, document: &'static str| {
            let (operator, name) = (operator.clone(), name.clone());
            tokio::spawn(async move {
                store.put_policy_over(&operator, &name, document, seen, at(2), audit()).await
            })
        };
        let outcomes = [put(store.clone(), READ), put(other.clone(), DENY)];
        let mut won = Vec::new();
        for (outcome, document) in outcomes.into_iter().zip([READ, DENY]) {
            match outcome.await.unwrap() {
                Ok(id) => won.push((id, document)),
                Err(StoreError::Conflict { what: "policy", .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        let [(id, document)] = won[..] else { panic!("round {round}: {won:?}") };
        let (_, deciding) = store.get_policy(&operator, &custom("p")).await.unwrap();
        assert_eq!((deciding.id, deciding.document.as_str()), (id, document), "the winner's is what decides");
        seen = Some(id);
    }
    // The same for callers that name a version.
    let stale = Some(PolicyVersionId::FIRST);
    let how = NewPolicyVersion { as_default: true, rotate: true };
    let refused = store.create_policy_version(&operator, &name, READ, how, stale, at(3), audit()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    let oldest = store.versions_of_policy(&operator, &custom("p")).await.unwrap()[0].id;
    let refused = store.set_default_policy_version(&operator, &name, oldest, stale, at(3), audit()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    store.set_default_policy_version(&operator, &name, oldest, seen, at(3), audit()).await.unwrap();
    store.purge_policy(&operator, &name, audit()).await.unwrap();
    let refused = store.put_policy_over(&operator, &name, READ, seen, at(4), audit()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    store.put_policy(&operator, &name, READ, at(4), audit()).await.unwrap();
}

async fn a_version_that_decides_is_never_deleted_by_a_race(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let other = world.replica().await;
    let name = policy("p");
    store.create_policy(&operator, &name, "", READ, at(1), audit()).await.unwrap();
    for _ in 0..5 {
        let deciding = store.find_default_policy_version(&operator, &name).await.unwrap();
        let id = add(store, "p", false, true).await.unwrap();
        let (a, b, n) = (operator.clone(), operator.clone(), name.clone());
        let set = tokio::spawn({
            let store = store.clone();
            async move { store.set_default_policy_version(&a, &n, id, deciding, at(2), audit()).await }
        });
        let (other, n) = (other.clone(), name.clone());
        let delete = tokio::spawn(async move { other.delete_policy_version(&b, &n, id, audit()).await });
        let (set, delete) = (set.await.unwrap(), delete.await.unwrap());
        match (set, delete) {
            (Ok(()), deleted) => assert_eq!(code(deleted), "Policy.Version.Default"),
            (set, Ok(())) => assert_eq!(code(set), "Policy.Version"),
            neither => panic!("{neither:?}"),
        }
        store.get_policy(&operator, &custom("p")).await.unwrap();
    }
}

async fn a_race_for_the_last_version_has_one_winner(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let other = world.replica().await;
    store.create_policy(&operator, &policy("p"), "", READ, at(1), audit()).await.unwrap();
    for _ in 2..=4 {
        add(store, "p", false, false).await.unwrap();
    }
    let mut running = Vec::new();
    for number in 0..6 {
        let store = if number % 2 == 0 { store.clone() } else { other.clone() };
        running.push(tokio::spawn(async move { add(&store, "p", false, false).await }));
    }
    let mut made = Vec::new();
    for outcome in running {
        match outcome.await.unwrap() {
            Ok(id) => made.push(id),
            full => assert_eq!(code(full), "Policy.Version"),
        }
    }
    assert_eq!(made, [version("v5")]);
    assert_eq!(standing(store, "p").await.len(), 5);
}

async fn a_policy_is_not_deleted_from_under_somebody_who_just_got_it(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let other = world.replica().await;
    let [ana, ..] = people(&world).await;
    for _ in 0..5 {
        store.create_policy(&operator, &policy("p"), "", READ, at(1), audit()).await.unwrap();
        let (a, b, bearer, deleter) = (operator.clone(), operator.clone(), ana.clone(), other.clone());
        let attach = tokio::spawn({
            let store = store.clone();
            async move { store.attach_policy(&a, bearer, &policy("p"), at(2), audit()).await }
        });
        let delete = tokio::spawn(async move { deleter.purge_policy(&b, &policy("p"), audit()).await });
        match (attach.await.unwrap(), delete.await.unwrap()) {
            (Ok(()), deleted) => {
                assert_eq!(code(deleted), "Policy.User");
                store.detach_policy(&operator, &ana, &policy("p"), audit()).await.unwrap();
                store.purge_policy(&operator, &policy("p"), audit()).await.unwrap();
            }
            (attached, Ok(())) => assert_eq!(code(attached), "Policy"),
            neither => panic!("{neither:?}"),
        }
        assert_eq!(world.count("attachments", "policy_name = 'p'").await, 0);
    }
}

fn facts() -> RequestFacts {
    RequestFacts::at(at(0))
}

async fn a_control_policy_bounds_users_and_roles_and_not_the_owner(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    for bearer in &people(&world).await {
        store.attach_policy(&operator, bearer, system("AdministratorAccess"), at(2), audit()).await.unwrap();
    }
    let (of, session) =
        (account(), "access_key_id, account_id, role_id, session_name, sealed_secret, token_hash");
    let token_hash = SecurityToken::generate().hash();
    world
        .database
        .execute(&format!("INSERT INTO role_sessions ({session}, assumed_by, created_at, expires_at) VALUES ('STS.release', '{of}', '{ROLE}', 'release', '', '{token_hash}', '', 0, 9999999999999)"))
        .await;
    let ana = store.all_users(&operator).await.unwrap().remove(0);
    let user = Principal::User { account: account(), user_id: ana.id, user_name: ana.name };
    let role = Principal::AssumedRole {
        account: account(),
        role_id: RoleId::parse(ROLE).unwrap(),
        role_name: RoleName::parse("deploy").unwrap(),
        session_name: RoleSessionName::parse("release").unwrap(),
        session_key: AccessKeyId::parse("STS.release").unwrap(),
    };
    let root = Principal::Account { account: account() };
    let ask = async |principal: &Principal| {
        let policies = store.policies_of(principal).await.unwrap();
        authorize::<GetInstanceRecordConfig>(principal, Resource::Everything, &policies, &facts())
            .map_err(|denied| (denied.policy_type, denied.explicit))
    };
    let put = async |name, level, document| {
        let present = store.all_control_policies(&operator).await.unwrap();
        let seen =
            present.iter().find(|present| present.name == policy(name)).map(|present| present.changed_at);
        let name = policy(name);
        store.put_control_policy(&operator, &name, level, document, seen, at(3), audit()).await.unwrap();
        let stale =
            store.put_control_policy(&operator, &name, 9, document, Some(at(2)), at(4), audit()).await;
        assert!(matches!(stale, Err(StoreError::Conflict { .. })), "{stale:?}");
    };
    let bounded = async |expected: Option<bool>| {
        for principal in [&user, &role] {
            let denied = ask(principal).await.err();
            assert_eq!(denied, expected.map(|explicit| (PolicyType::ControlPolicy, explicit)), "{principal}");
        }
        ask(&root).await.unwrap();
    };
    bounded(None).await;
    let other = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ram:*", "Resource": "*"}]}"#;
    put("only-ram", 1, other).await;
    bounded(Some(false)).await;
    // Policies of one level are combined; every level must allow.
    put("reads", 1, READ).await;
    bounded(None).await;
    put("above", 2, other).await;
    bounded(Some(false)).await;
    put("above", 2, READ).await;
    bounded(None).await;
    put("never", 2, DENY).await;
    bounded(Some(true)).await;
    let listed = store.all_control_policies(&operator).await.unwrap();
    let names: Vec<_> = listed.iter().map(|policy| (policy.level, policy.name.as_str())).collect();
    assert_eq!(names, [(1, "only-ram"), (1, "reads"), (2, "above"), (2, "never")]);
    assert_eq!(store.all_control_policies(&as_operator(&other_account())).await.unwrap(), []);
    for name in ["never", "above", "reads", "only-ram"] {
        store.delete_control_policy(&operator, &policy(name), audit()).await.unwrap();
    }
    assert_eq!(
        code(store.delete_control_policy(&operator, &policy("never"), audit()).await),
        "ControlPolicy"
    );
    bounded(None).await;
    let trusts = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": "acs:ram::1609982529000000:root"}}]}"#;
    let refused = store.put_control_policy(&operator, &policy("bad"), 1, trusts, None, at(3), audit()).await;
    assert!(matches!(refused, Err(StoreError::InvalidPolicy(_))), "{refused:?}");
    // A damaged policy decides nothing, and therefore nobody is let in.
    put("damaged", 1, READ).await;
    world.database.execute("UPDATE control_policies SET document = '{}'").await;
    for principal in [&user, &role] {
        let failed = store.policies_of(principal).await;
        assert!(matches!(failed, Err(StoreError::CorruptRow(_))), "{failed:?}");
    }
}

async fn a_grant_of_one_policy_reaches_no_other(world: World) {
    let store = &world.store;
    let granted = owner::<CreatePolicyVersion>(
        &account(),
        Resource::Identity(vec![IdentityResource::Policy(custom("p"))]),
    );
    store.create_policy(&granted, &policy("p"), "", READ, at(1), audit()).await.unwrap();
    let outside = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::OutsideGrant { .. })), "{result:?}");
    };
    let (q, first) = (policy("q"), PolicyVersionId::FIRST);
    let how = NewPolicyVersion::default();
    outside(store.create_policy(&granted, &q, "", READ, at(1), audit()).await.map(drop));
    outside(store.put_policy(&granted, &q, READ, at(1), audit()).await.map(drop));
    outside(store.create_policy_version(&granted, &q, READ, how, None, at(1), audit()).await.map(drop));
    outside(store.set_default_policy_version(&granted, &q, first, None, at(1), audit()).await);
    outside(store.delete_policy_version(&granted, &q, first, audit()).await);
    outside(store.purge_policy(&granted, &q, audit()).await);
    outside(store.get_policy(&granted, &system("p")).await.map(drop));
    // The grant covers the policy, but not the user.
    let ana = UserName::parse("ana").unwrap();
    outside(store.attach_policy(&granted, &ana, &policy("p"), at(1), audit()).await);
    outside(store.detach_policy(&granted, &ana, &policy("p"), audit()).await);
    let page = MarkerRequest { marker: None, max_items: 1000 };
    outside(store.list_policies(&granted, None, &page).await.map(drop));
    let list = owner::<ListPolicies>(&account(), Resource::Identity(vec![IdentityResource::Policies]));
    assert_eq!(
        store.list_policies(&list, None, &page).await.unwrap().items.last().unwrap().policy,
        custom("p")
    );
    let target = AttachmentTarget::Group(GroupId::parse(GROUP).unwrap());
    assert_eq!(target.attachment().code(), "Group.Policy");
}
