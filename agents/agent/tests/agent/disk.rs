//! The spool's disk becomes full: new sessions are refused, and running ones end in order, while all that was shown stays.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;

use recording::{FailurePolicy, RecordingEnd};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::bench::{Instance, eventually, text, without_root};
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
    instance.record(&["true"]);
    assert_eq!(disk(&instance)["State"], "available");
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
