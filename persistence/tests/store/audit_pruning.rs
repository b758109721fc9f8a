//! Old rows leave the database once they are in the exported files, and the check tells that from their removal by anybody
//! else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::actions::{ListAuditEvents, VerifyAgentRecordings};
use domain::agent::Agent;
use domain::audit::AuditEvent;
use persistence::{
    ArchivedDays, AuditFault, AuditFilter, AuditFolder, AuditPruning, AuditQuery, AuditVerdict,
    AuditVerification, CheckedFiles, HeldAgainst, PageRequest, PutAway, Store,
};
use sea_orm::ConnectionTrait;
use tempfile::TempDir;

use test_facts::{Backend, DAY, World, account, at, event, on_both, owner, resource_of};

on_both!(
    old_rows_go_and_the_trail_stays_whole,
    the_last_row_of_a_chain_that_may_go_on_stays,
    a_chain_that_ended_goes_whole,
    nothing_goes_that_no_anchor_vouches_for,
    nothing_goes_while_it_cannot_be_exported,
    nothing_goes_that_its_file_does_not_hold,
    what_was_tampered_with_stays,
    rows_that_are_gone_before_an_anchor_end_the_round,
    a_row_put_in_where_one_was_pruned_is_found,
    what_the_database_forgets_of_pruning_is_found,
    nothing_goes_of_another_folder,
    the_database_lets_nobody_delete_what_was_not_pruned,
    a_removal_is_told_from_pruning,
    an_anchor_of_pruning_is_neither_moved_nor_copied_nor_removed,
    what_was_pruned_must_be_in_the_files,
    pruning_stops_anywhere_and_goes_on,
    a_list_says_where_it_was_pruned,
    what_the_trail_says_of_recordings_is_read_in_the_files,
    a_fast_clock_makes_no_row_old,
);

struct Deployment {
    world: World,
    store: Store,
    folder: PathBuf,
    _kept: TempDir,
    writer: String,
}

/// Three days, each with three rows and an anchor, all exported.
async fn exported(world: World) -> Deployment {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("audit");
    let store = world.replica().await;
    store.open_audit_log(&folder).await.unwrap();
    for day in 0..3 {
        for number in 0..3 {
            record(&store, day * DAY + number).await;
        }
        store.anchor_audit(at(day * DAY + 5)).await.unwrap();
        store.export_audit(at(day * DAY + 6)).await.unwrap();
    }
    let rows = world.database.rows("SELECT DISTINCT writer_id AS w FROM audit_events").await;
    let writer = rows[0].try_get("", "w").unwrap();
    Deployment { world, store, folder, _kept: kept, writer }
}

async fn record(store: &Store, millis: i64) {
    store.record_audit(AuditEvent { at: at(millis), ..event(&account(), "ListAgents") }).await.unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    AuditFolder::look(folder).unwrap().files
}

fn edit(file: &Path, change: impl Fn(&str) -> Option<String>) {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter_map(|line| change(line).map(|line| format!("{line}\n")));
    fs::write(file, lines.collect::<String>()).unwrap();
}

fn holds_row(line: &str, number: u64) -> bool {
    line.contains(&format!("\"Sequence\":{number},"))
}

impl Deployment {
    /// Prunes what is older than this moment.
    async fn prune(&self, before: i64) -> AuditPruning {
        self.store.prune_audit(at(before), at(3 * DAY)).await.unwrap()
    }

    /// The numbers of the rows that are there.
    async fn rows(&self) -> Vec<i64> {
        let rows = format!(
            "SELECT sequence AS s FROM audit_events WHERE writer_id = '{}' ORDER BY sequence",
            self.writer
        );
        self.world.database.rows(&rows).await.iter().map(|row| row.try_get("", "s").unwrap()).collect()
    }

    /// As `hansard audit verify` checks.
    async fn verify(&self, archived: &[&str]) -> AuditVerification {
        let archived: Vec<ArchivedDays> = archived.iter().map(|days| days.parse().unwrap()).collect();
        let exports = self.store.audit_exports().await.unwrap();
        let folder = AuditFolder::look(&self.folder).unwrap();
        let files = CheckedFiles::read(&folder, &archived, None, Some(&self.world.keys)).unwrap();
        assert_eq!(files.verification.findings, [], "the files by themselves");
        let put_away = PutAway { archived: &archived, elsewhere: &[] };
        let against = HeldAgainst { files: Some(&files), exports: Some(&exports), put_away, anchors: None };
        self.store.verify_audit(against).await.unwrap()
    }

    async fn findings(&self) -> Vec<(AuditFault, u64)> {
        faults(&self.verify(&[]).await)
    }

    /// Executes statements that the program itself cannot execute.
    async fn tamper(&self, statements: &[String]) {
        let lift: &[&str] = match self.world.database.backend {
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
            self.world.database.execute(statement).await;
        }
    }
}

fn faults(found: &AuditVerification) -> Vec<(AuditFault, u64)> {
    found.findings.iter().map(|finding| (finding.fault, finding.number)).collect()
}

fn pruned(rows: u64) -> AuditPruning {
    AuditPruning { rows, withheld: vec![] }
}

async fn old_rows_go_and_the_trail_stays_whole(world: World) {
    let deployment = exported(world).await;
    assert_eq!(deployment.prune(0).await, pruned(0), "nothing is that old");
    assert_eq!(deployment.prune(DAY).await, pruned(3));
    assert_eq!(deployment.rows().await, [4, 5, 6, 7, 8, 9]);
    assert_eq!(deployment.prune(DAY).await, pruned(0));
    let found = deployment.verify(&[]).await;
    assert_eq!((found.verdict(), &found.findings), (AuditVerdict::Whole, &vec![]));
    let writer = &found.writers[0];
    assert_eq!((writer.rows, writer.pruned, writer.anchored), (6, 3, 9));
    // The chain goes on, and so does the pruning.
    record(&deployment.store, 3 * DAY).await;
    assert_eq!(deployment.prune(2 * DAY).await, pruned(3));
    assert_eq!(deployment.rows().await, [7, 8, 9, 10]);
    assert_eq!(deployment.findings().await, []);
    // The files still hold everything, and the anchors that name what was pruned.
    let lines: usize =
        files(&deployment.folder).iter().map(|file| fs::read_to_string(file).unwrap().lines().count()).sum();
    assert_eq!(lines, 10 + 3 + 2);
    // Without the files, what they should be compared with is not there.
    let found = deployment.store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert_eq!(found.verdict(), AuditVerdict::Incomplete);
    assert_eq!(faults(&found), [(AuditFault::Pruned { through: 6 }, 1)]);
    // What a later start finds.
    let again = deployment.world.replica().await;
    record(&again, 3 * DAY).await;
    assert_eq!(deployment.findings().await, []);
}

async fn the_last_row_of_a_chain_that_may_go_on_stays(world: World) {
    let deployment = exported(world).await;
    // Anchors vouch for rows 3, 6 and 9; the last one stays, and with it all after the anchor before it.
    assert_eq!(deployment.prune(3 * DAY).await, pruned(6));
    assert_eq!(deployment.rows().await, [7, 8, 9]);
    record(&deployment.store, 3 * DAY).await;
    assert_eq!(deployment.prune(3 * DAY).await, pruned(3));
    assert_eq!(deployment.rows().await, [10]);
    assert_eq!(deployment.findings().await, []);
}

async fn a_chain_that_ended_goes_whole(world: World) {
    let deployment = exported(world).await;
    deployment.store.end_audit(at(2 * DAY + 10)).await.unwrap();
    let next = deployment.world.replica().await;
    drop(deployment.store);
    until_open(&next, &deployment.folder).await;
    record(&next, 3 * DAY).await;
    next.export_audit(at(3 * DAY)).await.unwrap();
    let deployment = Deployment { store: next, ..deployment };
    assert_eq!(deployment.prune(3 * DAY).await, pruned(9));
    assert_eq!(deployment.rows().await, [0; 0]);
    let found = deployment.verify(&[]).await;
    assert_eq!((found.verdict(), &found.findings), (AuditVerdict::Whole, &vec![]));
    let of_it = found.writers.iter().find(|writer| writer.writer_id == deployment.writer).unwrap();
    assert_eq!((of_it.rows, of_it.pruned, of_it.anchored), (0, 9, 9));
}

/// The store before it lets go of the folder when its last clone is gone.
async fn until_open(store: &Store, folder: &Path) {
    test_facts::until_async("the folder is free", async || store.open_audit_log(folder).await.ok()).await;
}

async fn nothing_goes_that_no_anchor_vouches_for(world: World) {
    let kept = TempDir::new().unwrap();
    let store = world.replica().await;
    store.open_audit_log(&kept.path().join("audit")).await.unwrap();
    for number in 0..5 {
        record(&store, number).await;
    }
    assert_eq!(store.prune_audit(at(DAY), at(DAY)).await.unwrap(), pruned(0));
    store.anchor_audit(at(10)).await.unwrap();
    record(&store, 20).await;
    assert_eq!(store.prune_audit(at(DAY), at(DAY)).await.unwrap(), pruned(5));
}

async fn nothing_goes_while_it_cannot_be_exported(world: World) {
    let deployment = exported(world).await;
    record(&deployment.store, 3).await;
    // A folder in the place of the file of the day.
    fs::create_dir(deployment.folder.join("events-2023-11-17.log")).unwrap();
    deployment.store.prune_audit(at(2 * DAY), at(3 * DAY)).await.unwrap_err();
    assert_eq!(deployment.rows().await.len(), 10);
    fs::remove_dir(deployment.folder.join("events-2023-11-17.log")).unwrap();
    // The row is of the first day, so that nothing after it is older than all that stays.
    assert_eq!(deployment.prune(2 * DAY).await, pruned(6));
}

async fn nothing_goes_that_its_file_does_not_hold(world: World) {
    let deployment = exported(world).await;
    let (first, second) = (&files(&deployment.folder)[0], &files(&deployment.folder)[1]);
    let whole = fs::read_to_string(first).unwrap();
    let withheld = async |why: &str| {
        let found = deployment.prune(2 * DAY).await;
        assert_eq!((found.rows, found.withheld.len()), (0, 1), "{found:?}");
        assert_eq!(found.withheld[0].writer_id, deployment.writer);
        assert!(found.withheld[0].why.contains(why), "{found:?}");
        assert_eq!(deployment.rows().await.len(), 9);
        assert_eq!(deployment.world.count("audit_pruned", "1 = 1").await, 0);
    };
    edit(first, |line| (!holds_row(line, 2)).then(|| line.to_owned()));
    withheld("row 2 is in no file").await;
    edit(first, |_| None);
    withheld("row 1 is in no file").await;
    fs::write(first, whole.replacen("ListAgents", "ListUsers", 1)).unwrap();
    withheld("row 1 was changed").await;
    fs::write(first, format!("{whole}no line of an audit log\n")).unwrap();
    withheld("line 5 is no whole line").await;
    fs::write(first, &whole).unwrap();
    let other = fs::read_to_string(second).unwrap();
    fs::remove_file(second).unwrap();
    withheld("row 4 is in no file").await;
    fs::write(second, other).unwrap();
    assert_eq!(deployment.prune(2 * DAY).await, pruned(6));
}

async fn what_was_tampered_with_stays(world: World) {
    let deployment = exported(world).await;
    deployment.tamper(&["UPDATE audit_events SET result = 'x' WHERE sequence = 2".to_owned()]).await;
    let found = deployment.prune(2 * DAY).await;
    assert_eq!(found.rows, 0);
    assert!(found.withheld[0].why.contains("row 2 in the database was changed"), "{found:?}");
    deployment.tamper(&["DELETE FROM audit_events WHERE sequence <= 2".to_owned()]).await;
    let found = deployment.prune(2 * DAY).await;
    assert_eq!(found.rows, 0);
    assert!(found.withheld[0].why.contains("rows 1 to 2 are missing"), "{found:?}");
    assert_eq!(deployment.rows().await, [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(deployment.findings().await, [(AuditFault::Missing { through: 2 }, 1)]);
}

/// Rows 5 and 6 are gone, and the rows after them are there: that is found, and is no reason to read for ever.
async fn rows_that_are_gone_before_an_anchor_end_the_round(world: World) {
    let deployment = exported(world).await;
    deployment.tamper(&["DELETE FROM audit_events WHERE sequence IN (5, 6)".to_owned()]).await;
    let round = tokio::time::timeout(Duration::from_secs(20), deployment.prune(2 * DAY));
    let found = round.await.expect("the round ends");
    assert_eq!((found.rows, found.withheld.len()), (0, 1), "{found:?}");
    assert_eq!(deployment.rows().await, [1, 2, 3, 4, 7, 8, 9]);
}

/// In the place of the last pruned row stands another, with the chain value that the anchor names. And so does one in the
/// place of the first that is there, while the removal is under way.
async fn a_row_put_in_where_one_was_pruned_is_found(world: World) {
    let deployment = exported(world).await;
    deployment.tamper(&["CREATE TABLE rows_before AS SELECT * FROM audit_events".to_owned()]).await;
    assert_eq!(deployment.prune(2 * DAY).await, pruned(6));
    let columns = "INSERT INTO audit_events SELECT * FROM rows_before WHERE sequence";
    for (put_back, forged) in [("= 6", 6), ("BETWEEN 4 AND 6", 4), ("<= 6", 1)] {
        // What a removal has left that has not come to its end.
        deployment.tamper(&[format!("{columns} {put_back}")]).await;
        let found = deployment.verify(&[]).await;
        assert_eq!((found.verdict(), &found.findings), (AuditVerdict::Whole, &vec![]), "{put_back}");
        deployment
            .tamper(&[format!(
                "UPDATE audit_events SET principal = 'somebody else' WHERE sequence = {forged}"
            )])
            .await;
        assert_eq!(deployment.findings().await, [(AuditFault::Changed, forged)], "{put_back}");
        deployment.tamper(&["DELETE FROM audit_events WHERE sequence <= 6".to_owned()]).await;
    }
    // Where the file is not at hand, nothing is known of the row.
    deployment.tamper(&[format!("{columns} BETWEEN 4 AND 6")]).await;
    fs::rename(files(&deployment.folder).remove(0), deployment.folder.join("aside")).unwrap();
    let found = deployment.verify(&["2023-11-14"]).await;
    assert_eq!(faults(&found), [(AuditFault::Pruned { through: 3 }, 1)]);
    assert_eq!(found.verdict(), AuditVerdict::Incomplete);
}

/// Whoever makes it forget would make recordings seem never to have been, of which only pruned rows tell.
async fn what_the_database_forgets_of_pruning_is_found(world: World) {
    let deployment = exported(world).await;
    assert_eq!(deployment.prune(2 * DAY).await, pruned(6));
    deployment.world.database.execute("UPDATE audit_pruned SET last_number = 3").await;
    assert_eq!(deployment.findings().await, [(AuditFault::PruningForged, 6)]);
    deployment.world.database.execute("DELETE FROM audit_pruned").await;
    assert_eq!(deployment.findings().await, [(AuditFault::PruningForged, 6)]);
    assert_eq!(deployment.verify(&[]).await.verdict(), AuditVerdict::Inconsistent);
}

async fn nothing_goes_of_another_folder(world: World) {
    let deployment = exported(world).await;
    let other = deployment.world.replica().await;
    let kept = TempDir::new().unwrap();
    other.open_audit_log(&kept.path().join("audit")).await.unwrap();
    for number in 0..3 {
        record(&other, number).await;
    }
    other.anchor_audit(at(10)).await.unwrap();
    record(&other, 20).await;
    assert_eq!(other.prune_audit(at(DAY), at(DAY)).await.unwrap(), pruned(3));
    assert_eq!(deployment.rows().await.len(), 9);
}

async fn the_database_lets_nobody_delete_what_was_not_pruned(world: World) {
    let deployment = exported(world).await;
    let database = &deployment.world.database;
    let refused = async |statement: &str| {
        let refused = database.raw().await.execute_unprepared(statement).await.expect_err(statement);
        assert!(refused.to_string().contains("append-only"), "{refused}");
    };
    refused("DELETE FROM audit_events WHERE sequence = 1").await;
    assert_eq!(deployment.prune(DAY).await, pruned(3));
    for statement in [
        "DELETE FROM audit_events WHERE sequence = 4",
        "DELETE FROM audit_events",
        "UPDATE audit_events SET result = 'x'",
    ] {
        refused(statement).await;
    }
    // Whoever writes there that more was pruned must have an anchor that says so.
    database.execute("UPDATE audit_pruned SET last_number = 8").await;
    refused("DELETE FROM audit_events WHERE sequence = 4").await;
    assert_eq!(deployment.findings().await, [(AuditFault::PruningForged, 8)]);
    assert_eq!(deployment.verify(&[]).await.verdict(), AuditVerdict::Inconsistent);
    // The next round follows the anchors alone.
    assert_eq!(deployment.prune(2 * DAY).await, pruned(3));
    assert_eq!(deployment.findings().await, []);
}

async fn a_removal_is_told_from_pruning(world: World) {
    let deployment = exported(world).await;
    assert_eq!(deployment.prune(DAY).await, pruned(3));
    deployment.tamper(&["DELETE FROM audit_events WHERE sequence = 4".to_owned()]).await;
    assert_eq!(deployment.findings().await, [(AuditFault::Missing { through: 4 }, 4)]);
    deployment.tamper(&["DELETE FROM audit_events WHERE sequence <= 8".to_owned()]).await;
    assert_eq!(deployment.findings().await, [(AuditFault::Missing { through: 8 }, 4)]);
    deployment.tamper(&["DELETE FROM audit_events".to_owned()]).await;
    assert_eq!(deployment.findings().await, [(AuditFault::TailMissing { through: 9 }, 4)]);
    let found = deployment.store.verify_audit(HeldAgainst::default()).await.unwrap();
    assert_eq!(found.verdict(), AuditVerdict::Inconsistent, "also without the files");
}

async fn an_anchor_of_pruning_is_neither_moved_nor_copied_nor_removed(world: World) {
    let deployment = exported(world).await;
    let writer = &deployment.writer;
    assert_eq!(deployment.prune(DAY).await, pruned(3));
    assert_eq!(deployment.prune(2 * DAY).await, pruned(3));
    let whole = "CREATE TABLE anchors_before AS SELECT * FROM audit_anchors".to_owned();
    deployment.tamper(&[whole]).await;
    let again = [
        "DELETE FROM audit_anchors".to_owned(),
        "INSERT INTO audit_anchors SELECT * FROM anchors_before".to_owned(),
    ];
    // Moved forward, to cover the removal of row 7.
    let moved = format!(
        "UPDATE audit_anchors SET anchor = REPLACE(anchor, 'pruned {writer} 6 ', 'pruned {writer} 7 ')"
    );
    deployment.tamper(&[moved]).await;
    let (found, removed) = (deployment.findings().await, (AuditFault::Anchor, 5));
    assert!(found.contains(&removed) && found.contains(&(AuditFault::PruningForged, 6)), "{found:?}");
    // The one before it does not reach so far.
    assert!(found.contains(&(AuditFault::Missing { through: 6 }, 4)), "{found:?}");
    // Removed: the number is missing, and nothing says what was pruned.
    deployment.tamper(&again).await;
    deployment.tamper(&["DELETE FROM audit_anchors WHERE anchor LIKE '%pruned%'".to_owned()]).await;
    let found = deployment.findings().await;
    assert!(found.contains(&(AuditFault::Missing { through: 6 }, 1)), "{found:?}");
    // Copied: an anchor of another deployment's pruning, or an old one in the place of a new one, is out of its chain.
    deployment.tamper(&again).await;
    let copied = "INSERT INTO audit_anchors SELECT writer_id, number + 10, at, anchor, key_id, signature \
                  FROM anchors_before WHERE anchor LIKE '%pruned%'"
        .to_owned();
    deployment.tamper(&[copied]).await;
    let found = deployment.findings().await;
    assert!(found.iter().filter(|(fault, _)| *fault == AuditFault::Anchor).count() >= 2, "{found:?}");
    deployment.tamper(&again).await;
    assert_eq!(deployment.findings().await, []);
}

async fn what_was_pruned_must_be_in_the_files(world: World) {
    let deployment = exported(world).await;
    assert_eq!(deployment.prune(2 * DAY).await, pruned(6));
    let first = files(&deployment.folder).remove(0);
    let aside = deployment.folder.join("aside");
    fs::rename(&first, &aside).unwrap();
    let gone = (AuditFault::NotInFiles { through: 3 }, 1);
    assert!(deployment.findings().await.contains(&gone));
    assert_eq!(faults(&deployment.verify(&["2023-11-14"]).await), []);
    // Also where the database was made to forget what was exported to where, and who wrote.
    for statement in ["DELETE FROM audit_exports", "DELETE FROM audit_writers"] {
        deployment.world.database.execute(statement).await;
        let found = deployment.findings().await;
        assert!(found.contains(&gone), "{statement}: {found:?}");
    }
}

/// However far a round has come when it is cancelled, what is there is whole, and a later round does the rest.
async fn pruning_stops_anywhere_and_goes_on(world: World) {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("audit");
    let store = world.replica().await;
    store.open_audit_log(&folder).await.unwrap();
    for number in 0..300 {
        record(&store, number).await;
    }
    store.anchor_audit(at(1_000)).await.unwrap();
    store.export_audit(at(1_000)).await.unwrap();
    record(&store, DAY).await;
    store.export_audit(at(DAY)).await.unwrap();
    let rows = world.database.rows("SELECT DISTINCT writer_id AS w FROM audit_events").await;
    let writer = rows[0].try_get("", "w").unwrap();
    let deployment = Deployment { world, store, folder, _kept: kept, writer };
    let mut rounds = 0;
    while deployment.rows().await.len() > 1 {
        let round = deployment.store.prune_audit(at(DAY), at(DAY));
        let _ = tokio::time::timeout(Duration::from_micros(300 * (rounds + 1)), round).await;
        rounds += 1;
        let found = deployment.verify(&[]).await;
        assert_eq!(
            (found.verdict(), &found.findings),
            (AuditVerdict::Whole, &vec![]),
            "after round {rounds}"
        );
        assert!(rounds < 1_000);
    }
    assert!(rounds > 1, "no round was cancelled");
    assert_eq!(deployment.rows().await, [301]);
}

async fn a_list_says_where_it_was_pruned(world: World) {
    let deployment = exported(world).await;
    let list = async |from: Option<i64>, size: u32| {
        let granted = owner::<ListAuditEvents>(&account(), resource_of(None));
        let filter = AuditFilter { from: from.map(at), ..AuditFilter::default() };
        let query = AuditQuery { filter, page: PageRequest::After { token: None, size } };
        deployment.store.list_audit_events(&granted, &query).await.unwrap()
    };
    assert_eq!(list(None, 100).await.pruned_before, None);
    assert_eq!(deployment.prune(DAY).await, pruned(3));
    let page = list(None, 100).await;
    assert_eq!((page.events.len(), page.pruned_before), (6, Some(at(DAY))));
    assert_eq!(list(Some(0), 100).await.pruned_before, Some(at(DAY)));
    assert_eq!(list(Some(DAY), 100).await.pruned_before, None, "it asks for nothing so old");
    assert_eq!(list(None, 2).await.pruned_before, None, "the list goes on");
}

/// The rows of an agent's openings and seals, as the control plane writes them.
async fn opened_and_sealed(store: &Store, agent: &Agent, token: &str, number: u64, millis: i64) {
    let account = &agent.account;
    for (action, how) in [
        ("OpenRecording", format!("number {number}")),
        ("SealRecording", format!("seal, manifest {}", "ab".repeat(32))),
    ] {
        let said = AuditEvent {
            at: at(millis),
            principal: format!("acs:ecs-workbench::{account}:agent/{}", agent.id),
            resource: resource_of(Some(&agent.instance)).arn(account),
            recording: Some(token.to_owned()),
            how,
            ..event(account, action)
        };
        store.record_audit(said).await.unwrap();
    }
}

async fn what_the_trail_says_of_recordings_is_read_in_the_files(world: World) {
    let deployment = exported(world).await;
    let store = &deployment.store;
    let agent = deployment.world.agent(&account(), "web1");
    let (old, new) = ("0".repeat(32), "1".repeat(32));
    opened_and_sealed(store, &agent, &old, 1, 2 * DAY + 10).await;
    store.anchor_audit(at(2 * DAY + 20)).await.unwrap();
    opened_and_sealed(store, &agent, &new, 2, 3 * DAY).await;
    let audited = async |store: &Store| {
        let granted = owner::<VerifyAgentRecordings>(&account(), resource_of(None));
        let rows = store.continuity_rows(&granted).await.unwrap();
        let of_agent = rows.agents.get(&agent.id).map(|of| of.audited.clone()).unwrap_or_default();
        let known: Vec<_> = of_agent
            .into_iter()
            .map(|of| (of.token.to_string(), of.number, of.sealed, of.manifest))
            .collect();
        (known, rows.trail_is_partly_elsewhere)
    };
    let before = audited(store).await;
    assert_eq!((before.0.len(), before.1), (2, false));
    assert_eq!(deployment.prune(3 * DAY).await, pruned(11));
    assert_eq!(deployment.world.count("audit_events", "action = 'OpenRecording'").await, 1);
    assert_eq!(audited(store).await, before);
    assert_eq!(audited(store).await, before, "read a second time");
    // A replica that has not these files knows that it does not know.
    let other = deployment.world.replica().await;
    let (known, elsewhere) = audited(&other).await;
    assert_eq!((known.len(), elsewhere), (1, true));
    let kept = TempDir::new().unwrap();
    other.open_audit_log(&kept.path().join("audit")).await.unwrap();
    assert!(audited(&other).await.1);
    // Nor does this one where the file was archived.
    let file = files(&deployment.folder).pop().unwrap();
    fs::rename(&file, deployment.folder.join("aside")).unwrap();
    assert!(audited(store).await.1);
}

async fn a_fast_clock_makes_no_row_old(world: World) {
    let Some(clock) = world.store.clock().await.unwrap() else {
        assert_eq!(world.database.backend, Backend::Sqlite, "its clock is that of the one replica");
        return;
    };
    let kept = TempDir::new().unwrap();
    let store = world.replica().await;
    store.open_audit_log(&kept.path().join("audit")).await.unwrap();
    for _ in 0..3 {
        store.record_audit(AuditEvent { at: clock, ..event(&account(), "ListAgents") }).await.unwrap();
        store.anchor_audit(clock).await.unwrap();
    }
    let day = Duration::from_millis(u64::try_from(DAY).unwrap());
    // In a year's time, by this clock: nothing is older than a day by the database's.
    let fast = clock.plus(day * 365);
    assert_eq!(store.prune_audit(fast.minus(day), fast).await.unwrap(), pruned(0));
    // Once that agrees, everything is but the last row.
    let agreed = clock.minus(day * 365);
    assert_eq!(store.prune_audit(clock.plus(day), agreed).await.unwrap(), pruned(2));
}
