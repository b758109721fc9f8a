//! Roles, their sessions, and the identity that a session's key has.

use domain::access_key::AccessKeyStatus;
use domain::actions::{AssumeRole, CreateRole, GetInstanceRecordConfig, GetRole};
use domain::gate::{Granted, IdentityResource, PrincipalPolicies, RequestFacts, Resource, authorize};
use domain::identity::{
    IdentityRefused, NewRole, NewRoleSession, Role, RoleChange, RoleName, SessionCredentials, UserId,
    UserName, limits,
};
use domain::principal::Principal;
use domain::role::{AssumableRole, MaxSessionDuration, RoleArn};
use domain::{AccountId, Timestamp};
use persistence::{MarkerRequest, StoreError};
use policies::{DocumentKind, Layers, PolicyDocument, PolicySet};

use test_facts::{DAY, World, account, as_operator, at, event, on_both, other_account, owner, resource_of};

on_both!(
    a_role_is_made_changed_listed_and_deleted,
    names_limits_and_documents_are_kept_to,
    a_role_with_policies_cannot_be_deleted,
    a_session_is_found_by_its_key_and_keeps_its_secrets,
    a_session_may_do_what_its_role_and_its_own_policy_allow_now,
    deleting_a_role_ends_its_sessions,
    a_session_of_another_accounts_role_belongs_to_that_account,
    the_trail_says_whose_a_session_is,
    a_session_is_written_down_in_the_trail_of_who_starts_it,
    no_session_starts_from_a_trust_policy_that_was_replaced,
    ended_sessions_are_kept_for_a_day,
    a_grant_for_one_role_reaches_no_other,
    damaged_rows_are_said_to_be_damaged,
    roles_deleted_while_sessions_start_leave_no_session,
);

const TRUST: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": "acs:ram::1609982529000000:root"}}]}"#;
const GET_ONLY: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:Get*", "Resource": "*"}]}"#;

fn name(text: &str) -> RoleName {
    RoleName::parse(text).unwrap()
}

fn new(text: &str) -> NewRole {
    NewRole {
        name: name(text),
        description: "looks".to_owned(),
        trust_policy: TRUST.to_owned(),
        max_session_duration: MaxSessionDuration::DEFAULT,
    }
}

fn audit() -> domain::audit::AuditEvent {
    event(&account(), "CreateRole")
}

async fn made(world: &World, of: &AccountId, text: &str) -> Role {
    let audit = event(of, "CreateRole");
    world.store.create_role(&as_operator(of), new(text), at(1), audit).await.unwrap()
}

/// A grant of AssumeRole on the role, for a user of the first account who is allowed everything.
fn may_assume(of: &AccountId, role: &Role) -> Granted<AssumeRole> {
    let user = Principal::User {
        account: account(),
        user_id: UserId::parse("200000000000000001").unwrap(),
        user_name: UserName::parse("ana").unwrap(),
    };
    let set = |text: &str, kind| {
        let document = PolicyDocument::parse(text.as_bytes(), kind).unwrap();
        PolicySet::new(vec![("test".into(), document.into())])
    };
    let all = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
    let layers = Layers { identity: set(all, DocumentKind::Identity), ..Layers::default() };
    let policies = PrincipalPolicies::new(layers).with_trust(set(TRUST, DocumentKind::Trust));
    let role = AssumableRole {
        arn: RoleArn { account: of.clone(), name: role.name.clone() },
        id: Some(role.id.clone()),
        changed_at: Some(role.changed_at),
        max_session_duration: role.max_session_duration,
        external_id: None,
        source_identity: Some("ana".parse().unwrap()),
    };
    let resource = Resource::Identity(vec![IdentityResource::AssumableRole(role)]);
    authorize(&user, resource, &policies, &facts()).unwrap()
}

fn facts() -> RequestFacts {
    RequestFacts::at(at(0))
}

fn session(policy: Option<&str>) -> NewRoleSession {
    NewRoleSession {
        name: "ana@example".parse().unwrap(),
        policy: policy.map(str::to_owned),
        expires_at: at(3_600_000),
    }
}

async fn started(world: &World, role: &Role, policy: Option<&str>) -> SessionCredentials {
    let granted = may_assume(&account(), role);
    world.store.start_role_session(&granted, session(policy), at(2), audit()).await.unwrap()
}

async fn principal_of(world: &World, credentials: &SessionCredentials) -> Principal {
    world.store.find_access_key(&credentials.key).await.unwrap().unwrap().principal
}

/// Whether the session may read a configuration now.
async fn may_get(world: &World, principal: &Principal) -> bool {
    let policies = world.store.policies_of(principal).await.unwrap();
    let resource = resource_of(Some(&test_facts::instance("web1")));
    authorize::<GetInstanceRecordConfig>(principal, resource, &policies, &facts()).is_ok()
}

async fn attach(world: &World, role: &Role, policy: &str) {
    let statement = format!(
        "INSERT INTO attachments (account_id, target_id, policy_kind, policy_name, role_id, attached_at) \
         VALUES ('{}', '{id}', 'System', '{policy}', '{id}', 1)",
        account(),
        id = role.id
    );
    world.database.execute(&statement).await;
}

async fn a_role_is_made_changed_listed_and_deleted(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let before = store.configuration_revision(&account()).await.unwrap();
    let role = made(&world, &account(), "auditor").await;
    assert_eq!(store.get_role(&operator, &role.name).await.unwrap(), role);
    let longer = MaxSessionDuration::from_seconds(7_200).unwrap();
    let change = RoleChange { max_session_duration: Some(longer), ..RoleChange::default() };
    let changed = store.update_role(&operator, &role.name, change, at(5), audit()).await.unwrap();
    assert_eq!(changed, Role { max_session_duration: longer, changed_at: at(5), ..role.clone() });
    assert_eq!(store.get_role(&operator, &role.name).await.unwrap(), changed);
    for text in ["b", "c", "a"] {
        made(&world, &account(), text).await;
    }
    let mut seen = Vec::new();
    let mut page = MarkerRequest { marker: None, max_items: 3 };
    loop {
        let part = store.list_roles(&operator, &page).await.unwrap();
        seen.extend(part.items.into_iter().map(|role| role.name.to_string()));
        let Some(marker) = part.marker else { break };
        page.marker = Some(marker);
    }
    assert_eq!(seen, ["a", "auditor", "b", "c"]);
    store.delete_role(&operator, &role.name, audit()).await.unwrap();
    let gone = store.get_role(&operator, &role.name).await;
    assert!(matches!(gone, Err(StoreError::Identity(IdentityRefused::NotExist { .. }))), "{gone:?}");
    // A later role of the same name is another role.
    assert_ne!(made(&world, &account(), "auditor").await.id, role.id);
    assert!(store.configuration_revision(&account()).await.unwrap() >= before + 7);
    assert_eq!(world.count("audit_events", "action = 'CreateRole'").await, 7);
}

async fn names_limits_and_documents_are_kept_to(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    made(&world, &account(), "auditor").await;
    let taken = store.create_role(&operator, new("auditor"), at(1), audit()).await;
    assert!(matches!(taken, Err(StoreError::Identity(IdentityRefused::AlreadyExists { .. }))), "{taken:?}");
    made(&world, &other_account(), "auditor").await;
    let bad = NewRole { trust_policy: GET_ONLY.to_owned(), ..new("bad") };
    let refused = store.create_role(&operator, bad, at(1), audit()).await;
    assert!(matches!(refused, Err(StoreError::InvalidPolicy(_))), "{refused:?}");
    let change = RoleChange { trust_policy: Some("{".to_owned()), ..RoleChange::default() };
    let refused = store.update_role(&operator, &name("auditor"), change, at(2), audit()).await;
    assert!(matches!(refused, Err(StoreError::InvalidPolicy(_))), "{refused:?}");
    let absent = store.update_role(&operator, &name("nobody"), RoleChange::default(), at(2), audit()).await;
    assert!(matches!(absent, Err(StoreError::Identity(IdentityRefused::NotExist { .. }))), "{absent:?}");
    let fill = format!(
        "INSERT INTO roles WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
         SELECT CAST(300000000000000000 + i AS {text}), '{}', 'filler' || CAST(i AS {text}), '', '{{}}', \
         3600, 1, 1 FROM n",
        limits::ROLES.most() - 1,
        account(),
        text = world.database.backend.text()
    );
    world.database.execute(&fill).await;
    let full = store.create_role(&operator, new("one-more"), at(1), audit()).await;
    let limit = IdentityRefused::LimitExceeded { code: "Role", what: "roles of one account", limit: 1_000 };
    assert!(matches!(full, Err(StoreError::Identity(refused)) if refused == limit));
    store.delete_role(&operator, &name("filler7"), audit()).await.unwrap();
    made(&world, &account(), "one-more").await;
}

async fn a_role_with_policies_cannot_be_deleted(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let role = made(&world, &account(), "auditor").await;
    attach(&world, &role, "AdministratorAccess").await;
    let credentials = started(&world, &role, None).await;
    match store.delete_role(&operator, &role.name, audit()).await {
        Err(StoreError::Identity(IdentityRefused::DeleteConflict { code, .. })) => {
            assert_eq!(code, "Role.Policy")
        }
        other => panic!("{other:?}"),
    }
    assert!(may_get(&world, &principal_of(&world, &credentials).await).await, "nothing was changed");
    world.database.execute("DELETE FROM attachments").await;
    store.delete_role(&operator, &role.name, audit()).await.unwrap();
}

async fn a_session_is_found_by_its_key_and_keeps_its_secrets(world: World) {
    let role = made(&world, &account(), "auditor").await;
    let credentials = started(&world, &role, None).await;
    assert_eq!(credentials.role, role.id);
    let key = world.store.find_access_key(&credentials.key).await.unwrap().unwrap();
    assert_eq!((key.status, key.secret), (AccessKeyStatus::Active, credentials.secret.clone()));
    let arn = "acs:ram::1609982529000000:role/auditor/ana@example";
    assert_eq!(key.principal.arn(), arn);
    let validity = key.session.unwrap();
    assert!(validity.has_token(&credentials.token));
    assert!(!validity.expired(at(3_599_999)) && validity.expired(at(3_600_000)));
    let identity = world.store.find_source_identity(&principal_of(&world, &credentials).await).await.unwrap();
    assert_eq!(identity.map(|identity| identity.to_string()).as_deref(), Some("ana"));
    // Neither the secret nor the token can be read in the database.
    let (secret, token) = (credentials.secret.reveal(), credentials.token.reveal());
    let row = format!("sealed_secret LIKE '%{secret}%' OR token_hash LIKE '%{token}%'");
    assert_eq!(world.count("role_sessions", &row).await, 0);
    assert_eq!(
        world.count("role_sessions", &format!("token_hash = '{}'", credentials.token.hash())).await,
        1
    );
    // A sealed secret that was moved to another session's row cannot be unsealed.
    let other = started(&world, &role, None).await;
    let moved = format!(
        "UPDATE role_sessions SET sealed_secret = (SELECT sealed_secret FROM role_sessions WHERE access_key_id = '{}') \
         WHERE access_key_id = '{}'",
        credentials.key, other.key
    );
    world.database.execute(&moved).await;
    assert!(matches!(world.store.find_access_key(&other.key).await, Err(StoreError::Keys { .. })));
}

async fn a_session_may_do_what_its_role_and_its_own_policy_allow_now(world: World) {
    let role = made(&world, &account(), "auditor").await;
    let plain = principal_of(&world, &started(&world, &role, None).await).await;
    assert!(!may_get(&world, &plain).await, "the role has no policy yet");
    attach(&world, &role, "AdministratorAccess").await;
    let reader = principal_of(&world, &started(&world, &role, Some(GET_ONLY)).await).await;
    let lister = GET_ONLY.replace("Get*", "List*");
    let lister = principal_of(&world, &started(&world, &role, Some(&lister)).await).await;
    assert!(may_get(&world, &plain).await && may_get(&world, &reader).await);
    assert!(!may_get(&world, &lister).await, "its own policy does not allow it");
    world.database.execute("DELETE FROM attachments").await;
    assert!(!may_get(&world, &plain).await && !may_get(&world, &reader).await);
}

async fn deleting_a_role_ends_its_sessions(world: World) {
    let (store, operator) = (&world.store, as_operator(&account()));
    let (role, kept) = (made(&world, &account(), "auditor").await, made(&world, &account(), "kept").await);
    let (ended, goes_on) = (started(&world, &role, None).await, started(&world, &kept, None).await);
    let principal = principal_of(&world, &ended).await;
    store.delete_role(&operator, &role.name, audit()).await.unwrap();
    assert!(store.find_access_key(&ended.key).await.unwrap().is_none());
    assert!(store.find_access_key(&goes_on.key).await.unwrap().is_some());
    // A caller who was authenticated a moment before may do nothing either.
    assert!(!may_get(&world, &principal).await);
    // And an earlier grant does not start a session of the later role.
    let granted = may_assume(&account(), &role);
    made(&world, &account(), "auditor").await;
    let refused = store.start_role_session(&granted, session(None), at(3), audit()).await;
    assert!(matches!(refused, Err(StoreError::Identity(IdentityRefused::NotExist { .. }))), "{refused:?}");
}

async fn a_session_of_another_accounts_role_belongs_to_that_account(world: World) {
    let role = made(&world, &other_account(), "auditor").await;
    let arn = RoleArn { account: other_account(), name: role.name.clone() };
    let (found, _) = world.store.find_assumable_role(&arn).await.unwrap().unwrap();
    assert_eq!(found, role);
    let nobody = RoleArn { account: account(), name: role.name.clone() };
    assert!(world.store.find_assumable_role(&nobody).await.unwrap().is_none());
    let granted = may_assume(&other_account(), &role);
    let credentials = world.store.start_role_session(&granted, session(None), at(2), audit()).await.unwrap();
    let principal = principal_of(&world, &credentials).await;
    assert_eq!(principal.account(), &other_account());
    // The audit row is in the trail of the caller's account, and in that of the role's account.
    let by = granted.by();
    let row = format!("account_id = '{}' AND how LIKE 'session %' AND decided_by = '{by}'", account());
    let audit = domain::audit::AuditEvent {
        decision: domain::audit::AuditDecision::Allowed { by: by.to_owned() },
        ..audit()
    };
    world.store.start_role_session(&granted, session(None), at(2), audit).await.unwrap();
    assert_eq!(world.count("audit_events", &row).await, 1);
    let there = format!("account_id = '{}' AND how LIKE 'session %'", other_account());
    assert_eq!(world.count("audit_events", &there).await, 2);
    // The row there does not say which of the caller's policies allowed it.
    assert_eq!(world.count("audit_events", &format!("{there} AND decided_by = '{by}'")).await, 0);
    crate::audit::assert_chains_are_whole(&world).await;
}

async fn the_trail_says_whose_a_session_is(world: World) {
    let role = made(&world, &account(), "auditor").await;
    let credentials = started(&world, &role, None).await;
    let how = format!("session ana@example, key {}, source identity ana", credentials.key);
    assert_eq!(world.count("audit_events", &format!("how = '{how}'")).await, 1);
    for secret in [credentials.secret.reveal(), credentials.token.reveal()] {
        assert_eq!(world.count("audit_events", &format!("how LIKE '%{secret}%'")).await, 0);
    }
}

async fn a_session_is_written_down_in_the_trail_of_who_starts_it(world: World) {
    for of in [account(), other_account()] {
        let role = made(&world, &of, "auditor").await;
        let granted = may_assume(&of, &role);
        // The row must not be written in the role's account alone either.
        let theirs = event(&other_account(), "AssumeRole");
        let refused = world.store.start_role_session(&granted, session(None), at(2), theirs).await;
        assert!(matches!(refused, Err(StoreError::OutsideGrant { what: "audit row" })), "{refused:?}");
    }
    assert_eq!(world.count("role_sessions", "1 = 1").await, 0);
    assert_eq!(world.count("audit_events", "action = 'AssumeRole'").await, 0);
}

async fn no_session_starts_from_a_trust_policy_that_was_replaced(world: World) {
    let operator = as_operator(&account());
    let role = made(&world, &account(), "auditor").await;
    let granted = may_assume(&account(), &role);
    let narrowed = TRUST.replace("Allow", "Deny");
    let change = || RoleChange { trust_policy: Some(narrowed.clone()), ..RoleChange::default() };
    // Within the same millisecond too.
    let changed = world.store.update_role(&operator, &role.name, change(), at(1), audit()).await.unwrap();
    let refused = world.store.start_role_session(&granted, session(None), at(2), audit()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { what: "role", .. })), "{refused:?}");
    assert_eq!(world.count("role_sessions", "1 = 1").await, 0);
    // A caller who was evaluated against the present role is let in.
    started(&world, &changed, None).await;
}

async fn ended_sessions_are_kept_for_a_day(world: World) {
    let role = made(&world, &account(), "auditor").await;
    let credentials = started(&world, &role, None).await;
    world.store.remove_lapsed(at(3_600_000 + DAY - 1)).await.unwrap();
    assert!(world.store.find_access_key(&credentials.key).await.unwrap().is_some(), "its bearer is told");
    assert_eq!(world.store.remove_lapsed(at(3_600_000 + DAY)).await.unwrap(), 1);
    assert!(world.store.find_access_key(&credentials.key).await.unwrap().is_none());
}

async fn a_grant_for_one_role_reaches_no_other(world: World) {
    let role = |text: &str| Resource::Identity(vec![IdentityResource::Role(name(text))]);
    made(&world, &account(), "b").await;
    let granted = owner::<GetRole>(&account(), role("a"));
    let refused = world.store.get_role(&granted, &name("b")).await;
    assert!(matches!(refused, Err(StoreError::OutsideGrant { what: "role" })), "{refused:?}");
    let granted = owner::<CreateRole>(&account(), role("a"));
    for refused in [
        world.store.create_role(&granted, new("c"), at(1), audit()).await.map(drop),
        world.store.update_role(&granted, &name("b"), RoleChange::default(), at(1), audit()).await.map(drop),
        world.store.delete_role(&granted, &name("b"), audit()).await,
        world.store.list_roles(&granted, &MarkerRequest { marker: None, max_items: 1 }).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::OutsideGrant { what: "role" })), "{refused:?}");
    }
}

async fn damaged_rows_are_said_to_be_damaged(world: World) {
    let role = made(&world, &account(), "auditor").await;
    let credentials = started(&world, &role, Some(GET_ONLY)).await;
    let principal = principal_of(&world, &credentials).await;
    let column = |result: Result<(), StoreError>| match result {
        Err(StoreError::CorruptRow(row)) => (row.table, row.column),
        other => panic!("{other:?}"),
    };
    world.database.execute("UPDATE role_sessions SET session_policy = '{}'").await;
    let policies = world.store.policies_of(&principal).await.map(drop);
    assert_eq!(column(policies), ("role_sessions", "session_policy"));
    world.database.execute("UPDATE role_sessions SET session_name = 'a b'").await;
    let found = world.store.find_access_key(&credentials.key).await.map(drop);
    assert_eq!(column(found), ("role_sessions", "session_name"));
    world.database.execute("UPDATE roles SET trust_policy = '{}'").await;
    let arn = RoleArn { account: account(), name: role.name.clone() };
    let found = world.store.find_assumable_role(&arn).await.map(drop);
    assert_eq!(column(found), ("roles", "trust_policy"));
    world.database.execute("UPDATE roles SET max_session_seconds = 7").await;
    let found = world.store.get_role(&as_operator(&account()), &role.name).await.map(drop);
    assert_eq!(column(found), ("roles", "max_session_seconds"));
}

async fn roles_deleted_while_sessions_start_leave_no_session(world: World) {
    for round in 0..8 {
        let role = made(&world, &account(), &format!("role{round}")).await;
        let granted = may_assume(&account(), &role);
        let operator = as_operator(&account());
        let now = Timestamp::from_millis(at(2).as_millis());
        let (started, deleted) = tokio::join!(
            world.store.start_role_session(&granted, session(None), now, audit()),
            world.store.delete_role(&operator, &role.name, audit()),
        );
        deleted.unwrap();
        if let Ok(credentials) = started {
            assert!(world.store.find_access_key(&credentials.key).await.unwrap().is_none());
        }
    }
    assert_eq!(world.count("role_sessions", "1 = 1").await, 0);
}
