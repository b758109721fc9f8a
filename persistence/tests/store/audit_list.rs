//! Queries of the audit trail: every filter, page by page, within the grant.

use domain::actions::ListAuditEvents;
use domain::audit::{AuditDecision, AuditEvent};
use domain::gate::Resource;
use persistence::{AuditFilter, AuditPage, AuditQuery, DecisionKind, PageRequest, StoreError};
use sea_orm::{ConnectionTrait, Statement};

use test_facts::{
    Backend, World, account, as_operator, at, event, instance, on_both, other_account, owner, resource_of,
};

on_both!(
    each_filter_selects_and_all_of_them_together,
    a_grant_for_one_instance_shows_that_instance,
    pages_go_on_where_they_ended,
    rows_of_before_have_their_instance,
);

fn about(name: &str, action: &str) -> AuditEvent {
    let resource = resource_of(Some(&instance(name)));
    AuditEvent { resource: resource.arn(&account()), ..event(&account(), action) }
}

async fn list(world: &World, filter: AuditFilter) -> Vec<AuditEvent> {
    let granted = owner::<ListAuditEvents>(&account(), Resource::Everything);
    let page = PageRequest::After { token: None, size: 100 };
    world.store.list_audit_events(&granted, &AuditQuery { filter, page }).await.unwrap().events
}

async fn each_filter_selects_and_all_of_them_together(world: World) {
    let ana = "acs:ram::1609982529000000:user/ana".to_owned();
    let one = AuditEvent { at: at(1_000), ..about("a", "SetInstanceRecordConfig") };
    let two = AuditEvent {
        at: at(2_000),
        principal: ana.clone(),
        decision: AuditDecision::Denied { by: None },
        result: "Forbidden.RAM".to_owned(),
        ..about("b", "SetInstanceRecordConfig")
    };
    let three = AuditEvent {
        at: at(3_000),
        principal: ana.clone(),
        decision: AuditDecision::NotAsked,
        ..event(&account(), "ListAgents")
    };
    for written in [&one, &two, &three, &event(&other_account(), "ListAgents")] {
        world.store.record_audit(written.clone()).await.unwrap();
    }
    let none = AuditFilter::default();
    let all = [three.clone(), two.clone(), one.clone()];
    for (filter, expected) in [
        (none.clone(), &all[..]),
        (AuditFilter { principal: Some(ana.clone()), ..none.clone() }, &all[..2]),
        (AuditFilter { principal: Some("acs:ram::1609982529000000:user/an".into()), ..none.clone() }, &[]),
        (AuditFilter { principal: Some("%".into()), ..none.clone() }, &[]),
        (AuditFilter { principal: Some("a\0b".into()), ..none.clone() }, &[]),
        (AuditFilter { action: Some("SetInstanceRecordConfig".into()), ..none.clone() }, &all[1..]),
        (AuditFilter { resource: Some("*".into()), ..none.clone() }, &all[..1]),
        (AuditFilter { resource: Some(two.resource.clone()), ..none.clone() }, &all[1..2]),
        (AuditFilter { decision: Some(DecisionKind::Allowed), ..none.clone() }, &all[2..]),
        (AuditFilter { decision: Some(DecisionKind::Denied), ..none.clone() }, &all[1..2]),
        (AuditFilter { decision: Some(DecisionKind::NotAsked), ..none.clone() }, &all[..1]),
        // From a moment on, and before another one.
        (AuditFilter { from: Some(at(2_000)), ..none.clone() }, &all[..2]),
        (AuditFilter { until: Some(at(2_000)), ..none.clone() }, &all[2..]),
        (AuditFilter { from: Some(at(2_000)), until: Some(at(2_001)), ..none.clone() }, &all[1..2]),
        (
            AuditFilter {
                principal: Some(ana),
                action: Some("SetInstanceRecordConfig".into()),
                resource: Some(two.resource.clone()),
                decision: Some(DecisionKind::Denied),
                from: Some(at(0)),
                until: Some(at(9_000)),
            },
            &all[1..2],
        ),
    ] {
        assert_eq!(list(&world, filter.clone()).await, expected, "{filter:?}");
    }
}

async fn a_grant_for_one_instance_shows_that_instance(world: World) {
    for written in [about("a", "ListAgents"), about("b", "ListAgents"), event(&account(), "ListAgents")] {
        world.store.record_audit(written).await.unwrap();
    }
    let granted = owner::<ListAuditEvents>(&account(), resource_of(Some(&instance("b"))));
    let query =
        |token| AuditQuery { filter: AuditFilter::default(), page: PageRequest::After { token, size: 1 } };
    let shown = world.store.list_audit_events(&granted, &query(None)).await.unwrap();
    assert_eq!(
        shown,
        AuditPage { events: vec![about("b", "ListAgents")], next_token: None, pruned_before: None }
    );
    // A token of the whole list is not valid for this one.
    let everything = owner::<ListAuditEvents>(&account(), Resource::Everything);
    let token = world.store.list_audit_events(&everything, &query(None)).await.unwrap().next_token;
    let refused = world.store.list_audit_events(&granted, &query(token)).await.unwrap_err();
    assert!(matches!(refused, StoreError::InvalidPageToken), "{refused:?}");
}

async fn pages_go_on_where_they_ended(world: World) {
    let replica = world.replica().await;
    // Many events at one moment, of two writers.
    for number in 0..25 {
        let written =
            AuditEvent { at: at(number / 7), how: number.to_string(), ..event(&account(), "ListAgents") };
        let store = if number % 2 == 0 { &world.store } else { &replica };
        store.record_audit(written).await.unwrap();
    }
    let granted = owner::<ListAuditEvents>(&account(), Resource::Everything);
    let (mut read, mut token) = (Vec::new(), None);
    loop {
        let page = PageRequest::After { token, size: 4 };
        let query = AuditQuery { filter: AuditFilter::default(), page };
        let page = world.store.list_audit_events(&granted, &query).await.unwrap();
        read.extend(page.events);
        // Events that arrive meanwhile are newer, and do not shift the pages.
        world.store.record_audit(AuditEvent { at: at(100), ..event(&account(), "Later") }).await.unwrap();
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert!(read.is_sorted_by(|a, b| a.at >= b.at));
    let mut numbers: Vec<i64> = read.iter().map(|event| event.how.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..25).collect::<Vec<_>>());
}

/// The migration's own statement, on rows that have no instance yet.
async fn rows_of_before_have_their_instance(world: World) {
    for resource in [
        resource_of(Some(&instance("a"))).arn(&account()),
        resource_of(Some(&instance("a"))).arn(&other_account()),
        "*".to_owned(),
        String::new(),
        "user/ana".to_owned(),
        "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/*".to_owned(),
    ] {
        world.store.record_audit(AuditEvent { resource, ..event(&account(), "X") }).await.unwrap();
    }
    let of_before: &[&str] = match world.database.backend {
        Backend::Sqlite => &[
            "DROP TRIGGER audit_anchors_unchanged",
            "DROP TRIGGER audit_anchors_undeleted",
            "DROP TRIGGER audit_events_undeleted",
            "CREATE TRIGGER audit_events_undeleted BEFORE DELETE ON audit_events \
             BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
        ],
        Backend::Postgres => {
            &["DROP TRIGGER audit_anchors_append_only ON audit_anchors", "DROP FUNCTION audit_anchors_refuse"]
        }
        // MariaDB's tables have had this column from the beginning.
        Backend::MariaDb => return,
    };
    let raw = world.database.raw().await;
    let backend = raw.get_database_backend();
    let instances = async || {
        let statement = "SELECT instance_id FROM audit_events ORDER BY writer_id, sequence";
        let rows = raw.query_all_raw(Statement::from_string(backend, statement)).await.unwrap();
        rows.iter().map(|row| row.try_get::<Option<String>>("", "instance_id").unwrap()).collect::<Vec<_>>()
    };
    let before = instances().await;
    assert_eq!(before.iter().flatten().count(), 1, "{before:?}");
    // Restores the earlier schema, with the existing rows.
    for statement in of_before.iter().chain(&[
        "DROP TABLE audit_anchors",
        "DROP TABLE audit_writers",
        "DROP INDEX audit_events_of_instance",
        "DROP INDEX audit_events_of_principal",
        "DROP INDEX audit_events_denied",
        "DROP INDEX audit_events_of_resource",
        "ALTER TABLE audit_events DROP COLUMN instance_id",
        "DELETE FROM seaql_migrations WHERE version = 'm20261124_120000_audit_trail'",
    ]) {
        raw.execute_unprepared(statement).await.expect(statement);
    }
    let again = world.replica().await;
    assert_eq!(instances().await, before);
    for statement in ["UPDATE audit_events SET result = 'x'", "DELETE FROM audit_events"] {
        raw.execute_unprepared(statement).await.expect_err(statement);
    }
    assert_eq!(again.latest_audit_events(&as_operator(&account()), 100).await.unwrap().len(), 6);
    assert_eq!(world.count("audit_writers", "origin IS NULL AND closed_at IS NULL").await, 1);
}
