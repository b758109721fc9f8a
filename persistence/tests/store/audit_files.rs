//! Exported files that are missing, whole or in part, are reported; and so is a restored database together with restored
//! files.

use std::fs;
use std::path::{Path, PathBuf};

use domain::audit::AuditEvent;
use persistence::{
    ArchivedDays, AuditExports, AuditFault, AuditFolder, AuditVerdict, AuditVerification, CheckedFiles,
    HeldAgainst, KeptAnchors, PutAway, Store,
};
use tempfile::TempDir;

use test_facts::{Backend, DAY, World, account, at, event, on_both};

on_both!(
    what_is_all_there_is_whole,
    all_files_deleted_are_missed,
    the_folder_deleted_is_missed,
    a_folder_that_began_anew_is_told,
    one_day_deleted_is_missed,
    what_stands_in_another_days_file_is_missed,
    a_day_that_was_put_away_is_accepted_when_it_is_named,
    an_archived_day_excuses_nothing_else,
    a_cut_end_is_missed,
    lines_cut_out_of_the_middle_are_missed,
    anchors_cut_out_are_missed,
    what_an_earlier_version_exported_is_missed,
    what_is_not_exported_for_long_is_told,
    what_is_exported_while_it_is_checked_is_no_finding,
    database_and_files_put_back_together_are_told_by_kept_anchors,
    kept_anchors_that_were_forged_or_rewritten_are_named,
    kept_anchors_are_held_against_files_alone,
    a_file_of_anchors_that_cannot_be_written_gets_the_newest_later,
);

struct Deployment {
    world: World,
    store: Store,
    folder: PathBuf,
    kept: TempDir,
    writer: String,
}

/// Three days, each with three rows and an anchor.
async fn exported(world: World) -> Deployment {
    let kept = TempDir::new().unwrap();
    let folder = kept.path().join("audit");
    let store = world.replica().await;
    store.open_audit_log(&folder).await.unwrap();
    for day in 0..3 {
        export_day(&store, day).await;
    }
    let name = fs::read_to_string(&files(&folder)[0]).unwrap();
    let writer = name.split_once(r#""WriterId":""#).unwrap().1[..32].to_owned();
    Deployment { world, store, folder, kept, writer }
}

async fn export_day(store: &Store, day: i64) {
    for number in 0..3 {
        record(store, day * DAY + number).await;
    }
    store.export_audit(at(day * DAY + 4)).await.unwrap();
    store.anchor_audit(at(day * DAY + 5)).await.unwrap();
    store.export_audit(at(day * DAY + 6)).await.unwrap();
}

async fn record(store: &Store, millis: i64) {
    store.record_audit(AuditEvent { at: at(millis), ..event(&account(), "ListAgents") }).await.unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    AuditFolder::look(folder).unwrap().files
}

impl Deployment {
    /// The same check as `hansard audit verify`.
    async fn verify(&self, archived: &[&str], elsewhere: &[&str]) -> AuditVerification {
        self.verify_after(self.store.audit_exports().await.unwrap(), archived, elsewhere, None).await.0
    }

    async fn verify_after(
        &self,
        exports: AuditExports,
        archived: &[&str],
        elsewhere: &[&str],
        anchors: Option<&KeptAnchors>,
    ) -> (AuditVerification, AuditVerification) {
        let archived: Vec<ArchivedDays> = archived.iter().map(|days| days.parse().unwrap()).collect();
        let elsewhere: Vec<String> = elsewhere.iter().map(|id| (*id).to_owned()).collect();
        let folder = AuditFolder::look(&self.folder).unwrap();
        let files = CheckedFiles::read(&folder, &archived, None, Some(&self.world.keys)).unwrap();
        let put_away = PutAway { archived: &archived, elsewhere: &elsewhere };
        let against = HeldAgainst { files: Some(&files), exports: Some(&exports), put_away, anchors };
        (self.store.verify_audit(against).await.unwrap(), files.verification)
    }

    async fn findings(&self, archived: &[&str]) -> Vec<(AuditFault, u64)> {
        faults(&self.verify(archived, &[]).await)
    }
}

fn faults(found: &AuditVerification) -> Vec<(AuditFault, u64)> {
    found.findings.iter().map(|finding| (finding.fault, finding.number)).collect()
}

fn gone(first: u64, through: u64) -> (AuditFault, u64) {
    (AuditFault::NotInFiles { through }, first)
}

fn edit(file: &Path, keep: impl Fn(usize, &str) -> bool) {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().enumerate().filter(|(place, line)| keep(*place, line));
    fs::write(file, lines.map(|(_, line)| format!("{line}\n")).collect::<String>()).unwrap();
}

async fn what_is_all_there_is_whole(world: World) {
    let deployment = exported(world).await;
    assert_eq!(deployment.findings(&[]).await, []);
    // An existing file may be named all the same, and is checked.
    assert_eq!(deployment.findings(&["2023-11-14..2023-11-16"]).await, []);
    assert_eq!(deployment.world.count("audit_exports", "kind = 'event'").await, 3);
}

async fn all_files_deleted_are_missed(world: World) {
    let deployment = exported(world).await;
    for file in files(&deployment.folder) {
        fs::remove_file(file).unwrap();
    }
    let found = deployment.verify(&[], &[]).await;
    assert_eq!(found.verdict(), AuditVerdict::Inconsistent);
    assert_eq!(faults(&found), [gone(1, 3), gone(4, 6), gone(7, 9), gone(1, 1), gone(2, 2), gone(3, 3)]);
    let why = &found.findings[0].why;
    assert!(
        why.contains("events-2023-11-14.log, which is missing") && why.contains("--archived 2023-11-14"),
        "{why}"
    );
    // Also for a writer whose export is finished.
    deployment.store.end_audit(at(3 * DAY)).await.unwrap();
    deployment.store.export_audit(at(3 * DAY)).await.unwrap();
    assert_eq!(deployment.world.count("audit_writers", "exported_at IS NOT NULL").await, 1);
    assert_eq!(deployment.findings(&[]).await.len(), 6);
}

async fn the_folder_deleted_is_missed(world: World) {
    let deployment = exported(world).await;
    fs::remove_dir_all(&deployment.folder).unwrap();
    let found = deployment.verify(&[], &[]).await;
    assert_eq!((found.verdict(), found.findings.len()), (AuditVerdict::Inconsistent, 6));
}

async fn a_folder_that_began_anew_is_told(world: World) {
    let mut deployment = exported(world).await;
    fs::remove_dir_all(&deployment.folder).unwrap();
    deployment.store = deployment.world.replica().await;
    deployment.store.open_audit_log(&deployment.folder).await.unwrap();
    export_day(&deployment.store, 3).await;
    let found = deployment.verify(&[], &[]).await;
    assert_eq!(
        (found.verdict(), faults(&found)),
        (AuditVerdict::Incomplete, vec![(AuditFault::Elsewhere, 1)])
    );
    let id = found.findings[0].why.split_once("--elsewhere ").unwrap().1.to_owned();
    assert_eq!(faults(&deployment.verify(&[], &[&id]).await), []);
    assert_eq!(faults(&deployment.verify(&[], &["another"]).await), [(AuditFault::Elsewhere, 1)]);
}

async fn one_day_deleted_is_missed(world: World) {
    let deployment = exported(world).await;
    for (day, expected) in [(0, gone(1, 3)), (1, gone(4, 6)), (2, gone(7, 9))] {
        let file = files(&deployment.folder).remove(day);
        let kept = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(deployment.findings(&[]).await.contains(&expected), "day {day}");
        fs::write(&file, kept).unwrap();
        assert_eq!(deployment.findings(&[]).await, []);
        // A file under another name does not count.
        fs::rename(&file, file.with_extension("log.gz")).unwrap();
        assert!(deployment.findings(&[]).await.contains(&expected), "day {day}");
        fs::rename(file.with_extension("log.gz"), &file).unwrap();
    }
}

async fn what_stands_in_another_days_file_is_missed(world: World) {
    let deployment = exported(world).await;
    let days = files(&deployment.folder);
    for (day, name, events, anchor) in [
        (0, "events-2023-11-13.log", gone(1, 3), gone(1, 1)),
        (1, "events-2023-11-15x.log", gone(4, 6), gone(2, 2)),
        (2, "events-2023-12-01.log", gone(7, 9), gone(3, 3)),
    ] {
        let other = deployment.folder.join(name);
        fs::rename(&days[day], &other).unwrap();
        let found = deployment.verify(&[], &[]).await;
        assert_eq!(faults(&found), [events, anchor], "{name}");
        let why = &found.findings[0].why;
        assert!(why.ends_with(".log, and found in another file"), "{why}");
        fs::rename(&other, &days[day]).unwrap();
    }
    assert_eq!(deployment.findings(&[]).await, []);
    // The last row of a day, moved to the beginning of the next one.
    let (before, after) = (fs::read_to_string(&days[0]).unwrap(), fs::read_to_string(&days[1]).unwrap());
    let moved = before.split_inclusive('\n').nth(2).unwrap();
    fs::write(&days[0], before.replace(moved, "")).unwrap();
    fs::write(&days[1], format!("{moved}{after}")).unwrap();
    assert_eq!(deployment.findings(&[]).await, [gone(3, 3)]);
}

async fn a_day_that_was_put_away_is_accepted_when_it_is_named(world: World) {
    let deployment = exported(world).await;
    let days = files(&deployment.folder);
    // Even the one in the middle: the files alone agree then.
    fs::remove_file(&days[1]).unwrap();
    let exports = deployment.store.audit_exports().await.unwrap();
    let (database, in_files) = deployment.verify_after(exports, &["2023-11-15"], &[], None).await;
    assert_eq!((faults(&database), faults(&in_files)), (vec![], vec![]));
    let exports = deployment.store.audit_exports().await.unwrap();
    let (_, in_files) = deployment.verify_after(exports, &[], &[], None).await;
    assert_eq!(faults(&in_files)[0], (AuditFault::Missing { through: 6 }, 4));
    fs::remove_file(&days[0]).unwrap();
    assert_ne!(deployment.findings(&["2023-11-15"]).await, []);
    assert_eq!(deployment.findings(&["2023-11-15", "2023-11-14"]).await, []);
    assert_eq!(deployment.findings(&["2023-01-01..2023-11-15"]).await, []);
}

async fn an_archived_day_excuses_nothing_else(world: World) {
    let deployment = exported(world).await;
    let days = files(&deployment.folder);
    fs::remove_file(&days[1]).unwrap();
    // The end of the previous day, and the beginning of the next one.
    let (before, after) = (fs::read(&days[0]).unwrap(), fs::read(&days[2]).unwrap());
    edit(&days[0], |place, _| place < 2);
    assert!(deployment.findings(&["2023-11-15"]).await.contains(&gone(3, 3)));
    fs::write(&days[0], before).unwrap();
    edit(&days[2], |place, _| place > 0);
    assert_eq!(deployment.findings(&["2023-11-15"]).await, [gone(7, 7)]);
    fs::write(&days[2], after).unwrap();
    // A file that exists, although it is declared archived.
    edit(&days[0], |place, _| place < 2);
    assert!(deployment.findings(&["2023-11-14..2023-11-15"]).await.contains(&gone(3, 3)));
}

async fn a_cut_end_is_missed(world: World) {
    let deployment = exported(world).await;
    for (day, expected) in [(0, gone(2, 3)), (1, gone(5, 6)), (2, gone(8, 9))] {
        let file = files(&deployment.folder).remove(day);
        let whole = fs::read(&file).unwrap();
        edit(&file, |place, _| place < 1);
        assert!(deployment.findings(&[]).await.contains(&expected), "day {day}");
        fs::write(&file, "").unwrap();
        assert!(
            deployment.findings(&[]).await.iter().any(|(_, number)| *number == expected.1 - 1),
            "day {day}"
        );
        fs::write(&file, whole).unwrap();
    }
}

async fn lines_cut_out_of_the_middle_are_missed(world: World) {
    let deployment = exported(world).await;
    edit(&files(&deployment.folder)[1], |place, _| place != 1);
    assert_eq!(deployment.findings(&[]).await, [gone(5, 5)]);
}

async fn anchors_cut_out_are_missed(world: World) {
    let deployment = exported(world).await;
    edit(&files(&deployment.folder)[2], |_, line| !line.starts_with(r#"{"Kind":"Anchor""#));
    assert_eq!(deployment.findings(&[]).await, [gone(3, 3)]);
}

/// Which file a row was in is not known then; it is derived from the row's own time.
async fn what_an_earlier_version_exported_is_missed(world: World) {
    let deployment = exported(world).await;
    deployment.store.end_audit(at(2 * DAY + 7)).await.unwrap();
    deployment.store.export_audit(at(2 * DAY + 8)).await.unwrap();
    deployment.world.database.execute("DELETE FROM audit_exports").await;
    assert_eq!(deployment.findings(&[]).await, []);
    let days = files(&deployment.folder);
    fs::remove_file(&days[0]).unwrap();
    assert_eq!(deployment.findings(&[]).await, [gone(1, 3), gone(1, 1)]);
    assert_eq!(deployment.findings(&["2023-11-14"]).await, []);
    fs::remove_file(&days[1]).unwrap();
    assert_eq!(deployment.findings(&["2023-11-14"]).await, [gone(1, 6), gone(1, 2)]);
    assert_eq!(deployment.findings(&["2023-11-14..2023-11-15"]).await, []);
}

async fn what_is_not_exported_for_long_is_told(world: World) {
    let deployment = exported(world).await;
    record(&deployment.store, 2 * DAY + 10).await;
    assert_eq!(deployment.findings(&[]).await, [], "it will be within a second");
    deployment.store.anchor_audit(at(2 * DAY + DAY / 2)).await.unwrap();
    let found = deployment.verify(&[], &[]).await;
    assert_eq!(faults(&found), [(AuditFault::NotExported { through: 10 }, 10)]);
    assert_eq!(found.verdict(), AuditVerdict::Incomplete);
}

async fn what_is_exported_while_it_is_checked_is_no_finding(world: World) {
    let deployment = exported(world).await;
    let exports = deployment.store.audit_exports().await.unwrap();
    let folder = AuditFolder::look(&deployment.folder).unwrap();
    let files = CheckedFiles::read(&folder, &[], None, Some(&deployment.world.keys)).unwrap();
    export_day(&deployment.store, 3).await;
    let against = HeldAgainst { files: Some(&files), exports: Some(&exports), ..HeldAgainst::default() };
    let found = deployment.store.verify_audit(against).await.unwrap();
    assert_eq!(faults(&found), []);
}

/// What an administrator of the machine can do while no control plane runs.
async fn put_back(deployment: &Deployment, after: i64) {
    let triggers: &[&str] = match deployment.world.database.backend {
        Backend::Sqlite => &["DROP TRIGGER audit_events_undeleted", "DROP TRIGGER audit_anchors_undeleted"],
        Backend::Postgres => &[
            "DROP TRIGGER audit_events_append_only ON audit_events",
            "DROP TRIGGER audit_events_undeleted ON audit_events",
            "DROP TRIGGER audit_anchors_append_only ON audit_anchors",
        ],
        Backend::MariaDb => &["DROP TRIGGER audit_events_undeleted", "DROP TRIGGER audit_anchors_undeleted"],
    };
    for trigger in triggers {
        deployment.world.database.execute(trigger).await;
    }
    let moment = at(after).as_millis();
    deployment.world.database.execute(&format!("DELETE FROM audit_events WHERE at > {moment}")).await;
    deployment.world.database.execute(&format!("DELETE FROM audit_anchors WHERE at > {moment}")).await;
    deployment.world.database.execute("DELETE FROM audit_exports WHERE day > '2023-11-14'").await;
    for file in &files(&deployment.folder)[1..] {
        fs::remove_file(file).unwrap();
    }
}

async fn database_and_files_put_back_together_are_told_by_kept_anchors(world: World) {
    let kept = TempDir::new().unwrap();
    let (folder, file) = (kept.path().join("audit"), kept.path().join("anchors"));
    let store = world.replica().await;
    store.open_audit_log(&folder).await.unwrap();
    store.keep_anchors_in(&file).unwrap();
    for day in 0..3 {
        export_day(&store, day).await;
        store.write_kept_anchors().await.unwrap();
    }
    let mut printed = String::new();
    let print = |text: String| {
        printed.push_str(&text);
        Ok::<(), persistence::StoreError>(())
    };
    store.audit_anchor_lines(at(0), print).await.unwrap();
    assert_eq!(printed, fs::read_to_string(&file).unwrap(), "the command prints what the file gets");
    let deployment = Deployment { world, store, folder, kept, writer: String::new() };
    let anchors = KeptAnchors::read(&file).unwrap();
    assert_eq!((anchors.count(), anchors.torn()), (3, 0));
    let verify = async |anchors| {
        let exports = deployment.store.audit_exports().await.unwrap();
        deployment.verify_after(exports, &[], &[], anchors).await.0
    };
    assert_eq!(faults(&verify(Some(&anchors)).await), []);
    put_back(&deployment, DAY / 2).await;
    assert_eq!(faults(&verify(None).await), [], "it agrees with itself");
    let found = verify(Some(&anchors)).await;
    assert_eq!(
        faults(&found),
        [(AuditFault::RolledBack, 2), (AuditFault::TailMissing { through: 9 }, 4)],
        "{:?}",
        found.findings
    );
    assert!(
        found.findings[0].why.contains("kept in anchors, is not in the database"),
        "{:?}",
        found.findings
    );
    // Only anchors, without a row.
    deployment.world.database.execute("DELETE FROM audit_events").await;
    deployment.world.database.execute("DELETE FROM audit_writers").await;
    assert!(faults(&verify(Some(&anchors)).await).contains(&(AuditFault::WriterMissing, 0)));
}

async fn kept_anchors_that_were_forged_or_rewritten_are_named(world: World) {
    let deployment = exported(world).await;
    let file = deployment.kept.path().join("anchors");
    let mut text = String::new();
    let print = |piece: String| {
        text.push_str(&piece);
        Ok::<(), persistence::StoreError>(())
    };
    deployment.store.audit_anchor_lines(at(DAY), print).await.unwrap();
    assert_eq!(text.lines().count(), 2, "only those since");
    let faults_with = async |text: &str| {
        fs::write(&file, text).unwrap();
        let anchors = KeptAnchors::read(&file).unwrap();
        let exports = deployment.store.audit_exports().await.unwrap();
        faults(&deployment.verify_after(exports, &[], &[], Some(&anchors)).await.0)
    };
    assert_eq!(faults_with(&text).await, []);
    assert_eq!(faults_with(&text.replacen("head 6", "head 7", 1)).await, [(AuditFault::Anchor, 2)]);
    // An incomplete line, and an exported file in its place.
    let torn = format!("{}\n{text}", &text[..50]);
    assert_eq!(faults_with(&torn).await, []);
    assert_eq!(KeptAnchors::read(&file).unwrap().torn(), 1);
    assert_eq!(faults_with(&fs::read_to_string(&files(&deployment.folder)[1]).unwrap()).await, []);
}

async fn kept_anchors_are_held_against_files_alone(world: World) {
    let deployment = exported(world).await;
    let file = deployment.kept.path().join("anchors");
    let mut text = String::new();
    let print = |piece: String| {
        text.push_str(&piece);
        Ok::<(), persistence::StoreError>(())
    };
    deployment.store.audit_anchor_lines(at(0), print).await.unwrap();
    fs::write(&file, text).unwrap();
    let anchors = KeptAnchors::read(&file).unwrap();
    let alone = |keep: &[usize]| {
        let all = files(&deployment.folder);
        let some: Vec<PathBuf> = keep.iter().map(|day| all[*day].clone()).collect();
        let folder = AuditFolder::of_files(&some);
        CheckedFiles::read(&folder, &[], Some(&anchors), Some(&deployment.world.keys)).unwrap().verification
    };
    assert_eq!(faults(&alone(&[0, 1, 2])), []);
    let found = alone(&[0, 1]);
    assert_eq!(faults(&found), [(AuditFault::TailMissing { through: 9 }, 7)]);
    assert_eq!(found.findings[0].writer_id.as_deref(), Some(deployment.writer.as_str()));
    assert_eq!(faults(&alone(&[])), [(AuditFault::Elsewhere, 0)]);
}

async fn a_file_of_anchors_that_cannot_be_written_gets_the_newest_later(world: World) {
    let kept = TempDir::new().unwrap();
    let file = kept.path().join("sub").join("anchors");
    let store = world.replica().await;
    store.keep_anchors_in(&file).unwrap_err();
    fs::create_dir(kept.path().join("sub")).unwrap();
    store.keep_anchors_in(&file).unwrap();
    record(&store, 0).await;
    store.anchor_audit(at(1)).await.unwrap();
    fs::rename(kept.path().join("sub"), kept.path().join("away")).unwrap();
    store.write_kept_anchors().await.unwrap_err();
    assert_eq!(store.audit_export(), persistence::AuditExport::Behind);
    record(&store, 2).await;
    store.anchor_audit(at(3)).await.unwrap();
    fs::rename(kept.path().join("away"), kept.path().join("sub")).unwrap();
    store.write_kept_anchors().await.unwrap();
    assert_eq!(store.audit_export(), persistence::AuditExport::Off);
    // The next control plane starts on a new line, whatever the last one left.
    fs::write(&file, fs::read_to_string(&file).unwrap() + r#"{"Kind":"Anchor","Wri"#).unwrap();
    let next = world.replica().await;
    next.keep_anchors_in(&file).unwrap();
    record(&next, 4).await;
    next.anchor_audit(at(5)).await.unwrap();
    next.write_kept_anchors().await.unwrap();
    let anchors = KeptAnchors::read(&file).unwrap();
    assert_eq!((anchors.count(), anchors.torn()), (3, 1));
    // And without an empty line when the last one left complete lines.
    let last = world.replica().await;
    last.keep_anchors_in(&file).unwrap();
    record(&last, 6).await;
    last.anchor_audit(at(7)).await.unwrap();
    last.write_kept_anchors().await.unwrap();
    assert_eq!(KeptAnchors::read(&file).unwrap().count(), 4);
    assert!(fs::read_to_string(&file).unwrap().lines().all(|line| !line.is_empty()));
}
