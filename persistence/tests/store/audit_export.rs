//! Exported files: every row is exported once, whatever is killed in between.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use domain::audit::AuditEvent;
use persistence::{
    AuditExport, AuditExportError, AuditFault, AuditFolder, AuditLogError, AuditVerdict, CheckedFiles,
    HeldAgainst, Store,
};
use tempfile::TempDir;

use test_facts::{Backend, DAY, World, account, as_operator, at, event, instance, on_both, until_async};

on_both!(
    every_row_and_anchor_is_one_line_and_the_files_are_private,
    a_torn_line_is_written_again_and_nothing_twice,
    what_a_killed_one_left_the_next_exports,
    a_lost_state_costs_nothing,
    a_day_has_its_file_and_the_link_follows,
    whoever_follows_the_link_sees_every_line,
    each_replica_exports_its_own_rows_and_one_takes_the_rest,
    a_folder_has_one_writer,
    what_cannot_be_written_follows_later,
    files_that_were_touched_are_named,
    the_database_is_held_against_the_files,
    many_rows_are_exported_in_batches,
);

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let audit = folder.path().join("audit");
    (folder, audit)
}

async fn exporting(world: &World, folder: &Path) -> Store {
    let store = world.replica().await;
    store.open_audit_log(folder).await.unwrap();
    store
}

async fn record(store: &Store, millis: i64) {
    store.record_audit(AuditEvent { at: at(millis), ..event(&account(), "ListAgents") }).await.unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.file_name().unwrap().to_str().unwrap().starts_with("events-"));
    files.sort();
    files
}

/// The lines of events, as writer and number, in their order.
fn lines(folder: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for file in files(folder) {
        for line in fs::read_to_string(file).unwrap().lines() {
            if line.starts_with(r#"{"Kind":"Event","#) {
                let after = |name: &str| line.split_once(&format!("\"{name}\":")).unwrap().1;
                let writer = after("WriterId").trim_start_matches('"').split('"').next().unwrap().to_owned();
                let number = after("Sequence").split(',').next().unwrap().parse().unwrap();
                found.push((writer, number));
            } else {
                assert!(line.starts_with(r#"{"Kind":"Anchor","#), "{line}");
            }
        }
    }
    found
}

/// Each writer's numbers must be 1 to its last, each once, in order.
fn assert_complete(folder: &Path, expected_rows: usize) {
    let mut of_writers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (writer, number) in lines(folder) {
        of_writers.entry(writer).or_default().push(number);
    }
    assert_eq!(of_writers.values().map(Vec::len).sum::<usize>(), expected_rows, "{of_writers:?}");
    for numbers in of_writers.values() {
        assert_eq!(*numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
}

fn check(world: &World, folder: &Path) -> CheckedFiles {
    CheckedFiles::read(&AuditFolder::look(folder).unwrap(), &[], None, Some(&world.keys)).unwrap()
}

fn against(files: &CheckedFiles) -> HeldAgainst<'_> {
    HeldAgainst { files: Some(files), ..HeldAgainst::default() }
}

async fn every_row_and_anchor_is_one_line_and_the_files_are_private(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    assert_eq!(world.store.audit_export(), AuditExport::Off);
    assert_eq!(world.store.export_audit(at(0)).await.unwrap(), 0);
    assert_eq!(store.export_audit(at(0)).await.unwrap(), 0);
    assert_eq!(files(&folder), [] as [PathBuf; 0]);
    for number in 0..5 {
        record(&store, number).await;
    }
    store.audit_written().await;
    assert_eq!(store.export_audit(at(10)).await.unwrap(), 5);
    store.anchor_audit(at(11)).await.unwrap();
    assert_eq!(store.export_audit(at(12)).await.unwrap(), 1);
    assert_eq!(store.export_audit(at(13)).await.unwrap(), 0);
    assert_eq!(store.audit_export(), AuditExport::Current);
    assert_complete(&folder, 5);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in [".lock", ".export-state", "events.log", "events-2023-11-14.log"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
    let checked = check(&world, &folder);
    assert_eq!((checked.verification.verdict(), checked.torn), (AuditVerdict::Whole, false));
    assert_eq!(checked.verification.writers[0].anchored, 5);
    assert_eq!((checked.verification.anchors, checked.verification.unknown_signatures), (1, 0));
    // Without keys the chain is still checked.
    let checked =
        CheckedFiles::read(&AuditFolder::look(&folder).unwrap(), &[], None, None).unwrap().verification;
    assert_eq!((checked.findings.len(), checked.unknown_signatures), (0, 1));
}

async fn a_torn_line_is_written_again_and_nothing_twice(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    for number in 0..3 {
        record(&store, number).await;
    }
    store.export_audit(at(0)).await.unwrap();
    drop(store);
    let file = files(&folder).remove(0);
    let whole = fs::read(&file).unwrap();
    let second_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    // Wherever a write was cut off, and whatever a file system leaves after it following a loss of power.
    for cut in [0, 1, second_line, last_line, last_line + 1, whole.len() - 1, whole.len()] {
        for rest in [&b""[..], b"\0\0\0\0", b"{\"Kind\":\"Event\"", b"nonsense\n"] {
            let mut damaged = whole[..cut].to_vec();
            damaged.extend_from_slice(rest);
            fs::write(&file, &damaged).unwrap();
            // The state was written before the batch.
            fs::remove_file(folder.join(".export-state")).unwrap();
            let store = again(&world, &folder).await;
            store.export_audit(at(0)).await.unwrap();
            assert_eq!(fs::read(&file).unwrap(), whole, "cut at {cut}, then {rest:?}");
        }
    }
}

/// The next start on the same folder. It takes on the rows of the earlier writers, because their origin is cleared.
async fn again(world: &World, folder: &Path) -> Store {
    let store = exporting(world, folder).await;
    world.database.execute("UPDATE audit_writers SET origin = NULL, exported_at = NULL").await;
    store
}

async fn what_a_killed_one_left_the_next_exports(world: World) {
    let (_kept, folder) = folder();
    for start in 0..3 {
        let store = exporting(&world, &folder).await;
        for number in 0..4 {
            record(&store, start * 1_000 + number).await;
            if number == 1 {
                store.export_audit(at(0)).await.unwrap();
            }
        }
        // Killed between the commit and the write to the file.
        drop(store);
    }
    assert_complete(&folder, 3 * 4 - 2);
    let store = exporting(&world, &folder).await;
    assert_eq!(store.export_audit(at(0)).await.unwrap(), 2);
    assert_complete(&folder, 12);
    // Once they are known to be dead they are not visited again.
    store.anchor_audit(at(2 * DAY)).await.unwrap();
    store.export_audit(at(2 * DAY)).await.unwrap();
    assert_eq!(world.count("audit_writers", "exported_at IS NULL").await, 1);
    assert_eq!(world.count("audit_writers", "exported_events = 4").await, 3);
    let state = fs::read_to_string(folder.join(".export-state")).unwrap();
    assert_eq!(state.matches("\nwriter ").count(), 1, "{state}");
    assert_eq!(check(&world, &folder).verification.findings, []);
}

async fn a_lost_state_costs_nothing(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    for number in 0..3 {
        record(&store, number).await;
        store.export_audit(at(number * DAY)).await.unwrap();
    }
    drop(store);
    for state in [None, Some(""), Some("hansard-audit-export-v1\norigin x"), Some("\u{0}\u{0}")] {
        match state {
            None => fs::remove_file(folder.join(".export-state")).unwrap(),
            Some(text) => fs::write(folder.join(".export-state"), text).unwrap(),
        }
        let store = again(&world, &folder).await;
        assert_eq!(store.export_audit(at(3 * DAY)).await.unwrap(), 0, "{state:?}");
        assert_complete(&folder, 3);
    }
    // Archived files are not written again while the state remembers them.
    fs::remove_file(files(&folder).remove(0)).unwrap();
    let store = again(&world, &folder).await;
    assert_eq!(store.export_audit(at(3 * DAY)).await.unwrap(), 0);
    assert_eq!(lines(&folder).len(), 2);
    let checked = check(&world, &folder).verification;
    assert_eq!((checked.findings, checked.writers[0].first.unwrap().0), (vec![], 2));
}

async fn a_day_has_its_file_and_the_link_follows(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    let mut expected = Vec::new();
    // The last one stands for a clock that was set back.
    for (day, name) in [(0, "2023-11-14"), (1, "2023-11-15"), (3, "2023-11-17"), (2, "2023-11-17")] {
        record(&store, day).await;
        store.export_audit(at(day * DAY)).await.unwrap();
        expected.push(folder.join(format!("events-{name}.log")));
        expected.dedup();
        assert_eq!(files(&folder), expected);
        assert_eq!(
            fs::read_link(folder.join("events.log")).unwrap(),
            Path::new(&format!("events-{name}.log"))
        );
    }
    assert_complete(&folder, 4);
    // Somebody moves the newest file away, as logrotate does, or truncates it.
    fs::rename(expected.last().unwrap(), folder.join("taken")).unwrap();
    record(&store, 9).await;
    store.export_audit(at(3 * DAY)).await.unwrap();
    assert_eq!(fs::read_to_string(folder.join("events.log")).unwrap().lines().count(), 1);
    fs::File::options().write(true).open(folder.join("events.log")).unwrap().set_len(0).unwrap();
    record(&store, 10).await;
    store.export_audit(at(3 * DAY)).await.unwrap();
    assert!(fs::read_to_string(folder.join("events.log")).unwrap().contains("\"Sequence\":6,"));
}

/// A child process that ends with the test, however the test ends.
struct Follower(std::process::Child);

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn whoever_follows_the_link_sees_every_line(world: World) {
    let (kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    let followed = kept.path().join("followed");
    let mut tail = std::process::Command::new("tail");
    // By polling, which tail itself chooses for symbolic links.
    tail.args(["-n", "+1", "-s", "0.05", "-F", "---disable-inotify"]).arg(folder.join("events.log"));
    tail.stdout(fs::File::create(&followed).unwrap()).stderr(std::process::Stdio::null());
    let _follower = Follower(tail.spawn().expect("tail is there"));
    for day in 0..4 {
        for number in 0..3 {
            record(&store, number).await;
            store.export_audit(at(day * DAY)).await.unwrap();
        }
        let mut expected = Vec::new();
        for file in files(&folder) {
            expected.extend(fs::read(file).unwrap());
        }
        until_async("tail has seen it", async || (fs::read(&followed).unwrap() == expected).then_some(()))
            .await;
    }
}

async fn each_replica_exports_its_own_rows_and_one_takes_the_rest(world: World) {
    let (_kept, one) = folder();
    let (_kept, two) = folder();
    // A row that is older than exports, or comes from a program that exports nothing.
    record(&world.store, 0).await;
    let (first, second) = (exporting(&world, &one).await, exporting(&world, &two).await);
    for number in 1..4 {
        record(&first, number).await;
        record(&second, number).await;
    }
    for _ in 0..2 {
        first.export_audit(at(0)).await.unwrap();
        second.export_audit(at(0)).await.unwrap();
    }
    record(&world.store, 5).await;
    second.export_audit(at(0)).await.unwrap();
    first.export_audit(at(0)).await.unwrap();
    assert_complete(&one, 3 + 2);
    assert_complete(&two, 3);
    // An anchor refers to writers whose rows are in the other folder; that is not a finding.
    first.anchor_audit(at(10)).await.unwrap();
    second.anchor_audit(at(11)).await.unwrap();
    for (store, folder) in [(&first, &one), (&second, &two)] {
        store.export_audit(at(12)).await.unwrap();
        assert_eq!(check(&world, folder).verification.findings, []);
    }
}

async fn a_folder_has_one_writer(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    let refused = world.store.open_audit_log(&folder).await.unwrap_err();
    assert!(matches!(refused, AuditExportError::Log(AuditLogError::InUse { .. })), "{refused:?}");
    drop(store);
}

async fn what_cannot_be_written_follows_later(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    record(&store, 0).await;
    store.export_audit(at(0)).await.unwrap();
    // A folder in place of the next day's file.
    let in_the_way = folder.join("events-2023-11-15.log");
    fs::create_dir(&in_the_way).unwrap();
    for number in 1..3 {
        record(&store, number).await;
        let failed = store.export_audit(at(DAY)).await.unwrap_err();
        assert!(matches!(failed, AuditExportError::Log(AuditLogError::Io { .. })), "{failed:?}");
        assert_eq!(store.audit_export(), AuditExport::Behind);
    }
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(store.export_audit(at(DAY)).await.unwrap(), 2);
    assert_eq!(store.audit_export(), AuditExport::Current);
    assert_complete(&folder, 3);
}

async fn files_that_were_touched_are_named(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    for number in 0..5 {
        record(&store, number).await;
    }
    store.anchor_audit(at(10)).await.unwrap();
    store.export_audit(at(10)).await.unwrap();
    let file = files(&folder).remove(0);
    let good = fs::read_to_string(&file).unwrap();
    let good: Vec<&str> = good.lines().collect();
    let faults = |lines: &[&str]| {
        fs::write(&file, lines.join("\n") + "\n").unwrap();
        let found = check(&world, &folder).verification;
        found.findings.iter().map(|finding| (finding.fault, finding.number)).collect::<Vec<_>>()
    };
    assert_eq!(faults(&good), []);
    let changed = good[2].replace("ListAgents", "ListNothing");
    assert_eq!(faults(&[good[0], good[1], &changed, good[3], good[4], good[5]]), [(AuditFault::Changed, 3)]);
    let removed = [good[0], good[1], good[3], good[4], good[5]];
    assert_eq!(faults(&removed), [(AuditFault::Missing { through: 3 }, 3)]);
    let swapped = [good[0], good[2], good[1], good[3], good[4], good[5]];
    let found = faults(&swapped);
    assert!(found.contains(&(AuditFault::Line, 2)), "{found:?}");
    let twice = [good[0], good[1], good[1], good[2], good[3], good[4], good[5]];
    assert_eq!(faults(&twice), [(AuditFault::Line, 2)]);
    let tail = [good[0], good[1], good[2], good[5]];
    assert_eq!(faults(&tail), [(AuditFault::TailMissing { through: 5 }, 4)]);
    let nonsense = [good[0], good[1], "nonsense", good[2], good[3], good[4], good[5]];
    assert_eq!(faults(&nonsense), [(AuditFault::Line, 3)]);
    let forged = good[5].replace("head 5", "head 4");
    assert_eq!(faults(&[good[0], good[1], good[2], good[3], &forged]), [(AuditFault::Anchor, 1)]);
    // The rest of a line that is being written.
    fs::write(&file, good.join("\n")).unwrap();
    let checked = check(&world, &folder);
    assert_eq!((checked.torn, checked.verification.findings), (true, vec![]));
}

async fn the_database_is_held_against_the_files(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    for number in 0..5 {
        record(&store, number).await;
    }
    store.export_audit(at(10)).await.unwrap();
    let checked = check(&world, &folder);
    assert_eq!(store.verify_audit(against(&checked)).await.unwrap().findings, []);
    // No anchor was made yet: only the files tell what was there.
    let lift = match world.database.backend {
        Backend::Sqlite | Backend::MariaDb => "DROP TRIGGER audit_events_undeleted",
        Backend::Postgres => "DROP TRIGGER audit_events_undeleted ON audit_events",
    };
    world.database.execute(lift).await;
    let faults = async || {
        let found = store.verify_audit(against(&checked)).await.unwrap();
        found.findings.iter().map(|finding| (finding.fault, finding.number)).collect::<Vec<_>>()
    };
    world.database.execute("DELETE FROM audit_events WHERE sequence > 3").await;
    assert_eq!(store.verify_audit(HeldAgainst::default()).await.unwrap().findings, []);
    assert_eq!(faults().await, [(AuditFault::TailMissing { through: 5 }, 4)]);
    world.database.execute("DELETE FROM audit_events").await;
    world.database.execute("DELETE FROM audit_writers").await;
    assert_eq!(faults().await, [(AuditFault::WriterMissing, 0)]);
}

async fn many_rows_are_exported_in_batches(world: World) {
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    let mut writers = tokio::task::JoinSet::new();
    for caller in 0..10 {
        let store = store.clone();
        writers.spawn(async move {
            for number in 0..250 {
                record(&store, caller * 1_000 + number).await;
            }
        });
    }
    let exporter = store.clone();
    // Concurrently with the writers, as in production.
    let exporting = tokio::spawn(async move {
        for _ in 0..20 {
            exporter.export_audit(at(0)).await.unwrap();
        }
    });
    writers.join_all().await;
    exporting.await.unwrap();
    store.export_audit(at(0)).await.unwrap();
    store.anchor_audit(at(20_000)).await.unwrap();
    store.export_audit(at(20_000)).await.unwrap();
    assert_complete(&folder, 2_500);
    let checked = check(&world, &folder);
    assert_eq!(checked.verification.findings, []);
    assert_eq!(checked.verification.writers[0].anchored, 2_500);
    assert_eq!(store.verify_audit(against(&checked)).await.unwrap().findings, []);
    // A line that somebody adds is not one of our rows.
    let mut file = fs::File::options().append(true).open(files(&folder).remove(0)).unwrap();
    writeln!(file, "{{}}").unwrap();
    assert_eq!(check(&world, &folder).verification.findings.len(), 1);
}

/// Rows are exported as they were written, and not as the database has them by then; only those of others are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_rows_are_not_read_back() {
    let world = World::new(Backend::Sqlite).await;
    let (_kept, folder) = folder();
    let store = exporting(&world, &folder).await;
    // The beginning of a chain, a row after it, and a change.
    record(&store, 1).await;
    record(&store, 2).await;
    let tags = vec![("env".parse().unwrap(), "v".parse().unwrap())];
    let (operator, on, audit) = (as_operator(&account()), instance("web1"), event(&account(), "Tag"));
    store.tag_instance(&operator, &on, Vec::new(), tags, audit).await.unwrap();
    record(&world.store, 3).await;
    world.database.execute("DROP TRIGGER audit_events_unchanged").await;
    world.database.execute("UPDATE audit_events SET user_agent = 'forged'").await;
    assert_eq!(store.export_audit(at(0)).await.unwrap(), 4);
    let text = fs::read_to_string(files(&folder).remove(0)).unwrap();
    let forged: Vec<&str> = text.lines().filter(|line| line.contains("forged")).collect();
    assert!(matches!(forged.as_slice(), [of_another] if of_another.contains("\"Sequence\":1,")), "{text}");
    // What follows rows that were exported follows them in memory too.
    record(&store, 4).await;
    assert_eq!(store.export_audit(at(0)).await.unwrap(), 1);
    assert_eq!(lines(&folder).len(), 5);
}
