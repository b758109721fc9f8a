//! Processes that die, and what is lost with them: nothing that was shown.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;

use agent_protocol::processes::ProcessFacts;
use recording::{Cause, ExitStatus, RecordingEnd, ShortfallKind, TerminalEventKind, Verdict};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::append_only::allow_changes;
use crate::bench::{Instance, eventually, length_of, text, token_in, without_root};

/// Whose death a test is about.
#[derive(Debug, Clone, Copy)]
enum Killed {
    Recorder,
    PersonsSide,
    /// The recorder, while the person's side is stopped and can end nothing.
    RecorderAlone,
}

/// Whether a process has ended, also if its parent, which is stopped, has not waited for it.
fn has_ended(process: Pid) -> bool {
    ProcessFacts::find(process.as_raw_nonzero().get()).unwrap().is_none()
}

#[test]
fn whoever_is_killed_all_that_was_shown_is_recorded() {
    let instance = Instance::running();
    for (killed, why) in [
        (Killed::Recorder, "the recorder ended"),
        (Killed::PersonsSide, "the person's side ended"),
        (Killed::RecorderAlone, "the recorder ended"),
    ] {
        // What began a session of its own below it is found, too, as long as its parent is.
        let script = "trap '' HUP; setsid sh -c 'trap : HUP; while :; do sleep 1; done' & echo apart-$!; i=0; while :; do i=$((i+1)); echo line-$i; sleep 0.01; done";
        let mut person = instance.person(&["sh", "-c", script]);
        person.sees("line-50\r");
        let token = person.token();
        let command = instance.command_of(&token);
        match killed {
            Killed::Recorder => kill_process(instance.recorder(&token), Signal::KILL).unwrap(),
            Killed::PersonsSide => person.signals(Signal::KILL),
            Killed::RecorderAlone => {
                person.signals(Signal::STOP);
                kill_process(instance.recorder(&token), Signal::KILL).unwrap();
            }
        }
        let apart = person.screen().lines().find_map(|line| line.trim().strip_prefix("apart-")?.parse().ok());
        let apart = Pid::from_raw(apart.unwrap()).unwrap();
        eventually("the command is ended although it ignores the hang-up", || {
            (has_ended(command) && has_ended(apart)).then_some(())
        });
        if matches!(killed, Killed::RecorderAlone) {
            person.signals(Signal::CONT);
        }
        person.ends();
        let recording = instance.control_plane.sealed(&token);
        let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{:?}", recording.end()) };
        assert!(reason.contains(why), "{killed:?}: {reason}");
        let recorded = text(&recording.output());
        let shown = person.screen();
        let last = shown.lines().rfind(|line| line.starts_with("line-")).unwrap().trim().to_owned();
        assert!(recorded.contains(&last), "{last:?} was shown, but only recorded:\n{recorded}");
    }
    instance.spool_is_empty();
}

#[test]
fn an_agent_that_is_killed_delivers_at_its_next_start() {
    let mut instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    person.types("echo before-$((1+1))-kill\r");
    person.sees("before-2-kill");
    instance.kill_agent();
    person.types("echo without-$((1+1))-agent\r");
    person.sees("without-2-agent");
    instance.start_agent();
    person.types("echo next-$((1+1))-agent\r");
    person.sees("next-2-agent");
    // The second agent dies after the session has ended but before anything of that end is delivered.
    instance.kill_agent();
    person.types("exit 9\r");
    person.ends_with(9);
    instance.start_agent();
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(9)));
    let recorded = text(&recording.output());
    for line in ["before-2-kill", "without-2-agent", "next-2-agent"] {
        assert!(recorded.contains(line), "{recorded}");
    }
    instance.spool_is_empty();
}

#[test]
fn kills_at_any_moment_of_cutting_and_delivery_lose_nothing() {
    let mut instance = Instance::running();
    let mut recorder = instance
        .command(&["record", "--", "sh", "-c", "seq 600000; sleep 0.3; seq 100000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = recorder.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut shown, &mut bytes).unwrap();
        bytes
    });
    // If the recorder finds no agent, it runs nothing.
    eventually("the session begins", || {
        let spools = instance.spooled();
        spools.iter().any(|folder| folder.join("terminal.spool").exists()).then_some(())
    });
    let mut kills = 0;
    while recorder.try_wait().unwrap().is_none() || kills < 6 {
        std::thread::sleep(std::time::Duration::from_millis(90));
        instance.kill_agent();
        instance.start_agent();
        kills += 1;
    }
    let shown = reader.join().unwrap();
    let token = token_in(&std::io::read_to_string(recorder.stderr.take().unwrap()).unwrap()).unwrap();
    let recording = instance.control_plane.sealed(&token);
    assert!(recording.output() == shown, "the recording differs from what was shown");
    instance.spool_is_empty();
}

#[test]
fn a_control_plane_that_is_away_costs_time_only() {
    let mut instance = Instance::running();
    instance.control_plane.state().away = true;
    let (output, token) = instance.record(&["seq", "1000"]);
    assert!(output.status.success());
    eventually("the manifest waits in the spool", || {
        instance.session_folder(&token).join("manifest-0000.json").exists().then_some(())
    });
    // A stop and a start in the meantime change nothing.
    assert_eq!(instance.stop_agent(), Some(0));
    instance.start_agent();
    let (_, second) = instance.record(&["echo", "second"]);
    assert_eq!(instance.status()["Running"]["Sessions"].as_array().unwrap().len(), 2);
    assert!(instance.control_plane.state().recordings.is_empty());
    instance.control_plane.state().away = false;
    assert!(instance.control_plane.sealed(&token).output() == output.stdout);
    instance.control_plane.sealed(&second);
    instance.spool_is_empty();
}

#[test]
fn an_agent_that_never_saw_a_configuration_records() {
    let mut instance = Instance::new();
    instance.enrol();
    std::fs::remove_file(instance.state_dir().join("configuration.json")).unwrap();
    instance.control_plane.state().away = true;
    instance.start_agent();
    let (_, token) = instance.record(&["true"]);
    instance.control_plane.state().away = false;
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.start().configuration_revision, 0);
}

#[test]
fn without_an_agent_nothing_runs_that_must_be_recorded() {
    let mut instance = Instance::running();
    instance.kill_agent();
    let mut record = instance.command(&["record", "--wait-for-agent", "0s", "--", "echo", "ran"]);
    let output = record.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("no agent is running"), "{}", text(&output.stderr));
}

#[test]
fn a_spool_that_is_too_small_refuses_before_and_not_after() {
    let mut instance = Instance::new().with_run_arguments(&["--minimum-free-bytes", "9000000000000000000"]);
    instance.enrol();
    instance.start_agent();
    let output = instance.record_with_input(&["echo", "ran"], Stdio::null());
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(text(&output.stdout), "");
    let message = text(&output.stderr);
    assert!(message.contains("refused: only") && message.contains("bytes are free"), "{message}");
    assert!(instance.spooled().is_empty());
}

#[test]
fn a_spool_that_cannot_be_written_ends_the_session_with_the_reason() {
    let instance = Instance::running();
    // A limit on the size of files makes a recorder's writes fail as a full disk does.
    let limit = Rlimit { current: Some(1_000_000), maximum: Some(1_000_000) };
    let agent = Pid::from_raw(i32::try_from(instance.agent_pid()).unwrap());
    prlimit(agent, Resource::Fsize, limit).unwrap();
    let mut person = instance.person(&["sh", "-c", "seq 400000; sleep 1000"]);
    person.ends_with(125);
    let token = person.token();
    person.sees("recording cannot be kept: the spool could not be written: File too large");
    let message = person.screen();
    let recording = instance.control_plane.sealed(&token);
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{:?}", recording.end()) };
    assert!(reason.contains("the spool could not be written"), "{reason}");
    assert!(recording.events().iter().any(|event| matches!(event.kind, TerminalEventKind::Shortfall(_))));
    // Everything that was shown is in the recording.
    let recorded = text(&recording.output());
    let last = message.lines().rfind(|line| line.trim().parse::<u32>().is_ok()).unwrap();
    assert!(recorded.contains(&format!("\n{}\r", last.trim())), "{last}");
    assert!(recorded.len() > 500_000);
}

const MEBIBYTE: u64 = 1024 * 1024;

#[test]
fn a_full_disk_ends_the_session_while_it_can_still_be_delivered() {
    let Some(instance) = Instance::new().on_small_disk(12 * MEBIBYTE) else {
        return without_root("a file system of a known size must be mounted");
    };
    let mut instance = instance.with_run_arguments(&["--minimum-free-bytes", "8000000"]);
    instance.enrol();
    instance.start_agent();
    for _ in 0..2 {
        instance.control_plane.state().away = true;
        let (output, token) = instance.record(&["yes", "bulk output"]);
        assert_eq!(output.status.code(), Some(125));
        let message = text(&output.stderr);
        assert!(message.contains("bytes are free for the spool"), "{message}");
        assert!(output.stdout.len() as u64 > 4 * MEBIBYTE, "{} bytes", output.stdout.len());
        let refused = instance.record_with_input(&["echo", "ran"], Stdio::null());
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(125), 0));

        instance.control_plane.state().away = false;
        let recording = instance.control_plane.sealed(&token);
        assert!(matches!(recording.end(), RecordingEnd::Interrupted { .. }));
        assert!(recording.output().starts_with(&output.stdout));
        instance.spool_is_empty();
    }
}

#[test]
fn a_disk_that_others_fill_does_not_keep_what_is_recorded() {
    let Some(instance) = Instance::new().on_small_disk(12 * MEBIBYTE) else {
        return without_root("a file system of a known size must be mounted");
    };
    let mut instance = instance.with_run_arguments(&["--minimum-free-bytes", "4000000"]);
    instance.enrol();
    instance.start_agent();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    person.types("seq 100000; echo last-$((1+1))-line\r");
    person.sees("last-2-line");
    // Another process uses up all the remaining space.
    let filler = std::fs::File::create(instance.state_dir().join("filler")).unwrap();
    let mut filler = std::io::BufWriter::with_capacity(1, filler);
    while filler.write_all(&[0; 4096]).is_ok() {}
    person.types("echo nothing more fits\r");
    person.ends_with(125);
    // Its recorder ends it, or the agent does: whoever looks first.
    person.sees("bytes are free for the spool");
    let recording = instance.control_plane.sealed(&person.token());
    assert!(text(&recording.output()).contains("last-2-line"));
}

#[test]
fn a_torn_or_damaged_tail_is_cut_and_said() {
    let mut instance = Instance::running();
    let tear = |instance: &mut Instance, tail: &[u8]| {
        let mut person = instance.person(&["sh", "-c", "echo shown; sleep 1000"]);
        person.sees("shown");
        let token = person.token();
        instance.kill_agent();
        kill_process(instance.recorder(&token), Signal::KILL).unwrap();
        person.ends();
        let spool = instance.session_folder(&token).join("terminal.spool");
        OpenOptions::new().append(true).open(&spool).unwrap().write_all(tail).unwrap();
        assert!(length_of(&spool) > 0);
        instance.start_agent();
        instance.control_plane.sealed(&token)
    };
    // The beginning of a record: it was never shown, and what it would have held is cut off.
    let torn = tear(&mut instance, &[200, 0, 0]);
    assert!(text(&torn.output()).starts_with("shown"));
    let [entry] = &torn.ledger()[..] else { panic!("{:?}", torn.ledger()) };
    assert_eq!((entry.kind, &entry.cause), (ShortfallKind::Truncation, &Cause::RECORD_TORN));
    assert_eq!((entry.count, entry.lost_bytes), (1, 3));
    let damaged = tear(
        &mut instance,
        &[9, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    assert!(text(&damaged.output()).starts_with("shown"));
    let gaps: Vec<_> = damaged
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            TerminalEventKind::Shortfall(gap) => Some(gap),
            _ => None,
        })
        .collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].lost_bytes >= 26 && gaps[0].reason.contains("damaged"), "{gaps:?}");
    let [entry] = &damaged.ledger()[..] else { panic!("{:?}", damaged.ledger()) };
    assert_eq!((entry.kind, &entry.cause), (ShortfallKind::Gap, &Cause::SPOOL_DAMAGED));
    assert_eq!((entry.count, entry.lost_bytes), (1, gaps[0].lost_bytes));
    assert_eq!(damaged.verification().verdict(), Verdict::Interrupted);
}

#[test]
fn what_stands_behind_damage_is_delivered_and_the_damaged_spool_is_kept() {
    let mut instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    instance.kill_agent();
    person.types("echo before-$((1+1))-damage\r");
    person.sees("before-2-damage");
    let spool = instance.session_folder(&token).join("terminal.spool");
    let damaged_at = length_of(&spool);
    person.types("echo lost-$((1+1))-forever\r");
    person.sees("lost-2-forever");
    // One bit in a payload is flipped.
    allow_changes(&spool);
    let file = OpenOptions::new().read(true).write(true).open(&spool).unwrap();
    let mut byte = [0];
    let at = damaged_at + recording::spool::RECORD_HEADER_BYTES as u64;
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    instance.start_agent();
    person.types("echo after-$((1+1))-damage\r");
    person.sees("after-2-damage");
    // It counts as tampering because it is noticed while the recorder lives.
    eventually("the damage is noticed", || {
        let status = instance.status();
        let reason = status["Running"]["Sessions"][0]["Reason"].as_str()?;
        (reason.contains("tampered") || reason.contains("damaged at byte")).then_some(())
    });
    person.types("exit 3\r");
    person.ends_with(3);
    let recording = instance.control_plane.sealed(&token);
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{:?}", recording.end()) };
    assert!(reason.contains("the spool was tampered with"), "{reason}");
    let recorded = text(&recording.output());
    assert!(recorded.contains("before-2-damage") && recorded.contains("after-2-damage"), "{recorded}");
    let mut gaps = recording.events();
    gaps.retain(|event| matches!(event.kind, TerminalEventKind::Shortfall(_)));
    // One for the doubt, one for its subject, and one for the exit record that is not trusted.
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    let kept = instance.spool().join(format!("damaged-{token}"));
    eventually("the damaged spool is set aside", || kept.join("terminal.spool").exists().then_some(()));
    let look = |place: u64, length: usize| {
        let mut bytes = vec![0; length];
        std::fs::File::open(kept.join("terminal.spool")).unwrap().read_exact_at(&mut bytes, place).unwrap();
        bytes
    };
    assert_eq!(look(at, 1), [byte[0] ^ 1], "the raw bytes are still there");
    instance.stop_agent();
    instance.start_agent();
    let session = instance.status()["Running"]["Sessions"][0].clone();
    assert_eq!(
        (session["State"].as_str(), session["TerminalSessionToken"].as_str()),
        (Some("damaged"), Some(token.as_str()))
    );
}

#[test]
fn a_final_refusal_erases_nothing_and_is_tried_again_at_the_next_start() {
    let mut instance = Instance::running();
    instance.control_plane.state().refuses_recordings = true;
    let (output, token) = instance.record(&["echo", "kept"]);
    eventually("the refusal is known", || {
        let status = instance.status();
        let session = status["Running"]["Sessions"].get(0)?.clone();
        (session["State"] == "refused" && session["Reason"].as_str()?.contains("InvalidStart")).then_some(())
    });
    let folder = instance.session_folder(&token);
    eventually("it is cut and sealed all the same", || {
        folder.join("manifest-0000.json").exists().then_some(())
    });
    assert!(folder.join("refused.json").exists() && folder.join("terminal.spool").exists());
    instance.stop_agent();
    instance.control_plane.state().refuses_recordings = false;
    instance.start_agent();
    assert!(instance.control_plane.sealed(&token).output() == output.stdout);
    instance.spool_is_empty();
}

#[test]
fn a_person_who_stops_the_output_does_not_stop_the_recorder() {
    let instance = Instance::running();
    let mut recorder = instance
        .command(&["record", "--", "yes", "output that nobody reads"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let spooled = eventually("output is spooled", || {
        let folder = instance.spooled().into_iter().next()?;
        let spool = folder.join("terminal.spool");
        (spool.exists() && length_of(&spool) > 60_000).then_some(spool)
    });
    // The pipe is full: nothing more is read from the command until somebody reads.
    let mut before = 0;
    eventually("the recorder waits", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let now = length_of(&spooled);
        (std::mem::replace(&mut before, now) == now).then_some(())
    });
    let pid = Pid::from_child(&recorder);
    kill_process(pid, Signal::TERM).unwrap();
    let ended = eventually("the recorder ends", || recorder.try_wait().unwrap());
    assert_eq!(ended.code(), Some(128 + 15));
    let said = std::io::read_to_string(recorder.stderr.take().unwrap()).unwrap();
    let recording = instance.control_plane.sealed(&token_in(&said).unwrap());
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Signal(15)));
}

#[test]
fn a_refused_session_is_tried_again_when_the_link_opens() {
    let instance = Instance::running();
    instance.control_plane.state().refuses_recordings = true;
    let (output, token) = instance.record(&["echo", "kept"]);
    let refused = instance.session_folder(&token).join("refused.json");
    eventually("the refusal is known", || refused.exists().then_some(()));
    instance.control_plane.state().refuses_recordings = false;
    instance.control_plane.state().away = true;
    eventually("the link is down", || (instance.status()["Running"]["Link"] != "connected").then_some(()));
    instance.control_plane.state().away = false;
    assert!(instance.control_plane.sealed(&token).output() == output.stdout);
    instance.spool_is_empty();
}

#[test]
fn a_restored_control_plane_gets_again_what_it_forgot() {
    let instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    let acknowledged = |at_least: usize| {
        eventually("segments are acknowledged", || {
            let state = instance.control_plane.state();
            state.recordings.get(&token).is_some_and(|known| known.segments.len() >= at_least).then_some(())
        });
    };
    person.types("seq 500000; echo first-$((1+1))-part\r");
    person.sees("first-2-part");
    acknowledged(3);
    instance.control_plane.state().recordings.get_mut(&token).unwrap().segments.truncate(1);
    person.types("seq 400000; echo second-$((1+1))-part\r");
    person.sees("second-2-part");
    acknowledged(4);
    person.types("exit 0\r");
    person.ends_with(0);
    let recorded = text(&instance.control_plane.sealed(&token).output());
    assert!(recorded.contains("first-2-part") && recorded.contains("second-2-part"));
    instance.spool_is_empty();
}

#[test]
fn a_session_that_cannot_be_opened_or_read_is_shown_and_disturbs_no_other() {
    let mut instance = Instance::running();
    instance.control_plane.state().away = true;
    let mut people: Vec<_> =
        (0..2).map(|_| instance.person(&["sh", "-c", "echo shown; sleep 1000"])).collect();
    let tokens: Vec<_> = people
        .iter_mut()
        .map(|person| {
            person.sees("shown");
            person.token()
        })
        .collect();
    instance.kill_agent();
    for mut person in people {
        person.signals(Signal::KILL);
        person.ends();
    }
    let spool = instance.session_folder(&tokens[0]).join("terminal.spool");
    let elsewhere = instance.state_dir().join("elsewhere");
    allow_changes(&spool);
    std::fs::rename(&spool, &elsewhere).unwrap();
    let note = instance.session_folder(&tokens[1]).join("session.json");
    std::fs::write(&note, "{").unwrap();
    instance.control_plane.state().away = false;
    instance.start_agent();
    let shown = |token: &recording::TerminalSessionToken| {
        let status = instance.status();
        let sessions = status["Running"]["Sessions"].as_array().unwrap().clone();
        sessions.into_iter().find(|session| session["TerminalSessionToken"] == token.as_str()).unwrap()
    };
    eventually("both are shown", || {
        let reason = |token| shown(token)["Reason"].as_str().unwrap_or_default().to_owned();
        (reason(&tokens[0]).contains("cannot be opened") && reason(&tokens[1]).contains("session.json"))
            .then_some(())
    });
    assert_eq!(shown(&tokens[1])["State"], "unreadable");
    let (_, other) = instance.record(&["true"]);
    instance.control_plane.sealed(&other);
    std::fs::rename(&elsewhere, &spool).unwrap();
    assert!(text(&instance.control_plane.sealed(&tokens[0]).output()).contains("shown"));
}

#[test]
fn a_changed_segment_is_not_passed_off_as_the_cut_one() {
    let mut instance = Instance::running();
    instance.control_plane.state().away = true;
    let (_, token) = instance.record(&["seq", "1000"]);
    let folder = instance.session_folder(&token);
    eventually("it is cut", || folder.join("manifest-0000.json").exists().then_some(()));
    instance.stop_agent();
    let segment = folder.join("segments/000000.cast.zst");
    let mut bytes = std::fs::read(&segment).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    instance.control_plane.state().away = false;
    instance.start_agent();
    eventually("the change is said", || {
        instance.agent_log().contains("was changed on the disk since it was cut").then_some(())
    });
    let session = instance.status()["Running"]["Sessions"][0].clone();
    assert!(session["Reason"].as_str().unwrap().contains("stays in the spool"), "{session}");
    assert!(segment.exists());
}

#[test]
fn an_idle_agent_is_small() {
    let instance = Instance::running();
    eventually("the link is open", || (instance.status()["Running"]["Link"] == "connected").then_some(()));
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.agent_pid())).unwrap();
    let resident: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap()
        .parse()
        .unwrap();
    eprintln!("an idle agent has {resident} KiB resident");
    assert!(resident < 64 * 1024, "{resident} KiB");
}

/// What was not acknowledged is the only copy, whatever the reply to its upload was.
#[test]
fn an_upload_that_is_answered_and_lost_is_sent_again() {
    let instance = Instance::running();
    instance.control_plane.state().loses_upload = Some(2);
    instance.control_plane.state().away = true;
    let (output, token) = instance.record(&["sh", "-c", "head -c 3000000 /dev/urandom"]);
    let folder = instance.session_folder(&token);
    eventually("it is sealed", || folder.join("manifest-0000.json").exists().then_some(()));
    instance.control_plane.state().away = false;
    let recording = instance.control_plane.sealed(&token);
    assert!(recording.segments.len() >= 3, "{} segments", recording.segments.len());
    assert!(recording.output() == output.stdout);
    instance.spool_is_empty();
}
