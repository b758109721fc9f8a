//! Whatever one user of an instance does to their own sessions does not harm other users.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use recording::{Micros, RecordKind, RecordingEnd, SpoolWriter, TerminalEventKind};
use rustix::process::Signal;

use crate::append_only::allow_changes;
use crate::bench::{Instance, Program, eventually, length_of, text, token_in, without_root};

const TEBIBYTE: u64 = 1 << 40;

/// A record of output, as a recorder writes it.
fn record_of(text: &str) -> Vec<u8> {
    let mut writer = SpoolWriter::new(Vec::new(), 0);
    writer.append(Micros::new(1), RecordKind::TERMINAL_OUTPUT, text.as_bytes()).unwrap();
    writer.into_inner()
}

#[test]
fn a_hole_is_one_gap_and_what_stands_behind_it_is_delivered() {
    let mut instance = Instance::running();
    let mut person = instance.person(&["sh", "-c", "echo before; sleep 1000"]);
    person.sees("before");
    let token = person.token();
    instance.kill_agent();
    rustix::process::kill_process(instance.recorder(&token), Signal::KILL).unwrap();
    person.ends();
    let spool = instance.session_folder(&token).join("terminal.spool");
    let hole_at = length_of(&spool);
    allow_changes(&spool);
    let file = OpenOptions::new().write(true).open(&spool).unwrap();
    // The end of a hole, some zeros that are stored on the disk, and a record.
    file.write_all_at(&[0; 100_000], hole_at + TEBIBYTE).unwrap();
    file.write_all_at(&record_of("behind the hole"), hole_at + TEBIBYTE + 100_000).unwrap();
    instance.start_agent();
    let recording = instance.control_plane.sealed(&token);
    let output = text(&recording.output());
    assert!(output.starts_with("before") && output.ends_with("behind the hole"), "{output}");
    let gaps: Vec<_> = recording
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            TerminalEventKind::Shortfall(gap) => Some(gap.lost_bytes),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [TEBIBYTE + 100_000]);
    eventually("the damaged spool is set aside", || {
        instance.spool().join(format!("damaged-{token}")).exists().then_some(())
    });
}

/// An instance of root that other users can reach, and a program that they can run.
fn shared_instance(arguments: &[&str]) -> (Instance, Program) {
    let mut instance = Instance::new().with_run_arguments(arguments);
    instance.enrol();
    instance.start_agent();
    let everybody_passes = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(instance.state_dir().parent().unwrap(), everybody_passes).unwrap();
    (instance, Program::for_everybody())
}

fn by_user(instance: &Instance, program: &Program, user_id: u32, arguments: &[&str]) -> Command {
    let mut command = program.run_by(user_id);
    command.arg("--state-dir").arg(instance.state_dir()).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn we_are_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        without_root("only root can become somebody else");
    }
    root
}

/// A damaged spool of this many bytes, as the agent keeps it.
fn damaged_folder(instance: &Instance, user_id: u32, bytes: u64) -> PathBuf {
    let token = recording::TerminalSessionToken::generate();
    let folder = instance.spool().join(format!("damaged-{token}"));
    std::fs::create_dir(&folder).unwrap();
    let note = format!(r#"{{"Kind":"terminal","StartBoottimeMicros":0,"UserId":{user_id}}}"#);
    std::fs::write(folder.join("session.json"), note).unwrap();
    let spool = File::create(folder.join("terminal.spool")).unwrap();
    rustix::fs::fallocate(&spool, rustix::fs::FallocateFlags::empty(), 0, bytes).unwrap();
    folder
}

/// A spool, opened as a process with its descriptor can write to it if it is not append-only.
fn open_for_junk(spool: &Path) -> File {
    allow_changes(spool);
    OpenOptions::new().append(true).open(spool).unwrap()
}

const MEBIBYTE: u64 = 1024 * 1024;
const ANA: u32 = 54_322;
const BOB: u32 = 54_323;
const CLEO: u32 = 54_324;

#[test]
fn damaged_files_beyond_the_limit_cost_their_owners_new_sessions_and_nobody_else() {
    if !we_are_root() {
        return;
    }
    let (instance, program) = shared_instance(&[]);
    let records =
        |user_id| by_user(&instance, &program, user_id, &["record", "--", "true"]).output().unwrap();
    let is_refused = |user_id| {
        let output = records(user_id);
        let refused = output.status.code() == Some(125);
        assert_eq!(refused, text(&output.stderr).contains("of damaged spools"), "{}", text(&output.stderr));
        refused
    };
    let of_ana = damaged_folder(&instance, ANA, 128 * MEBIBYTE);
    damaged_folder(&instance, BOB, MEBIBYTE);
    eventually("it is noticed", || is_refused(ANA).then_some(()));
    assert!(!is_refused(BOB) && !is_refused(CLEO));
    let all = instance.status()["Running"]["DamagedFiles"].clone();
    assert_eq!(all["MostBytes"], 1024 * MEBIBYTE);
    let users = all["Users"].as_array().unwrap();
    assert_eq!(users.len(), 2, "{all}");
    assert!(users[0]["Refused"].as_str().unwrap().contains("of at most 134217728"), "{all}");
    assert!(users[1]["Refused"].is_null(), "{all}");
    // Each user sees only their own entries.
    let table = |user_id| text(&by_user(&instance, &program, user_id, &["status"]).output().unwrap().stdout);
    assert!(table(ANA).contains("user 54322: ") && table(ANA).contains("new sessions are refused"));
    assert!(!table(BOB).contains("54322"));
    assert!(!table(CLEO).contains("damaged"));

    // The limit for all users together.
    std::fs::remove_dir_all(of_ana).unwrap();
    assert!(!is_refused(ANA));
    let folders: Vec<_> =
        (60_000..60_010).map(|user| damaged_folder(&instance, user, 103 * MEBIBYTE)).collect();
    eventually("it is noticed", || is_refused(BOB).then_some(()));
    assert!(is_refused(60_003) && !is_refused(CLEO));
    std::fs::remove_dir_all(&folders[0]).unwrap();
    assert!(!is_refused(BOB));
}

#[test]
fn writing_to_a_damaged_spool_does_not_keep_its_recording_open() {
    let mut instance = Instance::running();
    let mut person = instance.person(&["sh", "-c", "echo before; sleep 1000"]);
    person.sees("before");
    let token = person.token();
    instance.kill_agent();
    person.signals(Signal::KILL);
    person.ends();
    let mut file = open_for_junk(&instance.session_folder(&token).join("terminal.spool"));
    file.write_all(&[0xff; 100]).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // At some point the agent ends the writes by removing the file.
            while !stop.load(Ordering::Relaxed) && file.write_all(&[0xff; 16]).is_ok() {
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        instance.start_agent();
        let sealed = std::panic::catch_unwind(AssertUnwindSafe(|| instance.control_plane.sealed(&token)));
        stop.store(true, Ordering::Relaxed);
        let recording = sealed.expect("it is sealed");
        assert!(text(&recording.output()).starts_with("before"));
        assert!(matches!(recording.end(), RecordingEnd::Interrupted { .. }));
    });
}

#[test]
fn of_a_damaged_spool_only_what_there_is_room_for_is_kept() {
    let mut instance = Instance::running();
    damaged_folder(&instance, 0, 127 * MEBIBYTE);
    let mut person = instance.person(&["sh", "-c", "echo before; sleep 1000"]);
    person.sees("before");
    let token = person.token();
    let recorder = instance.recorder(&token).as_raw_nonzero().get();
    instance.kill_agent();
    person.signals(Signal::KILL);
    person.ends();
    // Before it has, it would cut off what others write behind its records.
    eventually("its recorder has ended", || {
        agent_protocol::processes::ProcessFacts::find(recorder).unwrap().is_none().then_some(())
    });
    let spool = instance.session_folder(&token).join("terminal.spool");
    let mut file = open_for_junk(&spool);
    // Junk, and space that is only allocated.
    file.write_all(&vec![0xff; 3_000_000]).unwrap();
    let keep_size = rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, keep_size, 8 * MEBIBYTE, 64 * MEBIBYTE).unwrap();
    instance.start_agent();
    instance.control_plane.sealed(&token);
    let kept = instance.spool().join(format!("damaged-{token}"));
    eventually("it is set aside", || kept.exists().then_some(()));
    let taken = std::fs::metadata(kept.join("terminal.spool")).unwrap().blocks() * 512;
    assert!((512 * 1024..1_200_000).contains(&taken), "{taken} bytes are kept");
    let sessions = instance.status()["Running"]["Sessions"].clone();
    let reasons: Vec<_> =
        sessions.as_array().unwrap().iter().filter_map(|known| known["Reason"].as_str()).collect();
    assert!(
        reasons.iter().any(|reason| reason.contains("bytes of it: of damaged spools at most")),
        "{reasons:?}"
    );
    // A process that still has the descriptor of the former spool can no longer reach what was kept.
    assert_eq!(file.metadata().unwrap().blocks(), 0);
}

#[test]
fn a_descriptor_that_is_held_fills_no_disk_after_the_session() {
    let mut instance = Instance::running();
    let mut person = instance.person(&["sh", "-c", "echo up; read line"]);
    person.sees("up");
    let token = person.token();
    let spool = instance.session_folder(&token).join("terminal.spool");
    let mut held = OpenOptions::new().append(true).open(&spool).unwrap();
    person.types("\r");
    person.ends_with(0);
    instance.control_plane.sealed(&token);
    eventually("it is erased", || (held.metadata().unwrap().nlink() == 0).then_some(()));
    eventually("its space is given back", || (held.metadata().unwrap().blocks() == 0).then_some(()));
    // If a file can be immutable and root sets the attribute, not a single byte can be written.
    let probe = tempfile::tempfile_in(instance.state_dir()).unwrap();
    let can = rustix::fs::ioctl_getflags(&probe)
        .and_then(|flags| rustix::fs::ioctl_setflags(&probe, flags | rustix::fs::IFlags::IMMUTABLE))
        .is_ok();
    eventually("it is closed", || (held.write_all(&[1; 4096]).is_err() == can).then_some(()));
    instance.stop_agent();
}

#[test]
fn a_user_with_too_many_requests_is_told_to_retry_and_does() {
    if !we_are_root() {
        return;
    }
    let (instance, program) = shared_instance(&["--most-sessions-of-a-user", "1000"]);
    let socket = instance.state_dir().join("agent.sock");
    // As many connections as Ana may have, without any request on them. They are closed after some time.
    let held: Vec<UnixStream> = std::thread::spawn(move || {
        rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(ANA)).unwrap();
        (0..64).map(|_| UnixStream::connect(&socket).unwrap()).collect()
    })
    .join()
    .unwrap();
    let of_bob = by_user(&instance, &program, BOB, &["record", "--", "echo", "ran"]).output().unwrap();
    assert_eq!(text(&of_bob.stdout), "ran\n", "{}", text(&of_bob.stderr));
    let status = by_user(&instance, &program, ANA, &["status"]).output().unwrap();
    assert!(text(&status.stderr).contains("user 54322 has 64 requests"), "{}", text(&status.stderr));
    let of_ana = by_user(&instance, &program, ANA, &["record", "--", "echo", "ran"]).output().unwrap();
    assert_eq!(text(&of_ana.stdout), "ran\n", "{}", text(&of_ana.stderr));
    drop(held);
}

/// Starts this many sessions of each user at once, and returns why some did not begin.
fn burst(instance: &Instance, program: &Program, users: &[u32], of_each: usize) -> Vec<String> {
    let recorders: Vec<_> = users
        .iter()
        .flat_map(|user| std::iter::repeat_n(*user, of_each))
        .map(|user| by_user(instance, program, user, &["record", "--", "echo", "ran"]).spawn().unwrap())
        .collect();
    recorders
        .into_iter()
        .map(|recorder| recorder.wait_with_output().unwrap())
        .filter(|output| text(&output.stdout).trim_end() != "ran")
        .map(|output| text(&output.stderr))
        .collect()
}

#[test]
fn a_hundred_sessions_at_once_all_begin() {
    if !we_are_root() {
        return;
    }
    let (instance, program) = shared_instance(&[]);
    assert_eq!(burst(&instance, &program, &[0], 100), Vec::<String>::new());
}

/// Run with `cargo test -p hansard-agent --test agent -- --ignored --nocapture measure_`.
#[test]
#[ignore = "a measurement, to be run alone"]
fn measure_bursts() {
    let (instance, program) = shared_instance(&[]);
    let users: Vec<u32> = (70_000..70_010).collect();
    for (what, users, of_each) in
        [("100 of root", &[0][..], 100), ("500 of root", &[0], 500), ("50 of each of 10 users", &users, 50)]
    {
        let begun = Instant::now();
        let refused = burst(&instance, &program, users, of_each);
        eprintln!("{what}: {} did not begin, {:.1} s", refused.len(), begun.elapsed().as_secs_f64());
        for why in refused.iter().take(3) {
            eprintln!("  {}", why.trim_end());
        }
        instance.spool_is_empty();
    }
}

#[test]
fn a_user_with_much_output_in_many_sessions_gets_no_more_turns_than_others() {
    if !we_are_root() {
        return;
    }
    let (instance, program) = shared_instance(&[]);
    let mut recorders: Vec<_> = (0..16)
        .map(|_| by_user(&instance, &program, ANA, &["record", "--", "sleep", "1000"]).spawn().unwrap())
        .collect();
    let spools: Vec<PathBuf> = eventually("all have begun", || {
        // A folder that is still being created does not count: it does not have its final name yet.
        let made = |folder: &PathBuf| !folder.file_name().unwrap().to_string_lossy().starts_with('.');
        let spools = instance.spooled().into_iter().filter(made).map(|folder| folder.join("terminal.spool"));
        let spools: Vec<_> = spools.filter(|spool| spool.exists()).collect();
        (spools.len() == 16).then_some(spools)
    });
    // Twelve mebibytes each, which are twelve segments, of records such as a recorder writes. A slow machine cuts many of
    // them before it has started the other user's recorder.
    let much = record_of(&"x".repeat(4096)).repeat(3 * 1024);
    for spool in spools {
        open_for_junk(&spool).write_all(&much).unwrap();
    }
    let output = by_user(&instance, &program, BOB, &["record", "--", "echo", "ran"]).output().unwrap();
    instance.control_plane.sealed(&token_in(&text(&output.stderr)).unwrap());
    let status = instance.status();
    let sessions = status["Running"]["Sessions"].as_array().unwrap();
    let cut: u64 = sessions.iter().map(|session| session["Segments"].as_u64().unwrap()).sum();
    assert!(cut < 16 * 10, "nearly all of the others, {cut} segments, came first");
    for recorder in &mut recorders {
        let _ = recorder.kill();
        let _ = recorder.wait();
    }
}

/// Run with the same command.
#[test]
#[ignore = "a measurement, to be run alone"]
fn measure_an_innocent_recording_beside_64_spools_of_a_tebibyte() {
    let (instance, program) = shared_instance(&[]);
    let record = || {
        let output = by_user(&instance, &program, BOB, &["record", "--", "echo", "ran"]).output().unwrap();
        let ended = Instant::now();
        let token = token_in(&text(&output.stderr)).unwrap();
        while !instance.control_plane.state().recordings.get(&token).is_some_and(|known| known.sealed) {
            assert!(ended.elapsed().as_secs() < 300, "it is never delivered");
            std::thread::sleep(Duration::from_millis(2));
        }
        ended.elapsed().as_secs_f64()
    };
    let latencies = |what: &str| {
        let mut seconds: Vec<f64> = (0..5).map(|_| record()).collect();
        seconds.sort_by(f64::total_cmp);
        eprintln!(
            "{what}: {:.2} s from its end to its seal (median of 5; worst {:.2} s)",
            seconds[2], seconds[4]
        );
    };
    latencies("alone");
    let recorders: Vec<_> = (0..64)
        .map(|_| by_user(&instance, &program, ANA, &["record", "--", "sleep", "1000"]).spawn().unwrap())
        .collect();
    let spools: Vec<PathBuf> = eventually("all have begun", || {
        let spools: Vec<_> = instance
            .spooled()
            .into_iter()
            .map(|folder| folder.join("terminal.spool"))
            .filter(|spool| spool.exists())
            .collect();
        (spools.len() == 64).then_some(spools)
    });
    for spool in spools {
        open_for_junk(&spool).set_len(TEBIBYTE).unwrap();
    }
    latencies("beside 64 spools of a tebibyte");
    for mut recorder in recorders {
        let _ = recorder.kill();
        let _ = recorder.wait();
    }
}
