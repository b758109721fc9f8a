//! Changes to the audit trail that bypass the program are found, and what was changed is named.

use aws_lc_rs::digest::{Context, SHA256, digest};
use domain::Timestamp;
use domain::audit::AuditEvent;
use domain::server_keys::ServerKeys;
use persistence::{AuditFault, AuditVerdict, AuditVerification, HeldAgainst, Store};
use sea_orm::{ConnectionTrait, QueryResult, Statement};

use test_facts::{Backend, World, account, at, event, on_both};

on_both!(
    what_nobody_touched_is_whole,
    a_changed_field_is_named,
    a_removed_row_is_named,
    swapped_rows_are_named,
    an_inserted_row_is_named,
    a_removed_tail_is_named,
    a_removed_writer_is_named,
    a_chain_that_was_computed_anew_is_named,
    a_forged_filing_is_named,
    anchors_that_were_touched_are_named,
    rows_that_nobody_vouches_for_are_named,
    rows_behind_the_end_are_named,
    a_running_writer_does_not_take_over_what_was_forged,
    a_chain_that_was_given_up_is_signed_off_at_the_end_too,
    a_control_plane_that_starts_vouches_for_those_before_it,
    only_what_moved_is_anchored,
);

const MINUTE: i64 = 60_000;

/// Six rows and an anchor of this store, three rows and an anchor of another control plane, which has seen the first
/// store's chain.
async fn trail(world: &World) -> (Store, String, String) {
    for number in 0..6 {
        record(&world.store, number).await;
    }
    world.store.anchor_audit(at(1_000)).await.unwrap();
    let first = last_writer(world).await;
    let other = world.replica().await;
    for number in 0..3 {
        record(&other, 2_000 + number).await;
    }
    other.anchor_audit(at(3_000)).await.unwrap();
    let second = last_writer(world).await;
    assert_ne!(first, second);
    (other, first, second)
}

async fn record(store: &Store, millis: i64) {
    let written = AuditEvent {
        at: at(millis),
        resource: "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-web1".to_owned(),
        ..event(&account(), "ListAgents")
    };
    store.record_audit(written).await.unwrap();
}

/// The writer of the newest row.
async fn last_writer(world: &World) -> String {
    let raw = world.database.raw().await;
    let newest = "SELECT writer_id FROM audit_events ORDER BY at DESC LIMIT 1";
    let row = raw.query_one_raw(Statement::from_string(raw.get_database_backend(), newest)).await;
    row.unwrap().unwrap().try_get("", "writer_id").unwrap()
}

/// Executes statements that the program itself cannot execute.
async fn tamper(world: &World, statements: &[String]) {
    let raw = world.database.raw().await;
    let lift: &[&str] = match world.database.backend {
        Backend::Sqlite | Backend::MariaDb => &[
            "DROP TRIGGER IF EXISTS audit_events_unchanged",
            "DROP TRIGGER IF EXISTS audit_events_undeleted",
            "DROP TRIGGER IF EXISTS audit_anchors_unchanged",
            "DROP TRIGGER IF EXISTS audit_anchors_undeleted",
        ],
        Backend::Postgres => &[
            "DROP TRIGGER IF EXISTS audit_events_append_only ON audit_events",
            "DROP TRIGGER IF EXISTS audit_events_undeleted ON audit_events",
            "DROP TRIGGER IF EXISTS audit_anchors_append_only ON audit_anchors",
        ],
    };
    for statement in lift.iter().copied().chain(statements.iter().map(String::as_str)) {
        raw.execute_unprepared(statement).await.expect(statement);
    }
}

async fn verify(world: &World) -> AuditVerification {
    world.store.verify_audit(HeldAgainst::default()).await.unwrap()
}

/// The findings about one writer: the fault and the place.
fn about<'v>(found: &'v AuditVerification, writer: &str) -> Vec<(AuditFault, u64)> {
    let of_writer = |finding: &&'v persistence::AuditFinding| finding.writer_id.as_deref() == Some(writer);
    found.findings.iter().filter(of_writer).map(|finding| (finding.fault, finding.number)).collect()
}

fn verdicts(found: &AuditVerification) -> Vec<AuditVerdict> {
    found.writers.iter().map(|writer| writer.verdict).collect()
}

async fn what_nobody_touched_is_whole(world: World) {
    let (other, first, second) = trail(&world).await;
    record(&other, 4_000).await;
    let found = verify(&world).await;
    assert_eq!((found.verdict(), &found.findings), (AuditVerdict::Whole, &vec![]));
    assert_eq!((found.anchors, found.unknown_signatures, found.writers.len()), (2, 0, 2));
    let of = |writer: &str| found.writers.iter().find(|checked| checked.writer_id == writer).unwrap();
    assert_eq!((of(&first).rows, of(&first).anchored), (6, 6));
    assert_eq!((of(&first).first, of(&first).last), (Some((1, at(0))), Some((6, at(5)))));
    // The newest row waits for the next anchor.
    assert_eq!((of(&second).rows, of(&second).anchored), (4, 3));
}

async fn a_changed_field_is_named(world: World) {
    let (_, first, second) = trail(&world).await;
    let columns = [
        ("request_id", "'x'"),
        ("at", "at + 1"),
        ("account_id", "'1609982529000001'"),
        ("principal", "'acs:ram::1609982529000000:user/eve'"),
        ("access_key_id", "NULL"),
        ("action", "'x'"),
        ("resource", "'*'"),
        ("decision", "'nonsense'"),
        ("decided_by", "NULL"),
        ("result", "'x'"),
        ("source_address", "'no address'"),
        ("user_agent", "''"),
        ("recording", "''"),
        ("how", "'x'"),
        ("chain", "'no chain'"),
    ];
    for (column, value) in columns {
        let row = format!("WHERE writer_id = '{first}' AND sequence = 3");
        tamper(
            &world,
            &[
                format!("CREATE TABLE kept AS SELECT * FROM audit_events {row}"),
                format!("UPDATE audit_events SET {column} = {value} {row}"),
            ],
        )
        .await;
        let found = verify(&world).await;
        let named = about(&found, &first);
        assert!(named.contains(&(AuditFault::Changed, 3)), "{column}: {named:?}");
        assert!(named.iter().all(|(_, number)| *number == 3), "{column}: {named:?}");
        assert_eq!(about(&found, &second), [], "{column}");
        assert_eq!(found.verdict(), AuditVerdict::Inconsistent);
        tamper(
            &world,
            &[
                format!("DELETE FROM audit_events {row}"),
                "INSERT INTO audit_events SELECT * FROM kept".to_owned(),
                "DROP TABLE kept".to_owned(),
            ],
        )
        .await;
        assert_eq!(verify(&world).await.findings, [], "{column}, put back");
    }
}

async fn a_removed_row_is_named(world: World) {
    let (_, first, second) = trail(&world).await;
    tamper(
        &world,
        &[
            format!("DELETE FROM audit_events WHERE writer_id = '{first}' AND sequence IN (1, 3, 4)"),
            format!("DELETE FROM audit_events WHERE writer_id = '{second}' AND sequence = 2"),
        ],
    )
    .await;
    let found = verify(&world).await;
    let missing = |number, through| (AuditFault::Missing { through }, number);
    assert_eq!(about(&found, &first), [missing(1, 1), missing(3, 4)]);
    assert_eq!(about(&found, &second), [missing(2, 2)]);
    assert_eq!(verdicts(&found), [AuditVerdict::Inconsistent; 2]);

    // The same with the later rows moved up.
    tamper(
        &world,
        &[format!("UPDATE audit_events SET sequence = 2 WHERE writer_id = '{second}' AND sequence = 3")],
    )
    .await;
    let found = about(&verify(&world).await, &second);
    assert_eq!(found, [(AuditFault::Changed, 2), (AuditFault::TailMissing { through: 3 }, 3)]);
}

async fn swapped_rows_are_named(world: World) {
    let (_, first, _) = trail(&world).await;
    let to = |from: i64, to: i64| {
        format!("UPDATE audit_events SET sequence = {to} WHERE writer_id = '{first}' AND sequence = {from}")
    };
    tamper(&world, &[to(2, 99), to(4, 2), to(99, 4)]).await;
    let named = about(&verify(&world).await, &first);
    for number in [2, 4] {
        assert!(named.contains(&(AuditFault::Changed, number)), "{named:?}");
    }
    assert!(named.iter().all(|(fault, _)| *fault == AuditFault::Changed), "{named:?}");
}

async fn an_inserted_row_is_named(world: World) {
    let (_, first, _) = trail(&world).await;
    let columns =
        "chain, request_id, at, account_id, principal, action, resource, decision, result, user_agent, how";
    let insert = format!(
        "INSERT INTO audit_events (writer_id, sequence, {columns}) SELECT writer_id, 7, {columns} FROM audit_events \
         WHERE writer_id = '{first}' AND sequence = 5"
    );
    tamper(&world, &[insert]).await;
    let named = about(&verify(&world).await, &first);
    assert_eq!(named, [(AuditFault::Changed, 7), (AuditFault::Instance, 7)]);
    // Inserted in between, after making room for it.
    let moved = (6..=7).rev().map(|from| {
        let to = from + 1;
        format!("UPDATE audit_events SET sequence = {to} WHERE writer_id = '{first}' AND sequence = {from}")
    });
    let insert = format!(
        "INSERT INTO audit_events (writer_id, sequence, {columns}) SELECT writer_id, 6, {columns} FROM audit_events \
         WHERE writer_id = '{first}' AND sequence = 5"
    );
    tamper(&world, &moved.chain([insert]).collect::<Vec<_>>()).await;
    assert!(about(&verify(&world).await, &first).contains(&(AuditFault::Changed, 6)));
}

async fn a_removed_tail_is_named(world: World) {
    let (_, first, second) = trail(&world).await;
    let cut = |writer: &str, table: &str, what: &str| {
        format!("DELETE FROM {table} WHERE writer_id = '{writer}' {what}")
    };
    tamper(&world, &[cut(&first, "audit_events", "AND sequence > 4")]).await;
    let tail = [(AuditFault::TailMissing { through: 6 }, 5)];
    assert_eq!(about(&verify(&world).await, &first), tail);
    // Its own anchors are removed too: the other control plane has seen more of the chain.
    tamper(&world, &[cut(&first, "audit_anchors", "")]).await;
    let found = verify(&world).await;
    assert_eq!(about(&found, &first), tail);
    assert!(found.findings[0].why.contains(&format!("anchor 1 of writer {second}")), "{:?}", found.findings);
    assert_eq!(about(&found, &second), []);
}

async fn a_removed_writer_is_named(world: World) {
    let (_, first, _) = trail(&world).await;
    let all = ["audit_events", "audit_anchors", "audit_writers"]
        .map(|table| format!("DELETE FROM {table} WHERE writer_id = '{first}'"));
    tamper(&world, &all).await;
    let found = verify(&world).await;
    assert_eq!(about(&found, &first), [(AuditFault::WriterMissing, 0)]);
    // A writer that no other has seen, and of which only the row in the list of writers is left.
    let third = world.replica().await;
    record(&third, 9_000).await;
    let third = last_writer(&world).await;
    tamper(&world, &[format!("DELETE FROM audit_events WHERE writer_id = '{third}'")]).await;
    assert_eq!(about(&verify(&world).await, &third), [(AuditFault::WriterMissing, 0)]);
}

/// Chains need no key: anyone who can write to the database can compute them anew.
async fn a_chain_that_was_computed_anew_is_named(world: World) {
    let (_, first, second) = trail(&world).await;
    let raw = world.database.raw().await;
    let row = format!("WHERE writer_id = '{first}' AND sequence");
    tamper(&world, &[format!("UPDATE audit_events SET result = 'Forbidden.RAM' {row} = 2")]).await;
    assert_eq!(about(&verify(&world).await, &first), [(AuditFault::Changed, 2)]);
    let all = Statement::from_string(
        raw.get_database_backend(),
        format!("SELECT * FROM audit_events WHERE writer_id = '{first}' ORDER BY sequence"),
    );
    let mut chain = digest(&SHA256, format!("hansard-audit-v1{first}").as_bytes()).as_ref().to_vec();
    for found in raw.query_all_raw(all).await.unwrap() {
        let sequence: i64 = found.try_get("", "sequence").unwrap();
        chain = chain_after(&chain, sequence, &found);
        let value = hex::encode(&chain);
        raw.execute_unprepared(&format!("UPDATE audit_events SET chain = '{value}' {row} = {sequence}"))
            .await
            .unwrap();
    }
    let found = verify(&world).await;
    assert_eq!(about(&found, &first), [(AuditFault::Rewritten, 6)], "the rows agree with each other again");
    assert_eq!(about(&found, &second), []);
}

/// The chain value of a row at a place, by the rule in `audit::chain`.
fn chain_after(before: &[u8], sequence: i64, row: &QueryResult) -> Vec<u8> {
    let text = |column: &str| row.try_get::<Option<String>>("", column).unwrap();
    let time: i64 = row.try_get("", "at").unwrap();
    let mut link = Context::new(&SHA256);
    link.update(b"hansard-audit-v1");
    link.update(before);
    link.update(&u64::try_from(sequence).unwrap().to_be_bytes());
    for column in [
        "request_id",
        "at",
        "account_id",
        "principal",
        "access_key_id",
        "action",
        "resource",
        "decision",
        "decided_by",
        "result",
        "source_address",
        "user_agent",
        "recording",
        "how",
    ] {
        let field = if column == "at" { Some(time.to_string()) } else { text(column) };
        let length = field.as_ref().map_or(u32::MAX, |text| u32::try_from(text.len()).unwrap());
        link.update(&length.to_be_bytes());
        link.update(field.unwrap_or_default().as_bytes());
    }
    link.finish().as_ref().to_vec()
}

async fn a_forged_filing_is_named(world: World) {
    let (_, first, _) = trail(&world).await;
    for value in ["NULL", "'i-other'"] {
        let row = format!("WHERE writer_id = '{first}' AND sequence = 2");
        tamper(&world, &[format!("UPDATE audit_events SET instance_id = {value} {row}")]).await;
        assert_eq!(about(&verify(&world).await, &first), [(AuditFault::Instance, 2)], "{value}");
    }
}

async fn anchors_that_were_touched_are_named(world: World) {
    let (_, first, second) = trail(&world).await;
    for round in 1..=3 {
        record(&world.store, 5_000 + round).await;
        world.store.anchor_audit(at(6_000 + round)).await.unwrap();
    }
    assert_eq!(verify(&world).await.findings, []);
    let anchor =
        |what: &str| format!("UPDATE audit_anchors SET {what} WHERE writer_id = '{first}' AND number = 3");
    let named = async || about(&verify(&world).await, &first);
    for (change, back) in [
        ("anchor = anchor || 'other '", "anchor = substr(anchor, 1, length(anchor) - 6)"),
        ("at = at + 1", "at = at - 1"),
        ("signature = 'x' || signature", "signature = substr(signature, 2)"),
    ] {
        tamper(&world, &[anchor(change)]).await;
        assert!(named().await.contains(&(AuditFault::Anchor, 3)), "{change}");
        tamper(&world, &[anchor(back)]).await;
        assert_eq!(named().await, [], "{back}");
    }
    // A number that was removed leaves a gap, which cannot be closed.
    let out = format!("DELETE FROM audit_anchors WHERE writer_id = '{first}' AND number = 2");
    tamper(&world, &[out]).await;
    assert_eq!(named().await, [(AuditFault::Anchor, 2)]);
    // A forger without the keys signs with other keys: they are unknown, and vouch for nothing.
    let unknown = "UPDATE audit_anchors SET key_id = 'configuration-none'".to_owned();
    tamper(&world, &[unknown]).await;
    let found = verify(&world).await;
    assert_eq!(found.unknown_signatures, found.anchors);
    assert!(found.writers.iter().all(|writer| writer.anchored == 0));
    assert_eq!(about(&found, &second), []);
}

async fn rows_that_nobody_vouches_for_are_named(world: World) {
    let (_, first, second) = trail(&world).await;
    tamper(&world, &["DELETE FROM audit_anchors".to_owned()]).await;
    // They could be new.
    assert_eq!(verify(&world).await.findings, []);
    record(&world.store, 61 * MINUTE).await;
    let found = verify(&world).await;
    assert_eq!(about(&found, &first), [(AuditFault::Unanchored, 1)]);
    assert_eq!(about(&found, &second), [(AuditFault::Unanchored, 1)]);
    assert_eq!(found.verdict(), AuditVerdict::Unanchored);
    assert!(found.findings[0].why.contains("no signed anchor vouches for"), "{:?}", found.findings);
}

async fn rows_behind_the_end_are_named(world: World) {
    let (other, _, second) = trail(&world).await;
    other.end_audit(at(4_000)).await.unwrap();
    other.end_audit(at(4_001)).await.unwrap();
    assert_eq!(world.count("audit_anchors", &format!("writer_id = '{second}'")).await, 2);
    // A late row begins a new chain.
    record(&other, 5_000).await;
    assert_ne!(last_writer(&world).await, second);
    assert_eq!(verify(&world).await.findings, []);
    forge_next(&world, &second).await;
    let found = verify(&world).await;
    assert_eq!(about(&found, &second), [(AuditFault::AfterEnd, 4)]);
}

/// Appends a row to a writer's chain as the program itself would have done.
async fn forge_next(world: &World, writer: &str) {
    let raw = world.database.raw().await;
    let last =
        format!("SELECT * FROM audit_events WHERE writer_id = '{writer}' ORDER BY sequence DESC LIMIT 1");
    let row = raw.query_one_raw(Statement::from_string(raw.get_database_backend(), last)).await;
    let row = row.unwrap().unwrap();
    let sequence: i64 = row.try_get("", "sequence").unwrap();
    let before: String = row.try_get("", "chain").unwrap();
    let chain = hex::encode(chain_after(&hex::decode(before).unwrap(), sequence + 1, &row));
    let columns = "request_id, at, account_id, principal, access_key_id, action, resource, decision, decided_by, \
                   result, source_address, user_agent, recording, how, instance_id";
    let insert = format!(
        "INSERT INTO audit_events (writer_id, sequence, chain, {columns}) SELECT writer_id, sequence + 1, '{chain}', \
         {columns} FROM audit_events WHERE writer_id = '{writer}' AND sequence = {sequence}"
    );
    raw.execute_unprepared(&insert).await.unwrap();
}

/// The forged row is where the next one belongs: that call fails, and the next one begins another chain. A group that is one
/// statement on PostgreSQL is then written by several, and begins it itself.
async fn is_written_after_a_forged_row(world: &World, other: &Store) -> bool {
    let told = other.record_audit(event(&account(), "ListAgents")).await;
    assert_eq!(told.is_ok(), world.database.backend == Backend::Postgres, "{told:?}");
    told.is_ok()
}

async fn a_running_writer_does_not_take_over_what_was_forged(world: World) {
    let (other, _, second) = trail(&world).await;
    forge_next(&world, &second).await;
    let written = is_written_after_a_forged_row(&world, &other).await;
    record(&other, 8_000).await;
    let third = last_writer(&world).await;
    assert_ne!(third, second);
    other.anchor_audit(at(9_000)).await.unwrap();
    let found = verify(&world).await;
    assert_eq!(about(&found, &second), [(AuditFault::AfterEnd, 4)]);
    assert_eq!(about(&found, &third), []);
    let of_third = found.writers.iter().find(|writer| writer.writer_id == third).unwrap();
    let rows = 1 + u64::from(written);
    assert_eq!((of_third.rows, of_third.anchored), (rows, rows));
}

async fn a_chain_that_was_given_up_is_signed_off_at_the_end_too(world: World) {
    let (other, _, second) = trail(&world).await;
    forge_next(&world, &second).await;
    is_written_after_a_forged_row(&world, &other).await;
    // Unless that began a new chain, it stops before another row does.
    other.end_audit(at(9_000)).await.unwrap();
    let found = verify(&world).await;
    assert_eq!(about(&found, &second), [(AuditFault::AfterEnd, 4)]);
    assert_eq!(found.findings.len(), 1, "{:?}", found.findings);
}

async fn a_control_plane_that_starts_vouches_for_those_before_it(world: World) {
    let killed = world.replica().await;
    record(&killed, 0).await;
    let writer = last_writer(&world).await;
    // It never made an anchor; the next control plane that runs does, although it has no rows of its own.
    world.store.anchor_audit(at(1_000)).await.unwrap();
    let found = verify(&world).await;
    let of = |writer: &str| found.writers.iter().find(|checked| checked.writer_id == writer).unwrap();
    assert_eq!(of(&writer).anchored, 1);
    let own = found.writers.iter().find(|checked| checked.writer_id != writer).unwrap();
    assert_eq!((own.rows, own.verdict), (0, AuditVerdict::Whole));
    // After an hour of silence the writer is finished, and is no longer visited.
    let open = format!("writer_id = '{writer}' AND closed_at IS NULL");
    world.store.anchor_audit(at(59 * MINUTE)).await.unwrap();
    assert_eq!(world.count("audit_writers", &open).await, 1);
    world.store.anchor_audit(at(61 * MINUTE)).await.unwrap();
    assert_eq!(world.count("audit_writers", &open).await, 0);
    // It was only suspended.
    killed.anchor_audit(at(62 * MINUTE)).await.unwrap();
    assert_eq!(world.count("audit_writers", &open).await, 1);
    assert_eq!(verify(&world).await.findings, []);
}

async fn only_what_moved_is_anchored(world: World) {
    let anchors = async || world.count("audit_anchors", "1 = 1").await;
    world.store.anchor_audit(at(0)).await.unwrap();
    assert_eq!(anchors().await, 0, "nothing was written yet");
    world.store.end_audit(at(0)).await.unwrap();
    assert_eq!(anchors().await, 0, "nothing to end");
    record(&world.store, 1).await;
    for (round, expected) in [(1, 1), (2, 1), (3, 1)] {
        world.store.anchor_audit(at(round * MINUTE)).await.unwrap();
        assert_eq!(anchors().await, expected);
    }
    let heard = world.count("audit_writers", &format!("heard_at = {}", at(3 * MINUTE).as_millis())).await;
    assert_eq!(heard, 1);
    record(&world.store, 2).await;
    world.store.anchor_audit(at(4 * MINUTE)).await.unwrap();
    assert_eq!(anchors().await, 2);
    // More writers than one anchor names.
    let raw = world.database.raw().await;
    for number in 0..1_201 {
        let writer = format!("{number:032x}");
        let time = Timestamp::from_millis(0).as_millis();
        raw.execute_unprepared(&format!(
            "INSERT INTO audit_writers (writer_id, heard_at, exported_events, exported_anchors) \
             VALUES ('{writer}', {time}, 0, 0)"
        ))
        .await
        .unwrap();
        raw.execute_unprepared(&format!(
            "INSERT INTO audit_events (writer_id, sequence, chain, request_id, at, account_id, principal, action, \
             resource, decision, result, user_agent, how) \
             VALUES ('{writer}', 1, '{}', '', 0, '', '', '', '', '', '', '', '')",
            "ab".repeat(32)
        ))
        .await
        .unwrap();
    }
    world.store.anchor_audit(at(5 * MINUTE)).await.unwrap();
    assert_eq!(anchors().await, 5);
    world.store.anchor_audit(at(6 * MINUTE)).await.unwrap();
    assert_eq!(anchors().await, 5);
    let found = verify(&world).await;
    assert!(found.findings.iter().all(|finding| finding.fault != AuditFault::Anchor), "{:?}", found.findings);
}

/// What was signed before the keys were rotated is still vouched for, unless the old keys are missing.
async fn keys_of_before_still_vouch(backend: Backend) {
    let world = World::new(backend).await;
    trail(&world).await;
    let rotated = world.keys.rotated(domain::server_keys::Purpose::Configuration).unwrap();
    let store = Store::connect(world.database.parsed(), rotated.into()).await.unwrap();
    record(&store, 4_000).await;
    store.anchor_audit(at(5_000)).await.unwrap();
    let found = store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert_eq!((found.verdict(), found.unknown_signatures, found.anchors), (AuditVerdict::Whole, 0, 3));
    let found = world.store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert_eq!((found.verdict(), found.unknown_signatures), (AuditVerdict::Whole, 1));
    let strange = ServerKeys::generate().unwrap();
    let store = Store::connect(world.database.parsed(), strange.into()).await.unwrap();
    assert_eq!(store.verify_audit(HeldAgainst::default()).await.unwrap().unknown_signatures, 3);
}

#[tokio::test]
async fn keys_of_before_still_vouch_on_sqlite() {
    keys_of_before_still_vouch(Backend::Sqlite).await;
}

#[tokio::test]
async fn keys_of_before_still_vouch_on_postgres() {
    keys_of_before_still_vouch(Backend::Postgres).await;
}

#[tokio::test]
async fn keys_of_before_still_vouch_on_mariadb() {
    keys_of_before_still_vouch(Backend::MariaDb).await;
}
