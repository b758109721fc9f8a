//! What calls are decided by is kept in memory, and is never older than its account's revision says: every kind of change,
//! made by another process on the same database, as `hansard admin` and other replicas are, is noticed by whatever was
//! decided before it.

use domain::AccountId;
use domain::access_key::{AccessKeySecret, AccessKeyStatus};
use domain::actions::{AssumeRole, EnrolAgent, GetInstanceRecordConfig, SetInstanceRecordConfig};
use domain::decided_under::DecidedUnder;
use domain::expiration::ExpirationDays;
use domain::gate::{
    Granted, IdentityResource, ListNeeds, PrincipalPolicies, RequestFacts, Resource, authorize,
};
use domain::identity::{
    AccessKeyId, GroupName, KeyOwner, NewGroup, NewPolicyVersion, NewRole, NewRoleSession, PolicyKind,
    PolicyName, PolicyRef, RoleChange, RoleName, UserChange, UserName,
};
use domain::policy_bearer::PolicyBearer;
use domain::principal::Principal;
use domain::record_config::{InstanceSelector, RecordConfig, RecordConfigChanged};
use domain::role::{AssumableRole, MaxSessionDuration, RoleArn};
use domain::session_settings::SessionSettings;
use domain::storage_target::RecordStorageTarget;
use persistence::{AgentEnrolled, Settled, Store, StoreError};
use policies::{DocumentKind, Layers, PolicyDocument, PolicySet};

use test_facts::{
    World, account, as_agent, as_operator, at, event, instance, on_both, other_account, owner, region,
    resource_of,
};

on_both!(
    every_change_of_what_decides_is_noticed,
    what_decides_nothing_leaves_decisions_standing,
    a_change_is_made_only_under_what_it_was_decided_from,
    a_role_of_another_account_decides_too,
    what_was_decided_before_a_change_claims_nothing,
    what_is_kept_is_not_read_again,
    a_revision_that_was_lost_does_not_come_again,
    instances_and_tags_concern_only_what_was_decided_from_them,
);

const GET: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:Get*", "Resource": "*"}]}"#;
const LIST: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ecs-workbench:List*", "Resource": "*"}]}"#;
const TRUST: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": "acs:ram::1609982529000000:root"}}]}"#;

fn named<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

/// Whose facts are read.
struct Cast {
    keys: Vec<AccessKeyId>,
    /// Who had a key once, and so had policies.
    principals: Vec<Principal>,
}

/// Everything that calls are decided by, as it is read from a store or from what is kept.
macro_rules! everything {
    ($from:expr, $cast:expr) => {{
        let (from, cast): (_, &Cast) = (&$from, $cast);
        let mut told = Vec::new();
        for id in &cast.keys {
            let key = from.find_access_key(id).await.unwrap();
            told.push(format!("{key:?} {:?}", key.as_ref().map(|key| key.secret.reveal().to_owned())));
        }
        for principal in &cast.principals {
            let policies = from.policies_of(principal).await.unwrap();
            told.push(format!("{policies:?}"));
        }
        for name in ["web1", "new1"] {
            let facts = from.instance_facts(&account(), instance(name), &named("cn-beijing")).await.unwrap();
            told.push(format!("{facts:?}"));
            let granted = owner::<GetInstanceRecordConfig>(&account(), Resource::Everything);
            let selector = InstanceSelector::One(instance(name));
            told.push(format!("{:?}", from.effective_record_config(&granted, &selector).await.unwrap()));
        }
        let needs = ListNeeds { instances: true, tags: true, owners: true };
        told.push(format!("{:?}", from.candidates_of_list(&account(), None, needs).await.unwrap()));
        let role = RoleArn { account: account(), name: named("auditor") };
        told.push(format!("{:?}", from.find_assumable_role(&role).await.unwrap()));
        told
    }};
}

async fn settle(store: &Store, decided_under: DecidedUnder) -> Settled {
    store.settle(None, event(&account(), "Look"), decided_under).await.unwrap()
}

/// Decides something, lets `change` happen, and finds that the decision stands no more, and that another one is made from
/// what stands now.
async fn is_noticed(world: &World, cast: &Cast, what: &str, change: impl Future<Output = ()>) {
    // What happened before is known, so that it is this change which is noticed.
    world.store.deciding().still_holds(&account()).await.unwrap();
    let decided = world.store.deciding();
    let before = everything!(decided, cast);
    assert_eq!(settle(&world.store, decided.under()).await, Settled::Committed, "before {what}");
    change.await;
    assert_eq!(settle(&world.store, decided.under()).await, Settled::Stale, "{what}");
    let decided = world.store.deciding();
    let after = everything!(decided, cast);
    assert_eq!(after, everything!(world.replica().await, cast), "{what}");
    assert_ne!(after, before, "{what} changes what decides");
    assert_eq!(settle(&world.store, decided.under()).await, Settled::Committed, "{what}");
}

fn config(selector: InstanceSelector, revision: i64) -> RecordConfigChanged {
    RecordConfigChanged {
        expected_revision: (revision > 1).then(|| revision - 1),
        after: RecordConfig {
            account: account(),
            selector,
            enabled: true,
            target: Some(RecordStorageTarget::deployment_default(&region(), &account())),
            expiration: ExpirationDays::new(30).unwrap(),
            settings: SessionSettings::default(),
            revision,
            changed_at: at(revision),
        },
    }
}

fn set(text: &str, kind: DocumentKind) -> PolicySet {
    let document = PolicyDocument::parse(text.as_bytes(), kind).unwrap();
    PolicySet::new(vec![("test".into(), document.into())])
}

/// A grant for a user of the account who may assume the role that is found under this ARN, decided under these revisions.
async fn may_assume(store: &Store, arn: &RoleArn, decided_under: DecidedUnder) -> Granted<AssumeRole> {
    let (role, _) = store.find_assumable_role(arn).await.unwrap().unwrap();
    let user = Principal::User {
        account: account(),
        user_id: named("200000000000000001"),
        user_name: UserName::parse("zoe").unwrap(),
    };
    let all = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;
    let layers = Layers { identity: set(all, DocumentKind::Identity), ..Layers::default() };
    let policies = PrincipalPolicies::new(layers).with_trust(set(TRUST, DocumentKind::Trust));
    let role = AssumableRole {
        arn: arn.clone(),
        id: Some(role.id),
        changed_at: Some(role.changed_at),
        max_session_duration: role.max_session_duration,
        external_id: None,
        source_identity: None,
    };
    let resource = Resource::Identity(vec![IdentityResource::AssumableRole(role)]);
    authorize(&user, resource, &policies, &RequestFacts { decided_under, ..RequestFacts::at(at(0)) }).unwrap()
}

async fn a_role(store: &Store, of: &AccountId) -> RoleArn {
    let name: RoleName = named("auditor");
    let new = NewRole {
        name: name.clone(),
        description: String::new(),
        trust_policy: TRUST.to_owned(),
        max_session_duration: MaxSessionDuration::DEFAULT,
    };
    store.create_role(&as_operator(of), new, at(1), event(of, "CreateRole")).await.unwrap();
    RoleArn { account: of.clone(), name }
}

async fn every_change_of_what_decides_is_noticed(world: World) {
    let admin = world.replica().await;
    let (operator, audit) = (&as_operator(&account()), || event(&account(), "Change"));
    let (ana, bea): (UserName, UserName) = (named("ana"), named("bea"));
    let (readers, reading): (GroupName, PolicyName) = (named("readers"), named("reading"));
    let auditor: RoleName = named("auditor");
    admin.create_user(operator, &ana, at(1), audit()).await.unwrap();
    let group = NewGroup { name: readers.clone(), comments: String::new() };
    admin.create_group(operator, group, at(1), audit()).await.unwrap();
    let role = a_role(&admin, &account()).await;
    admin.create_policy(operator, &reading, "", GET, at(1), audit()).await.unwrap();
    let of_ana = KeyOwner::User(ana.clone());
    let (anas, _) = admin.create_access_key(operator, &of_ana, at(1), audit()).await.unwrap();
    let granted = may_assume(&admin, &role, DecidedUnder::default()).await;
    let new = NewRoleSession { name: named("zoe"), policy: None, expires_at: at(3_600_000) };
    let session = admin.start_role_session(&granted, new, at(1), audit()).await.unwrap().key;
    let root: AccessKeyId = named("root-key");
    let keys = vec![root.clone(), anas.clone(), session.clone()];
    let mut principals = Vec::new();
    for id in &keys {
        principals.push(admin.find_access_key(id).await.unwrap().unwrap().principal);
    }
    let cast = &Cast { keys, principals };
    macro_rules! noticed {
        ($what:literal, $change:expr) => {
            // Boxed, because without optimisation each would have a place of its own on the stack.
            let change = async {
                let _ = $change.await.unwrap();
            };
            Box::pin(is_noticed(&world, cast, $what, Box::pin(change))).await;
        };
    }

    noticed!("a policy of a user", admin.attach_policy(operator, &ana, &reading, at(2), audit()));
    noticed!("its text", admin.put_policy(operator, &reading, LIST, at(3), audit()));
    let how = NewPolicyVersion { as_default: true, rotate: true };
    noticed!("its version", admin.create_policy_version(operator, &reading, GET, how, None, at(4), audit()));
    let versions = admin.versions_of_policy(operator, &(&reading).into()).await.unwrap();
    let second = versions.into_iter().find(|version| version.document == LIST).unwrap().id;
    noticed!(
        "its default",
        admin.set_default_policy_version(operator, &reading, second, None, at(5), audit())
    );
    noticed!("its detachment", admin.detach_policy(operator, &ana, &reading, audit()));
    let of_group = PolicyBearer::Group(readers.clone());
    admin.attach_policy(operator, of_group.clone(), &reading, at(6), audit()).await.unwrap();
    noticed!("a membership", admin.add_user_to_group(operator, &ana, &readers, at(6), audit()));
    noticed!("a group's policy", admin.detach_policy(operator, of_group.clone(), &reading, audit()));
    noticed!(
        "a group's system policy",
        admin.attach_policy(
            operator,
            of_group,
            PolicyRef { kind: PolicyKind::System, name: named("AdministratorAccess") },
            at(7),
            audit()
        )
    );
    noticed!("its end", admin.remove_user_from_group(operator, &ana, &readers, audit()));
    let of_role = PolicyBearer::Role(auditor.clone());
    noticed!("a role's policy", admin.attach_policy(operator, of_role.clone(), &reading, at(8), audit()));
    noticed!("what a role's policy says", admin.put_policy(operator, &reading, GET, at(9), audit()));
    noticed!("its detachment", admin.detach_policy(operator, of_role, &reading, audit()));
    let trust = TRUST.replace("\"Allow\"", "\"Deny\"");
    let change = RoleChange { trust_policy: Some(trust), ..RoleChange::default() };
    noticed!("whom a role trusts", admin.update_role(operator, &auditor, change, at(10), audit()));

    let guard: PolicyName = named("guard");
    noticed!("a guard", admin.put_control_policy(operator, &guard, 1, GET, None, at(11), audit()));
    noticed!("its text", admin.put_control_policy(operator, &guard, 1, LIST, Some(at(11)), at(12), audit()));
    noticed!("its end", admin.delete_control_policy(operator, &guard, audit()));

    let off = AccessKeyStatus::Inactive;
    noticed!("a user's key", admin.set_access_key_status(operator, &anas, off, audit()));
    noticed!("the root's key", admin.set_access_key_status(operator, &root, off, audit()));
    let secret = AccessKeySecret::new("another-secret".to_owned());
    noticed!("its secret", admin.ensure_root(&account(), &root, &secret, at(13)));
    let renamed = UserChange { name: Some(bea.clone()), ..UserChange::default() };
    noticed!("a user's name", admin.update_user(operator, &ana, renamed, at(13), audit()));
    noticed!("a key's end", admin.delete_access_key(operator, &anas, audit()));
    noticed!("a policy of a renamed user", admin.attach_policy(operator, &bea, &reading, at(14), audit()));
    noticed!("a user's end", admin.purge_user(operator, &bea, audit()));
    noticed!("a role's end", admin.delete_role(operator, &auditor, audit()));

    let tags = || vec![(named("env"), named("prod"))];
    let (web1, new1) = (instance("web1"), instance("new1"));
    noticed!("tags", admin.tag_instance(operator, &web1, Vec::new(), tags(), audit()));
    noticed!("their end", admin.tag_instance(operator, &web1, vec![named("env")], Vec::new(), audit()));
    let secret = world.join_token(&account(), "*", true).await;
    let agent = world.agent(&account(), "new1");
    let enrolled = AgentEnrolled { agent: agent.clone(), token_hash: secret.hash(), replace: false };
    noticed!("a region", admin.apply(&as_agent::<EnrolAgent>(&agent), enrolled, audit()));
    let everywhere = Resource::AllInstances { region: region() };
    let granted = owner::<SetInstanceRecordConfig>(&account(), everywhere);
    noticed!("all instances", admin.apply(&granted, config(InstanceSelector::All, 1), audit()));
    let granted = owner::<SetInstanceRecordConfig>(&account(), resource_of(Some(&new1)));
    noticed!("one", admin.apply(&granted, config(InstanceSelector::One(new1), 1), audit()));
}

/// What changes only what is read at every call, and what nobody is decided by.
async fn what_decides_nothing_leaves_decisions_standing(world: World) {
    let admin = world.replica().await;
    let agent = world.enrol(&account(), "web1").await;
    let role = a_role(&admin, &account()).await;
    let cast = &Cast { keys: vec![named("root-key")], principals: Vec::new() };
    let decided = world.store.deciding();
    drop(everything!(decided, cast));
    world.open(&agent, 5, 3).await;
    world.join_token(&account(), "*", false).await;
    let granted = may_assume(&admin, &role, DecidedUnder::default()).await;
    let new = NewRoleSession { name: named("zoe"), policy: None, expires_at: at(3_600_000) };
    let audit = event(&account(), "AssumeRole");
    let session = admin.start_role_session(&granted, new, at(1), audit).await.unwrap().key;
    assert_eq!(settle(&world.store, decided.under()).await, Settled::Committed);
    // A session that began after everything was kept is there all the same.
    assert!(world.store.deciding().find_access_key(&session).await.unwrap().is_some());
    // What another account changes is its own.
    let tags = vec![(named("env"), named("prod"))];
    let (operator, audit) = (as_operator(&other_account()), event(&other_account(), "Tag"));
    admin.tag_instance(&operator, &instance("web1"), Vec::new(), tags, audit).await.unwrap();
    assert_eq!(settle(&world.store, decided.under()).await, Settled::Committed);
}

async fn a_change_is_made_only_under_what_it_was_decided_from(world: World) {
    let admin = world.replica().await;
    let decided = world.store.deciding();
    decided.find_access_key(&named("root-key")).await.unwrap().unwrap();
    let granted = |decided_under: DecidedUnder| {
        let principal = Principal::Account { account: account() };
        let policies = PrincipalPolicies::new(Layers { owner: true, ..Layers::default() });
        let facts = RequestFacts { decided_under, ..RequestFacts::at(at(0)) };
        let resource = Resource::AllInstances { region: region() };
        authorize::<SetInstanceRecordConfig>(&principal, resource, &policies, &facts).unwrap()
    };
    let apply = async |granted: &Granted<SetInstanceRecordConfig>, revision| {
        let audit = event(&account(), "SetInstanceRecordConfig");
        world.store.apply(granted, config(InstanceSelector::All, revision), audit).await
    };
    let before = granted(decided.under());
    let off = AccessKeyStatus::Inactive;
    let audit = event(&account(), "Off");
    admin.set_access_key_status(&as_operator(&account()), &named("root-key"), off, audit).await.unwrap();
    let rows = world.count("audit_events", "1 = 1").await;
    let refused = apply(&before, 1).await;
    assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
    assert_eq!(world.count("record_configs", "1 = 1").await, 0, "nothing is changed");
    assert_eq!(world.count("audit_events", "1 = 1").await, rows, "and nothing is written down");
    let decided = world.store.deciding();
    let key = decided.find_access_key(&named("root-key")).await.unwrap().unwrap();
    assert_eq!(key.status, off, "it is seen at once");
    // The change bumps the revision itself, so that it makes its own decision an old one.
    let after = granted(decided.under());
    apply(&after, 1).await.unwrap();
    let again = apply(&after, 2).await;
    assert!(matches!(again, Err(StoreError::Outdated)), "{again:?}");
}

async fn a_role_of_another_account_decides_too(world: World) {
    let admin = world.replica().await;
    let arn = a_role(&admin, &other_account()).await;
    let new = || NewRoleSession { name: named("zoe"), policy: None, expires_at: at(3_600_000) };
    let audit = || event(&account(), "AssumeRole");
    let decided = world.store.deciding();
    decided.find_access_key(&named("root-key")).await.unwrap().unwrap();
    decided.find_assumable_role(&arn).await.unwrap().unwrap();
    let accounts: Vec<AccountId> = decided.under().iter().map(|(account, _)| account.clone()).collect();
    assert_eq!(accounts, [account(), other_account()]);
    let before = may_assume(&admin, &arn, decided.under()).await;
    // The role stays as it was: it is another policy of its account that is changed.
    let (operator, change) = (as_operator(&other_account()), event(&other_account(), "Guard"));
    let guard: PolicyName = named("guard");
    admin.put_control_policy(&operator, &guard, 1, GET, None, at(2), change).await.unwrap();
    let refused = world.store.start_role_session(&before, new(), at(3), audit()).await;
    assert!(matches!(refused, Err(StoreError::Outdated)), "{refused:?}");
    assert_eq!(world.count("role_sessions", "1 = 1").await, 0);
    let decided = world.store.deciding();
    decided.find_access_key(&named("root-key")).await.unwrap().unwrap();
    decided.find_assumable_role(&arn).await.unwrap().unwrap();
    let after = may_assume(&admin, &arn, decided.under()).await;
    world.store.start_role_session(&after, new(), at(3), audit()).await.unwrap();
    // It bumps nothing, so that the same decision holds for another session.
    world.store.start_role_session(&after, new(), at(3), audit()).await.unwrap();
}

async fn what_was_decided_before_a_change_claims_nothing(world: World) {
    let claim = persistence::NonceClaim { hash: [7; 32], expires_at: at(1_000), now: at(0) };
    let decided = world.store.deciding();
    decided.find_access_key(&named("root-key")).await.unwrap().unwrap();
    let settle = async |under: DecidedUnder| {
        world.store.settle(Some(claim.clone()), event(&account(), "Look"), under).await.unwrap()
    };
    let (operator, audit) = (as_operator(&account()), event(&account(), "Off"));
    let (root, off) = (named("root-key"), AccessKeyStatus::Inactive);
    world.replica().await.set_access_key_status(&operator, &root, off, audit).await.unwrap();
    let rows = world.count("audit_events", "1 = 1").await;
    assert_eq!(settle(decided.under()).await, Settled::Stale);
    assert_eq!(world.count("audit_events", "1 = 1").await, rows);
    // So that the same request is decided again.
    decided.begin_again();
    decided.find_access_key(&named("root-key")).await.unwrap().unwrap();
    assert_eq!(settle(decided.under()).await, Settled::Committed);
    assert_eq!(settle(decided.under()).await, Settled::NonceUsed);
    assert_eq!(world.count("audit_events", "1 = 1").await, rows + 1);
}

/// Shown by rows that are changed behind the revision's back, as no code of the store does.
async fn what_is_kept_is_not_read_again(world: World) {
    let status = async || {
        let decided = world.store.deciding();
        decided.find_access_key(&named("root-key")).await.unwrap().unwrap().status
    };
    assert_eq!(status().await, AccessKeyStatus::Active);
    world.database.execute("UPDATE access_keys SET status = 'Inactive'").await;
    assert_eq!(status().await, AccessKeyStatus::Active);
    let bump = "UPDATE revisions SET revision = revision + 1 WHERE account_id = '1609982529000000'";
    world.database.execute(bump).await;
    let decided = world.store.deciding();
    decided.find_access_key(&named("root-key")).await.unwrap().unwrap();
    assert_eq!(decided.under().iter().count(), 1);
    assert!(!decided.still_holds(&account()).await.unwrap(), "a refusal finds out, too");
    assert_eq!(status().await, AccessKeyStatus::Inactive);
}

/// A backup that was put back, or a replica of the database that takes over, may have lost changes that a control plane has
/// seen. Other changes then must not lead to the number that those had.
async fn a_revision_that_was_lost_does_not_come_again(world: World) {
    let (operator, audit) = (as_operator(&account()), || event(&account(), "Change"));
    let (cast, web1) = (&Cast { keys: vec![named("root-key")], principals: Vec::new() }, instance("web1"));
    let mut change = 0;
    for of_instances in [false, true] {
        let mut changed = async || {
            change += 1;
            if of_instances {
                let tags = vec![(named("change"), named(&change.to_string()))];
                world.store.tag_instance(&operator, &web1, Vec::new(), tags, audit()).await.unwrap();
            } else {
                let user: UserName = named(&format!("user{change}"));
                world.store.create_user(&operator, &user, at(1), audit()).await.unwrap();
            }
        };
        let before = world.database.rows("SELECT account_id, revision, instances FROM revisions").await;
        let put_back: Vec<String> = before
            .iter()
            .map(|row| {
                let (account, revision, instances): (String, i64, i64) =
                    (row.try_get_by(0).unwrap(), row.try_get_by(1).unwrap(), row.try_get_by(2).unwrap());
                format!("UPDATE revisions SET revision = {revision}, instances = {instances} WHERE account_id = '{account}'")
            })
            .collect();
        changed().await;
        let decided = world.store.deciding();
        drop(everything!(decided, cast));
        for _ in 0..5 {
            for put_back in &put_back {
                world.database.execute(put_back).await;
            }
            changed().await;
            assert_eq!(settle(&world.store, decided.under()).await, Settled::Stale);
        }
    }
}

/// Instances join and are tagged all the time in a fleet, and keys and policies have not changed by that.
async fn instances_and_tags_concern_only_what_was_decided_from_them(world: World) {
    let admin = world.replica().await;
    let by_key = async || {
        let decided = world.store.deciding();
        (decided.find_access_key(&named("root-key")).await.unwrap().unwrap().status, decided.under())
    };
    let by_instance = async || {
        let decided = world.store.deciding();
        decided.find_access_key(&named("root-key")).await.unwrap().unwrap();
        let facts = decided.instance_facts(&account(), instance("web1"), &named("cn-beijing")).await.unwrap();
        (facts, decided.under())
    };
    let of_account = world.store.configuration_revision(&account()).await.unwrap();
    let ((_, key), (untagged, web1)) = (by_key().await, by_instance().await);
    // Behind the revision's back, so that it is seen who reads it again.
    world.database.execute("UPDATE access_keys SET status = 'Inactive'").await;
    let (operator, audit) = (as_operator(&account()), event(&account(), "Tag"));
    let tags = vec![(named("env"), named("prod"))];
    admin.tag_instance(&operator, &instance("web1"), Vec::new(), tags, audit).await.unwrap();
    assert_eq!(settle(&world.store, key.clone()).await, Settled::Committed);
    assert_eq!(settle(&world.store, web1).await, Settled::Stale);
    let (tagged, web1) = by_instance().await;
    assert_ne!(tagged, untagged);
    world.enrol(&account(), "db1").await;
    assert_eq!(settle(&world.store, key.clone()).await, Settled::Committed);
    assert_eq!(settle(&world.store, web1).await, Settled::Stale);
    assert_eq!(by_key().await, (AccessKeyStatus::Active, key.clone()), "it is not read again");
    let after = world.store.configuration_revision(&account()).await.unwrap();
    assert_eq!(after, of_account, "no agent has to hear of it");

    // A version before, which is being replaced beside this one, knows only the account's own revision.
    let (_, web1) = by_instance().await;
    world.database.execute("UPDATE instance_tags SET tag_value = 'test'").await;
    world.database.execute("UPDATE revisions SET revision = revision + 1").await;
    assert_eq!(settle(&world.store, web1).await, Settled::Stale);
    assert_eq!(settle(&world.store, key).await, Settled::Stale);
    let (retagged, web1) = by_instance().await;
    assert_ne!(retagged, tagged);
    assert_eq!(settle(&world.store, web1).await, Settled::Committed);

    // Nor does a replica of that version read another one, as long as it lives.
    let lives =
        "INSERT INTO replicas (replica_id, started_at, expires_at) VALUES ('before', 1, 99999999999999)";
    world.database.execute(lives).await;
    let tag = async |value: &str| {
        let before = world.store.configuration_revision(&account()).await.unwrap();
        let (operator, audit) = (as_operator(&account()), event(&account(), "Tag"));
        let tags = vec![(named("env"), named(value))];
        world.store.tag_instance(&operator, &instance("web1"), Vec::new(), tags, audit).await.unwrap();
        world.store.configuration_revision(&account()).await.unwrap() > before
    };
    let (_, web1) = by_instance().await;
    assert!(tag("one").await);
    assert_eq!(settle(&world.store, web1).await, Settled::Stale);
    world.database.execute("UPDATE replicas SET expires_at = 2 WHERE replica_id = 'before'").await;
    assert!(!tag("two").await);

    // An agent that takes the place of another one has its link closed, wherever that is.
    let before = world.store.configuration_revision(&account()).await.unwrap();
    let secret = world.join_token(&account(), "*", true).await;
    let agent = world.agent(&account(), "db1");
    let enrolled = AgentEnrolled { agent: agent.clone(), token_hash: secret.hash(), replace: true };
    let audit = event(&account(), "EnrolAgent");
    admin.apply(&as_agent::<EnrolAgent>(&agent), enrolled, audit).await.unwrap();
    assert!(world.store.configuration_revision(&account()).await.unwrap() > before);
}
