use std::collections::BTreeMap;
use std::sync::Arc;

use domain::access_key::AccessKeySecret;
use domain::actions::{Action, AdministerIdentity, ListAgents, ListAuditEvents, ListInstanceRecords};
use domain::gate::{
    Granted, InstanceFacts, Listing, PrincipalPolicies, RequestFacts, Resource, authorize, list_needs,
};
use domain::identity::{
    AccessKeyId, AttachmentFilter, BearerKind, PolicyKind, TagFilter, TaggableKind, UserId,
};
use domain::instance_tags::InstanceTags;
use domain::principal::Principal;
use domain::recording_filter::{RecordingFilter, TokenPrefix};
use domain::recording_life::WireStatus;
use domain::{InstanceId, Timestamp};
use policies::{DocumentKind, Layers, PolicyDocument, PolicySet};
use test_facts::fill::Filling;
use test_facts::{ACCOUNT, Backend, account, as_operator, region};

use super::Observed;
use super::words::Plan;
use crate::{AuditFilter, AuditQuery, DecisionKind, MarkerRequest, PageRequest, RecordingQuery, TagQuery};

const NOW: i64 = 1_800_000_000_000;
const INSTANCES: u64 = 1_000;
/// So many that no planner prefers to read them all.
const ROWS: u64 = 20_000;

macro_rules! on_each {
    ($($test:ident),+) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                super::$test(super::filled(super::Backend::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() {
                super::$test(super::filled(super::Backend::Postgres).await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn on_mariadb() {
                super::$test(super::filled(super::Backend::MariaDb).await).await;
            }
        }
    )+};
}

on_each!(recordings, audit_events, agents, identities);

async fn filled(backend: Backend) -> Observed {
    let observed = Observed::on(backend).await;
    let secret = AccessKeySecret::new("secret".to_owned());
    let key = AccessKeyId::parse("root-key").unwrap();
    observed.store.ensure_root(&account(), &key, &secret, Timestamp::from_millis(0)).await.unwrap();
    let filling = Filling::open(&observed.database.url, backend, ACCOUNT, INSTANCES).await;
    filling.instances().await;
    filling.recordings(ROWS).await;
    filling.audit_events(ROWS).await;
    filling.settle().await;
    observed.asked.lock().unwrap().clear();
    observed
}

/// Faults of plans, with those that have them.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    /// `sorts`: whether this list may be sorted, because few rows can be meant.
    fn look(&mut self, list: &str, plans: &[Plan], sorts: bool) {
        assert!(!plans.is_empty(), "{list}: nothing was asked");
        for plan in plans {
            let sorted: &[String] = if sorts { &[] } else { &plan.sorted };
            if plan.scanned.is_empty() && sorted.is_empty() {
                continue;
            }
            self.0.push(format!(
                "{list}\n  reads from one end to the other: {:?}\n  sorts more than a page: {sorted:?}\n  {}\n    {}",
                plan.scanned,
                plan.statement.chars().take(2_000).collect::<String>(),
                plan.words.join("\n    ")
            ));
        }
    }

    fn none(self) {
        assert!(
            self.0.is_empty(),
            "{} plans are not as they should be:\n{}",
            self.0.len(),
            self.0.join("\n\n")
        );
    }
}

struct Caller {
    principal: Principal,
    policies: PrincipalPolicies,
}

fn owner() -> Caller {
    let policies = PrincipalPolicies::new(Layers { owner: true, ..Layers::default() });
    Caller { principal: Principal::Account { account: account() }, policies }
}

fn user(statements: &str) -> Caller {
    let text = format!(r#"{{"Version":"1","Statement":[{statements}]}}"#);
    let document = PolicyDocument::parse(text.as_bytes(), DocumentKind::Identity).unwrap();
    let identity = PolicySet::new(vec![("plans".into(), Arc::new(document))]);
    let user_id = UserId::parse("200000000000000007").unwrap();
    Caller {
        principal: Principal::User { account: account(), user_id, user_name: "u7".parse().unwrap() },
        policies: PrincipalPolicies::new(Layers { identity, ..Layers::default() }),
    }
}

/// Callers by what they may list.
fn callers() -> BTreeMap<&'static str, Caller> {
    let allow = |resource: &str, condition: &str| {
        format!(r#"{{"Effect":"Allow","Action":"*","Resource":"{resource}"{condition}}}"#)
    };
    let when = |operator: &str, key: &str, value: &str| {
        user(&allow("*", &format!(r#","Condition":{{"{operator}":{{"ecs-workbench:{key}":"{value}"}}}}"#)))
    };
    let on = |instances: &str| allow(&format!("acs:ecs-workbench:*:*:workbench/{instances}"), "");
    let half: Vec<String> = (1..=5).map(|digit| on(&format!("i-*{digit}"))).collect();
    BTreeMap::from([
        ("the owner", owner()),
        ("half of the instances", user(&half.join(","))),
        ("eleven instances", user(&on("i-50*"))),
        ("one instance", user(&on("i-501"))),
        ("a tag", when("StringEquals", "InstanceTag/env", "prod")),
        ("own sessions", when("StringEquals", "SessionOwner", "self")),
        ("sessions of others", when("StringNotEquals", "SessionOwner", "self")),
        ("young recordings", when("NumericLessThan", "RecordingAge", "7")),
    ])
}

impl Observed {
    /// `None` where the caller may not.
    async fn may_list<A: Action>(
        &self,
        caller: &Caller,
        of: Option<&InstanceId>,
        recordings: bool,
    ) -> Option<Granted<A>> {
        let of = of.map(|instance| InstanceFacts {
            region: region(),
            instance: instance.clone(),
            tags: InstanceTags::default(),
        });
        let named = of.as_ref().map(|of| of.instance.clone());
        let mut listing = Listing { of, region: region(), recordings, candidates: Default::default() };
        let needs = list_needs(&A::ENTRY, &caller.principal, &listing, &caller.policies);
        listing.candidates = self.store.candidates_of_list(&account(), named.as_ref(), needs).await.unwrap();
        let facts = RequestFacts::at(Timestamp::from_millis(NOW));
        authorize(&caller.principal, Resource::List(listing), &caller.policies, &facts).ok()
    }
}

fn filters() -> Vec<RecordingFilter> {
    let day = |ago: i64| Some(Timestamp::from_millis(NOW - ago * 86_400_000));
    let none = RecordingFilter::default();
    let statuses = [WireStatus::Running, WireStatus::Finished, WireStatus::Interrupted, WireStatus::Failed];
    let mut all = vec![none.clone()];
    all.extend(statuses.map(|status| RecordingFilter { status: Some(status), ..none.clone() }));
    all.push(RecordingFilter { user_name: Some("u7".to_owned()), ..none.clone() });
    all.push(RecordingFilter { token_prefix: Some(TokenPrefix::parse("5f0c").unwrap()), ..none.clone() });
    let of_a_day =
        |filter: RecordingFilter| RecordingFilter { started_after: day(4), started_before: day(3), ..filter };
    let of_a_user =
        |filter: RecordingFilter| RecordingFilter { user_name: Some("u500".to_owned()), ..filter };
    all.extend(all.clone().into_iter().map(of_a_day));
    all.extend(all.clone().into_iter().filter(|filter| filter.user_name.is_none()).map(of_a_user));
    all
}

async fn recordings(observed: Observed) {
    let mut faults = Faults::default();
    for (who, caller) in callers() {
        for of in [None, Some("i-501".parse::<InstanceId>().unwrap())] {
            for filter in filters() {
                for include_expired in [false, true] {
                    if include_expired && !filter.is_empty() {
                        continue;
                    }
                    let granted = observed.may_list::<ListInstanceRecords>(&caller, of.as_ref(), true).await;
                    let Some(granted) = granted else { continue };
                    let list = |page: PageRequest| RecordingQuery {
                        include_expired,
                        filter: filter.clone(),
                        page,
                        now: Timestamp::from_millis(NOW),
                    };
                    let first = list(PageRequest::After { token: None, size: 2 });
                    let first = observed.store.list_recordings(&granted, first).await.unwrap();
                    observed
                        .store
                        .list_recordings(&granted, list(PageRequest::Number { number: 3, size: 2 }))
                        .await
                        .unwrap();
                    if first.next_token.is_some() {
                        let next = list(PageRequest::After { token: first.next_token, size: 2 });
                        observed.store.list_recordings(&granted, next).await.unwrap();
                    }
                    let name =
                        format!("recordings of {of:?} for {who}, expired too: {include_expired}, {filter:?}");
                    faults.look(&name, &observed.plans().await, filter.token_prefix.is_some());
                }
            }
        }
    }
    faults.none();
}

async fn audit_events(observed: Observed) {
    let mut faults = Faults::default();
    let none = AuditFilter::default();
    let mut filters = vec![none.clone()];
    let principal = || Some(format!("acs:ram::{ACCOUNT}:user/u17"));
    filters.push(AuditFilter { principal: principal(), ..none.clone() });
    let action = || Some("ecs-workbench:ListInstanceRecords".to_owned());
    filters.push(AuditFilter { action: action(), ..none.clone() });
    filters.push(AuditFilter { principal: principal(), action: action(), ..none.clone() });
    for resource in ["i-17", "*"] {
        let resource = format!("acs:ecs-workbench:cn-hangzhou:{ACCOUNT}:workbench/{resource}");
        filters.push(AuditFilter { resource: Some(resource), ..none.clone() });
    }
    for decision in [DecisionKind::Allowed, DecisionKind::Denied, DecisionKind::NotAsked] {
        filters.push(AuditFilter { decision: Some(decision), ..none.clone() });
    }
    let hours = |filter: AuditFilter| AuditFilter {
        from: Some(Timestamp::from_millis(NOW - 7_200_000)),
        until: Some(Timestamp::from_millis(NOW - 3_600_000)),
        ..filter
    };
    filters.extend(filters.clone().into_iter().map(hours));
    for of in [None, Some("i-17".parse::<InstanceId>().unwrap())] {
        let resource = || test_facts::resource_of(of.as_ref());
        let granted: Granted<ListAuditEvents> = test_facts::owner(&account(), resource());
        for filter in &filters {
            let list = |page: PageRequest| AuditQuery { filter: filter.clone(), page };
            let first = list(PageRequest::After { token: None, size: 2 });
            let first = observed.store.list_audit_events(&granted, &first).await.unwrap();
            observed
                .store
                .list_audit_events(&granted, &list(PageRequest::Number { number: 3, size: 2 }))
                .await
                .unwrap();
            if first.next_token.is_some() {
                let next = list(PageRequest::After { token: first.next_token, size: 2 });
                observed.store.list_audit_events(&granted, &next).await.unwrap();
            }
            faults.look(&format!("audit events of {of:?}, {filter:?}"), &observed.plans().await, false);
        }
    }
    faults.none();
}

async fn agents(observed: Observed) {
    let mut faults = Faults::default();
    for (who, caller) in callers() {
        for of in [None, Some("i-501".parse::<InstanceId>().unwrap())] {
            let granted = observed.may_list::<ListAgents>(&caller, of.as_ref(), false).await;
            let Some(granted) = granted else { continue };
            let store = &observed.store;
            let first =
                store.list_agents(&granted, PageRequest::After { token: None, size: 2 }).await.unwrap();
            store.list_agents(&granted, PageRequest::Number { number: 3, size: 2 }).await.unwrap();
            let next = PageRequest::After { token: first.next_token, size: 2 };
            store.list_agents(&granted, next.clone()).await.unwrap();
            store.list_agents_ever(&granted, PageRequest::After { token: None, size: 2 }).await.unwrap();
            let shown: Vec<_> = first.agents.iter().map(|agent| &agent.id).collect();
            store.all_waiting(&granted).await.unwrap();
            store.count_missing_recordings(&granted, &shown).await.unwrap();
            store.spool_disks(&granted, &shown).await.unwrap();
            // One instance has few agents, however many were replaced.
            let few = of.is_some() || ["one instance", "eleven instances"].contains(&who);
            faults.look(&format!("agents of {of:?} for {who}"), &observed.plans().await, few);
        }
    }
    faults.none();
}

async fn identities(observed: Observed) {
    let mut faults = Faults::default();
    let granted: Granted<AdministerIdentity> = as_operator(&account());
    let store = &observed.store;
    let page = MarkerRequest { marker: None, max_items: 2 };
    store.list_users(&granted, &page).await.unwrap();
    faults.look("users", &observed.plans().await, false);
    store.list_groups(&granted, &page).await.unwrap();
    faults.look("groups", &observed.plans().await, false);
    store.list_roles(&granted, &page).await.unwrap();
    faults.look("roles", &observed.plans().await, false);
    let tagged = TagFilter::new(vec![("env".to_owned(), Some("prod".to_owned()))]).unwrap();
    store.list_tagged_roles(&granted, &tagged, &page).await.unwrap();
    faults.look("roles with a tag", &observed.plans().await, false);
    for kind in [None, Some(PolicyKind::Custom), Some(PolicyKind::System)] {
        store.list_policies(&granted, kind, &page).await.unwrap();
        store.list_tagged_policies(&granted, kind, &tagged, &page).await.unwrap();
    }
    faults.look("policies", &observed.plans().await, false);
    for kind in TaggableKind::ALL {
        for filter in [TagFilter::default(), tagged.clone()] {
            let page = PageRequest::After { token: None, size: 2 };
            store.list_tags(&granted, &TagQuery { kind, of: None, filter, page }).await.unwrap();
        }
    }
    faults.look("tags", &observed.plans().await, false);
    for kind in [None, Some(PolicyKind::Custom)] {
        for bearer in [None, Some(BearerKind::User)] {
            let filter = AttachmentFilter { kind, policy: None, bearer, bearer_name: None };
            store.list_policy_attachments(&granted, &filter, 0, 2).await.unwrap();
        }
    }
    faults.look("attachments", &observed.plans().await, true);
}
