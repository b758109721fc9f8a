//! The spool's disk becomes full: new sessions are refused, and running ones end in order, while all that was shown stays.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_protocol::local::DiskState;
use recording::{ExitStatus, FailurePolicy, RecordingEnd};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::bench::{Instance, eventually, text, token_in, without_root};
use crate::person::Person;

const MEBIBYTE: u64 = 1024 * 1024;
/// New sessions are refused with less than 16 MiB, and running ones end with less than 4 MiB.
const LIMITS: [&str; 4] = ["--minimum-free-bytes", "16777216", "--critical-free-bytes", "4194304"];

/// An instance on a disk of 64 MiB, for root alone.
fn on_small_disk(arguments: &[&str]) -> Option<Instance> {
    let Some(instance) = Instance::new().on_small_disk(64 * MEBIBYTE) else {
        without_root("a file system of a known size must be mounted");
        return None;
    };
    let mut instance = instance.with_run_arguments(arguments);
    instance.enrol();
    instance.start_agent();
    Some(instance)
}

/// Another program on the same disk, which takes so much that this is left.
struct Neighbour<'a> {
    instance: &'a Instance,
    file: File,
    taken: u64,
}

impl<'a> Neighbour<'a> {
    fn of(instance: &'a Instance) -> Self {
        let file = File::create(instance.state_dir().join("neighbour")).unwrap();
        Neighbour { instance, file, taken: 0 }
    }

    fn leaves(&mut self, bytes: u64) {
        let found = statvfs(self.instance.state_dir()).unwrap();
        let free = found.f_bavail * found.f_frsize;
        if free > bytes {
            let more = free - bytes;
            fallocate(&self.file, FallocateFlags::empty(), self.taken, more).unwrap();
            self.taken += more;
        } else {
            self.taken = self.taken.saturating_sub(bytes - free);
            self.file.set_len(self.taken).unwrap();
        }
    }
}

fn shell(instance: &Instance) -> Person {
    let person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    person
}

fn disk(instance: &Instance) -> serde_json::Value {
    instance.status()["Running"]["Disk"].clone()
}

#[test]
fn a_disk_that_is_low_refuses_new_sessions_until_a_quarter_more_is_free_and_running_ones_go_on() {
    let Some(instance) = on_small_disk(&LIMITS) else { return };
    assert_eq!(disk(&instance)["State"], "available");
    let mut person = shell(&instance);
    let mut neighbour = Neighbour::of(&instance);
    let refused = || {
        let output = instance.record_with_input(&["echo", "ran"], Stdio::null());
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)));
        assert!(text(&output.stderr).contains("bytes are free for the spool"), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("20971520 are needed"), "{}", text(&output.stderr));
    };
    neighbour.leaves(15 * MEBIBYTE);
    refused();
    assert_eq!(disk(&instance)["State"], "low");
    eventually("the control plane is told that the disk is low", || {
        let disks = instance.control_plane.state().disks.clone();
        let (first, (state, bytes)) = (disks.first()?.0, *disks.last()?);
        let is_low = state == DiskState::Low && bytes <= 15 * MEBIBYTE;
        (first == DiskState::Available && is_low).then_some(())
    });
    person.types("echo still-$((1+1))-recorded\r");
    person.sees("still-2-recorded");
    // More than what brought it, and not yet a quarter more.
    neighbour.leaves(19 * MEBIBYTE);
    refused();
    let status = text(&instance.command(&["status"]).output().unwrap().stdout);
    assert!(
        status.contains("spool's disk   low (under 16777216 bytes): no new session is recorded"),
        "{status}"
    );
    neighbour.leaves(22 * MEBIBYTE);
    let (_, token) = instance.record(&["true"]);
    assert_eq!(disk(&instance)["State"], "available");
    let ledger = instance.control_plane.sealed(&token).whole_ledger();
    let advice = ledger.iter().find(|entry| entry.cause.as_str() == "less_room_than_advised").unwrap();
    assert!(
        advice.reason.ends_with("for the recordings of 2 sessions; 2147483648 are advised"),
        "{advice:?}"
    );
    person.types("exit 0\r");
    person.ends_with(0);
    assert!(instance.agent_log().contains("new sessions are refused"));
    assert!(instance.agent_log().contains("1 GiB is advised for each session"), "{}", instance.agent_log());
}

#[test]
fn on_a_critical_disk_the_session_that_takes_most_room_ends_first_and_others_only_if_that_is_not_enough() {
    let Some(instance) = on_small_disk(&LIMITS) else { return };
    instance.control_plane.state().away = true;
    let mut quiet = shell(&instance);
    let mut loud = shell(&instance);
    loud.types("head -c 6000000 /dev/zero | tr '\\\\0' 'x' | fold; echo all-$((1+1))-shown\r");
    loud.sees("all-2-shown");
    let mut neighbour = Neighbour::of(&instance);
    neighbour.leaves(3 * MEBIBYTE);
    // Somebody writes: nobody looks before.
    quiet.types("echo before-$((1+1))\r");
    quiet.sees("before-2");
    loud.ends_with(125);
    loud.sees("the session was ended: the disk is full: only ");
    // Its end gave no room yet; the neighbour does.
    neighbour.leaves(30 * MEBIBYTE);
    instance.control_plane.state().away = false;
    quiet.types("echo after-$((1+1)); exit 4\r");
    quiet.ends_with(4);
    let recording = instance.control_plane.sealed(&loud.token());
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{:?}", recording.end()) };
    assert!(
        reason.starts_with("the disk is full: only ") && reason.ends_with(" 5242880 are needed"),
        "{reason}"
    );
    assert!(text(&recording.output()).contains("all-2-shown"));
    assert!(text(&instance.control_plane.sealed(&quiet.token()).output()).contains("after-2"));
}

#[test]
fn on_a_critical_disk_that_stays_so_every_session_ends_with_the_reason() {
    let Some(instance) = on_small_disk(&LIMITS) else { return };
    let mut people: Vec<Person> = (0..3).map(|_| shell(&instance)).collect();
    let mut neighbour = Neighbour::of(&instance);
    neighbour.leaves(3 * MEBIBYTE);
    people[0].types("echo look\r");
    for person in &mut people {
        person.ends_with(125);
        person.sees("the session was ended: the disk is full: only ");
        let RecordingEnd::Interrupted { reason } = instance.control_plane.sealed(&person.token()).end()
        else {
            panic!("it did not end")
        };
        assert!(reason.contains("bytes are free for the spool"), "{reason}");
    }
    instance.spool_is_empty();
}

#[test]
fn under_best_effort_a_session_on_a_critical_disk_goes_on_and_says_what_is_missing() {
    let Some(instance) = on_small_disk(&LIMITS) else { return };
    instance.configured(|state| state.failure_policy = FailurePolicy::BestEffort);
    let mut person = shell(&instance);
    let mut neighbour = Neighbour::of(&instance);
    neighbour.leaves(3 * MEBIBYTE);
    person.types("seq 30000; echo all-$((1+1))-shown\r");
    person.sees("the recording has failed, and the session goes on without it (FailurePolicy best_effort)");
    person.sees("all-2-shown");
    // To the last byte: what closes a recording has its room already.
    let mut last = File::create(instance.state_dir().join("last")).unwrap();
    while last.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    person.types("exit 3\r");
    person.ends_with(3);
    neighbour.leaves(30 * MEBIBYTE);
    let recording = instance.control_plane.sealed(&person.token());
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{:?}", recording.end()) };
    assert!(reason.contains("bytes of output are not recorded"), "{reason}");
}

/// No limits, so that a disk can become full to the last byte.
const NO_LIMITS: [&str; 4] = ["--minimum-free-bytes", "0", "--nearly-full-percent", "100"];

#[test]
fn at_whichever_write_the_disk_becomes_full_all_that_was_shown_is_recorded_once() {
    let Some(instance) = on_small_disk(&NO_LIMITS) else { return };
    let mut neighbour = Neighbour::of(&instance);
    let [mut refused, mut ended, mut whole] = [0; 3];
    // In pages of the file system: each is the last that some write of the agent or of the recorder gets.
    for pages in 0..64 {
        neighbour.leaves(pages * 4096);
        let output = instance.record_with_input(&["seq", "20000"], Stdio::null());
        neighbour.leaves(30 * MEBIBYTE);
        let said = text(&output.stderr);
        let Some(token) = token_in(&said) else {
            assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{pages}: {said}");
            refused += 1;
            instance.spool_is_empty();
            continue;
        };
        let recording = instance.control_plane.sealed(&token);
        match output.status.code() {
            Some(0) => {
                assert!(recording.output() == output.stdout, "{pages}");
                assert!(matches!(recording.end(), RecordingEnd::Exited(_)), "{pages}: {:?}", recording.end());
                whole += 1;
            }
            code => {
                assert_eq!(code, Some(125), "{pages}: {said}");
                // What is written is shown, if the person's side still is there.
                assert!(recording.output().starts_with(&output.stdout), "{pages}");
                let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{pages}: {said}") };
                assert!(said.contains(&reason), "{pages}: {reason} {said}");
                ended += 1;
            }
        }
        instance.spool_is_empty();
    }
    assert!(refused > 2 && ended > 5 && whole > 1, "{refused} refused, {ended} ended, {whole} whole");
    let (output, token) = instance.record(&["echo", "after"]);
    assert_eq!(instance.control_plane.sealed(&token).output(), output.stdout);
}

#[test]
fn a_neighbour_that_takes_every_byte_that_becomes_free_does_not_keep_the_last_records() {
    let Some(instance) = on_small_disk(&NO_LIMITS) else { return };
    // One ends well within the room that it has; the other wants more.
    let mut short = shell(&instance);
    let mut long = shell(&instance);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut hog = File::create(instance.state_dir().join("hog")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                // Without a pause as long as there is anything to take.
                if hog.write(&[0; 4096]).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        let full = || statvfs(instance.state_dir()).unwrap().f_bavail == 0;
        eventually("the disk is full", || full().then_some(()));
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            long.types("seq 100000\r");
            long.ends_with(125);
            long.sees("recording cannot be kept: the spool could not be written: No space left on device");
            short.types("echo with-$((1+1)); exit 6\r");
            short.ends_with(6);
            assert!(full());
        }));
        stop.store(true, Ordering::Relaxed);
        checked.unwrap();
    });
    std::fs::remove_file(instance.state_dir().join("hog")).unwrap();
    let recording = instance.control_plane.sealed(&short.token());
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(6)));
    assert!(text(&recording.output()).contains("with-2"));
    let recording = instance.control_plane.sealed(&long.token());
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{:?}", recording.end()) };
    assert!(reason.contains("No space left on device"), "{reason}");
    let shown = long.screen();
    let last = shown.lines().rfind(|line| line.trim().parse::<u32>().is_ok()).unwrap().trim().to_owned();
    assert!(text(&recording.output()).contains(&format!("\n{last}\r")), "{last}");
}

#[test]
fn nothing_looks_at_the_disk_while_nothing_happens() {
    let Some(instance) = on_small_disk(&LIMITS) else { return };
    let mut person = shell(&instance);
    let mut neighbour = Neighbour::of(&instance);
    neighbour.leaves(15 * MEBIBYTE);
    let switches = || {
        let mut all = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", instance.agent_pid())).unwrap() {
            let task = task.unwrap().path();
            if std::fs::read_to_string(task.join("comm")).unwrap().trim() == "cutter" {
                let status = std::fs::read_to_string(task.join("status")).unwrap();
                let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
                all = line.split_whitespace().last().unwrap().parse::<u64>().unwrap();
            }
        }
        all
    };
    // The segment of the prompt is cut after some seconds; then there is nothing to do.
    eventually("it is quiet", || {
        let before = switches();
        std::thread::sleep(std::time::Duration::from_secs(3));
        (switches() == before).then_some(())
    });
    person.types("exit 0\r");
    person.ends_with(0);
}
