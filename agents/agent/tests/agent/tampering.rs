//! Whoever is the agent's user can write to the spool, and so can root: what they do to it is noticed, to the extent that
//! the README states.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use recording::{
    ExitStatus, Micros, RecordingEnd, SpoolWriter, TerminalEvent, TerminalEventKind, TerminalSessionToken,
};
use rustix::fd::OwnedFd;
use rustix::fs::FlockOperation;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, Signal, kill_process, pidfd_getfd, pidfd_open};

use crate::append_only::{allow_changes, can_be_append_only, is_append_only};
use crate::bench::{Instance, eventually, length_of, text, without_root};
use crate::control_plane::Recording;
use crate::person::Person;

/// A session in a shell, and its spool, which can be changed as on a file system without attributes.
pub(crate) fn recorded_shell(instance: &Instance) -> (Person, TerminalSessionToken, PathBuf) {
    let person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    let spool = instance.session_folder(&token).join("terminal.spool");
    // When the agent begins to follow a session, it sets the attribute once more.
    until_looked_at(instance);
    allow_changes(&spool);
    (person, token, spool)
}

pub(crate) fn record(event: &TerminalEvent) -> Vec<u8> {
    let mut writer = SpoolWriter::new(Vec::new(), 0);
    writer.append_terminal(event).unwrap();
    writer.into_inner()
}

pub(crate) fn append(spool: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(spool).unwrap().write_all(bytes).unwrap();
}

fn set_length(spool: &Path, length: u64) {
    OpenOptions::new().append(true).open(spool).unwrap().set_len(length).unwrap();
}

/// Types `exit`, and returns the recording, which must have ended as interrupted for this reason.
pub(crate) fn distrusted(
    instance: &Instance,
    mut person: Person,
    token: &TerminalSessionToken,
    why: &str,
) -> Recording {
    person.types("echo at-$((1+1))-last; exit 5\r");
    person.ends_with(5);
    is_distrusted(instance, token, why)
}

fn is_distrusted(instance: &Instance, token: &TerminalSessionToken, why: &str) -> Recording {
    let recording = instance.control_plane.sealed(token);
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{:?}", recording.end()) };
    assert!(reason.contains(why), "{reason}");
    let gaps = gaps(&recording);
    assert!(gaps.iter().any(|gap| gap.contains(why)), "{gaps:?}");
    recording
}

fn gaps(recording: &Recording) -> Vec<String> {
    let gap = |event: TerminalEvent| match event.kind {
        TerminalEventKind::Shortfall(gap) => Some(gap.reason),
        _ => None,
    };
    recording.events().into_iter().filter_map(gap).collect()
}

/// Whether the agent reports that it does not trust the spool of its only session.
fn is_doubted(instance: &Instance) -> Option<()> {
    let status = instance.status();
    status["Running"]["Sessions"][0]["Reason"].as_str()?.contains("tampered with").then_some(())
}

/// The agent checks all of its sessions in turn, so it has checked each of them when another one is sealed.
fn until_looked_at(instance: &Instance) {
    let mut other = instance.person(&["true"]);
    let token = other.token();
    other.ends_with(0);
    instance.control_plane.sealed(&token);
}

pub(crate) fn wait_for_a_segment(instance: &Instance, token: &TerminalSessionToken) {
    eventually("a segment is acknowledged", || {
        let state = instance.control_plane.state();
        state.recordings.get(token).is_some_and(|known| !known.segments.is_empty()).then_some(())
    });
}

/// A copy of the recorder's descriptor of its spool; it shares the lock.
fn copied_descriptor(instance: &Instance, token: &TerminalSessionToken) -> OwnedFd {
    let pid = instance.recorder(token);
    let mut links = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap();
    let number = links
        .find_map(|link| {
            let link = link.unwrap();
            let target = std::fs::read_link(link.path()).ok()?;
            target
                .to_str()?
                .ends_with("terminal.spool")
                .then(|| link.file_name().to_str().unwrap().parse().unwrap())
        })
        .expect("the recorder has its spool open");
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()).unwrap()
}

#[test]
fn an_exit_record_from_inside_the_shell_ends_nothing() {
    let instance = Instance::running();
    let (mut person, token, spool) = recorded_shell(&instance);
    let exit = record(&TerminalEvent::exit(Micros::new(1), ExitStatus::Code(0)));
    let exit: String = exit.iter().map(|byte| format!("\\{byte:03o}")).collect();
    person.types(&format!("printf '{exit}' >>'{}'; echo for''ged\r", spool.display()));
    person.sees("forged");
    person.types("echo the-$((1+1))-deed\r");
    person.sees("the-2-deed");
    let recording = distrusted(&instance, person, &token, "the spool was tampered with");
    let output = text(&recording.output());
    assert!(output.contains("the-2-deed") && output.contains("at-2-last"), "{output}");
    assert!(gaps(&recording).iter().any(|gap| gap == "an exit record is not believed: exit code 5"));
    instance.spool_is_empty();
}

#[test]
fn a_recorder_that_lives_on_behind_its_exit_record_is_not_believed() {
    let instance = Instance::running();
    let (mut person, token, spool) = recorded_shell(&instance);
    let recorder = instance.recorder(&token);
    kill_process(recorder, Signal::STOP).unwrap();
    append(&spool, &record(&TerminalEvent::exit(Micros::new(1), ExitStatus::Code(0))));
    // It is reported during the session, not only at its end.
    eventually("the doubt is known", || {
        let status = instance.status();
        let reason = status["Running"]["Sessions"][0]["Reason"].as_str()?.to_owned();
        reason.contains("the recorder continued after its exit record").then_some(())
    });
    kill_process(recorder, Signal::CONT).unwrap();
    person.types("echo later-$((1+1))-on\r");
    person.sees("later-2-on");
    let recording = distrusted(&instance, person, &token, "the recorder continued after its exit record");
    assert!(text(&recording.output()).contains("later-2-on"));
}

#[test]
fn a_spool_that_was_emptied_and_grew_again_is_noticed() {
    let mut instance = Instance::running();
    for with_agent in [true, false] {
        let (mut person, token, spool) = recorded_shell(&instance);
        wait_for_a_segment(&instance, &token);
        if !with_agent {
            instance.kill_agent();
            allow_changes(&spool);
        }
        let length = length_of(&spool);
        set_length(&spool, 0);
        person.types("echo the-$((1+1))-deed\r");
        person.sees("the-2-deed");
        set_length(&spool, length);
        if !with_agent {
            instance.start_agent();
        }
        let recording = distrusted(&instance, person, &token, "the spool was tampered with");
        assert!(text(&recording.output()).contains("at-2-last"), "with an agent: {with_agent}");
        let kept = instance.spool().join(format!("damaged-{token}"));
        eventually("the spool is kept as it is", || kept.exists().then_some(()));
    }
}

/// The head of a record that claims the maximum length, and whose rest never follows.
const CLAIM: [u8; 17] = [0, 15, 255, 240, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1];

#[test]
fn what_was_hidden_behind_a_record_that_never_comes_cannot_be_cut_off_again() {
    let instance = Instance::running();
    let (mut person, token, spool) = recorded_shell(&instance);
    wait_for_a_segment(&instance, &token);
    let length = length_of(&spool);
    append(&spool, &CLAIM);
    person.types("echo the-$((1+1))-deed\r");
    person.sees("the-2-deed");
    until_looked_at(&instance);
    set_length(&spool, length);
    let recording = distrusted(&instance, person, &token, "the spool was tampered with");
    assert!(text(&recording.output()).contains("at-2-last"));
}

#[test]
fn a_record_that_never_comes_is_not_waited_for_and_cannot_become_another() {
    let instance = Instance::running();
    for becomes_another in [true, false] {
        let (mut person, token, spool) = recorded_shell(&instance);
        wait_for_a_segment(&instance, &token);
        let begin = length_of(&spool);
        append(&spool, &CLAIM);
        person.types("echo the-$((1+1))-deed\r");
        person.sees("the-2-deed");
        if becomes_another {
            until_looked_at(&instance);
            // One record of exactly the same length as the claim and the deed together.
            let payload = vec![b'x'; usize::try_from(length_of(&spool) - begin).unwrap() - CLAIM.len()];
            let harmless = record(&TerminalEvent::output(Micros::new(1), payload));
            let file = OpenOptions::new().write(true).open(&spool).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &harmless, begin).unwrap();
            let recording = distrusted(&instance, person, &token, "has changed");
            assert!(text(&recording.output()).contains("at-2-last"));
        } else {
            // The agent does not wait for the end of the session.
            eventually("the doubt is known", || is_doubted(&instance));
            let recording = distrusted(&instance, person, &token, "the spool was tampered with");
            assert!(text(&recording.output()).contains("the-2-deed"));
        }
    }
}

#[test]
fn what_stands_behind_an_exit_record_makes_it_doubtful() {
    let mut instance = Instance::running();
    let (mut person, token, spool) = recorded_shell(&instance);
    instance.kill_agent();
    person.types("exit 0\r");
    person.ends_with(0);
    append(&spool, &record(&TerminalEvent::output(Micros::new(9), *b"behind-the-end")));
    instance.start_agent();
    let recording = is_distrusted(&instance, &token, "something follows its exit record");
    assert!(text(&recording.output()).contains("behind-the-end"));
}

#[test]
fn a_record_from_the_future_gets_the_time_of_now() {
    let instance = Instance::running();
    let (person, token, spool) = recorded_shell(&instance);
    let tomorrow = Micros::from(Duration::from_secs(24 * 3600));
    append(&spool, &record(&TerminalEvent::output(tomorrow, *b"from-tomorrow")));
    let recording = distrusted(&instance, person, &token, "ahead of the clock");
    assert!(text(&recording.output()).contains("from-tomorrow"));
    assert_eq!(recording.ledger()[0].cause, recording::Cause::TIME_AHEAD_OF_CLOCK);
    assert!(recording.manifest().duration < Micros::from(Duration::from_secs(600)));
}

#[test]
fn zeros_in_the_spool_of_a_living_recorder_are_no_accident() {
    let instance = Instance::running();
    let (mut person, token, spool) = recorded_shell(&instance);
    append(&spool, &[0; 1000]);
    person.types("echo behind-$((1+1))-zeros\r");
    person.sees("behind-2-zeros");
    eventually("the doubt is known", || is_doubted(&instance));
    let recording = distrusted(&instance, person, &token, "the spool was tampered with");
    assert!(text(&recording.output()).contains("at-2-last"));
}

#[test]
fn a_killed_recorder_has_ended_even_if_its_descriptor_is_held() {
    if !rustix::process::geteuid().is_root() {
        without_root("only root can reach into a recorder");
        return;
    }
    let instance = Instance::running();
    let (mut person, token, _) = recorded_shell(&instance);
    let held = copied_descriptor(&instance, &token);
    kill_process(instance.recorder(&token), Signal::KILL).unwrap();
    person.ends();
    let recording = instance.control_plane.sealed(&token);
    let RecordingEnd::Interrupted { reason } = recording.end() else { panic!("{:?}", recording.end()) };
    assert!(reason.contains("recorder ended"), "{reason}");
    drop(held);
}

#[test]
fn no_lock_on_the_spool_says_that_the_recorder_ended() {
    if !rustix::process::geteuid().is_root() {
        without_root("only root can reach into a recorder");
        return;
    }
    let instance = Instance::running();
    let (mut person, token, _) = recorded_shell(&instance);
    rustix::fs::flock(copied_descriptor(&instance, &token), FlockOperation::Unlock).unwrap();
    wait_for_a_segment(&instance, &token);
    person.types("echo still-$((1+1))-here; exit 4\r");
    person.ends_with(4);
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(4)));
    assert!(text(&recording.output()).contains("still-2-here"));
}

#[test]
fn a_spool_can_only_be_appended_to_where_that_can_be_had() {
    let instance = Instance::running();
    let mut person = instance.person(&["bash", "--norc", "--noprofile"]);
    person.sees("ready> ");
    let token = person.token();
    let spool = instance.session_folder(&token).join("terminal.spool");
    if !can_be_append_only(instance.state_dir()) {
        return without_root("only root can make a file append-only, and not on every file system");
    }
    let cut_off = || OpenOptions::new().append(true).open(&spool).unwrap().set_len(0);
    assert!(cut_off().is_err());
    // The space of what is delivered is released all the same.
    person.types("seq 1500000 | tail -n +1; echo all-$((1+1))-shown\r");
    person.sees("all-2-shown");
    assert!(length_of(&spool) > 10_000_000);
    eventually("the space is given back", || {
        (std::fs::metadata(&spool).unwrap().blocks() * 512 < 7_000_000).then_some(())
    });
    eventually("it is append-only again", || is_append_only(&spool).then_some(()));
    assert!(cut_off().is_err());
    person.types("exit 0\r");
    person.ends_with(0);
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(0)));
    instance.spool_is_empty();
}
