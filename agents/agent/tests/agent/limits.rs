//! What one person may have of the agent: sessions, beginnings of sessions, and room in the spool. Others are not concerned.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use recording::{Cause, ExitStatus, FailurePolicy, RecordingEnd, ShortfallKind};

use crate::bench::{Instance, Program, eventually, text, token_in, without_root};
use crate::person::Person;

const ANA: u32 = 54_322;
const BOB: u32 = 54_323;
/// One of the ids that are subordinate to Ana's.
const CONTAINER_OF_ANA: u32 = 1_200_007;

struct Machine {
    instance: Instance,
    program: Program,
}

impl Machine {
    fn with(change: impl FnOnce(Instance) -> Instance) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            without_root("only root can become somebody else");
            return None;
        }
        let mut instance = change(Instance::new());
        instance.enrol();
        instance.start_agent();
        std::fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711))
            .unwrap();
        Some(Machine { instance, program: Program::for_everybody() })
    }

    fn command(&self, user: u32, command: &[&str]) -> Command {
        let user = user.to_string();
        let mut record = Command::new("setpriv");
        record.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).arg(self.program.path());
        record.arg("--state-dir").arg(self.instance.state_dir()).args(["record", "--"]).args(command);
        record
    }

    fn echo(&self, user: u32) -> Output {
        self.command(user, &["echo", "ran"]).output().unwrap()
    }

    fn begins(&self, user: u32) {
        let output = self.echo(user);
        assert_eq!(text(&output.stdout), "ran\n", "{}", text(&output.stderr));
    }

    fn is_refused(&self, user: u32, why: &str) -> String {
        let output = self.echo(user);
        let told = text(&output.stderr);
        assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(125)), "{told}");
        assert!(told.contains(why), "{told}");
        told
    }
}

#[test]
fn whoever_begins_many_sessions_waits_and_is_told_how_long() {
    let Some(machine) =
        Machine::with(|instance| instance.with_run_arguments(&["--most-starts-of-a-user", "3"]))
    else {
        return;
    };
    for _ in 0..3 {
        machine.begins(ANA);
    }
    let told = machine.is_refused(ANA, "user 54322 has begun 3 sessions within a minute");
    let wait: u64 = told.split("try again in ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{told}");
    machine.begins(BOB);
    for _ in 0..4 {
        machine.begins(0);
    }
}

#[test]
fn subordinate_ids_have_no_limits_of_their_own() {
    let ids = format!("{ANA}:1200000:65536\n");
    let Some(machine) = Machine::with(|instance| {
        instance.with_subordinate_ids(&ids).with_run_arguments(&["--most-sessions-of-a-user", "1"])
    }) else {
        return;
    };
    let mut first =
        Person::at_terminal(&machine.command(CONTAINER_OF_ANA, &["sh", "-c", "echo up; read line"]));
    first.sees("up");
    let why = "user 54322 has 1 sessions that are being recorded";
    machine.is_refused(CONTAINER_OF_ANA + 1, why);
    machine.is_refused(ANA, why);
    machine.begins(BOB);
    first.types("\r");
    first.ends_with(0);
    machine.instance.control_plane.sealed(&first.token());
    machine.begins(ANA);
}

#[test]
fn whoever_fills_the_spool_gets_no_new_sessions_and_then_loses_running_ones_and_nobody_else_does() {
    let arguments = ["--most-spool-bytes-of-a-user", "4000000"];
    let Some(machine) = Machine::with(|instance| instance.with_run_arguments(&arguments)) else { return };
    let instance = &machine.instance;
    instance.control_plane.state().away = true;
    let quiet = |user| {
        let person =
            Person::at_terminal(&machine.command(user, &["sh", "-c", "echo up; read line; echo end-$line"]));
        person.sees("up");
        person
    };
    let mut of_bob = quiet(BOB);
    let script = "yes much | head -c 3600000; echo wr''itten; read line; exec yes more";
    let mut loud = Person::at_terminal(&machine.command(ANA, &["sh", "-c", script]));
    loud.sees("written");
    eventually("no new one begins", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        (machine.echo(ANA).status.code() == Some(125)).then_some(())
    });
    machine.is_refused(ANA, "bytes of the spool until they are delivered, of at most 4000000");
    machine.begins(BOB);
    loud.types("\r");
    loud.ends_with(125);
    loud.sees("the session was ended: recordings of user 54322 take ");
    of_bob.types("word\r");
    of_bob.ends_with(0);
    instance.control_plane.state().away = false;
    let RecordingEnd::Interrupted { reason } = instance.control_plane.sealed(&loud.token()).end() else {
        panic!("it did not end")
    };
    assert!(reason.contains("of at most 5000000"), "{reason}");
    assert!(text(&instance.control_plane.sealed(&of_bob.token()).output()).contains("end-word"));
    instance.spool_is_empty();
    eventually("she may begin again", || token_in(&text(&machine.echo(ANA).stderr)).map(drop));
}

#[test]
fn under_best_effort_whoever_fills_the_spool_goes_on_unrecorded_until_there_is_room_and_all_are_told() {
    let arguments = ["--most-spool-bytes-of-a-user", "4000000"];
    let policy = |instance: Instance| {
        instance.control_plane.state().failure_policy = FailurePolicy::BestEffort;
        instance.with_run_arguments(&arguments)
    };
    let Some(machine) = Machine::with(policy) else { return };
    let instance = &machine.instance;
    instance.control_plane.state().away = true;
    let script = "yes much | head -c 6000000; while read line; do echo line-$line; done";
    let mut loud = Person::at_terminal(&machine.command(ANA, &["sh", "-c", script]));
    let mut of_bob =
        Person::at_terminal(&machine.command(BOB, &["sh", "-c", "echo up; read line; echo end-$line"]));
    of_bob.sees("up");
    loud.sees("the session goes on without its recording (FailurePolicy best_effort): recordings of user 54322 take ");
    loud.types("mean''while\r");
    loud.sees("line-mean''while");
    let of_another = machine.echo(ANA);
    assert_eq!(text(&of_another.stdout), "ran\n");
    assert!(text(&of_another.stderr).contains("not recorded: "), "{}", text(&of_another.stderr));
    of_bob.types("word\r");
    of_bob.ends_with(0);

    // What was taken is delivered, and with the next that is printed the session is recorded again.
    instance.control_plane.state().away = false;
    eventually("it is recorded again", || {
        loud.types("more\r");
        loud.screen().contains("the session is recorded again").then_some(())
    });
    loud.types("la''st\r");
    loud.sees("line-la''st");
    loud.types("\u{4}");
    loud.ends_with(0);
    let recording = instance.control_plane.sealed(&loud.token());
    assert_eq!(recording.end(), RecordingEnd::Exited(ExitStatus::Code(0)));
    let output = text(&recording.output());
    assert!(output.contains("line-la''st") && !output.contains("line-mean''while"));
    let ledger = recording.ledger();
    let [entry] = &ledger[..] else { panic!("{ledger:?}") };
    assert_eq!((entry.kind, &entry.cause), (ShortfallKind::Gap, &Cause::SPOOL_LIMIT));
    assert!(entry.lost_bytes > 0 && entry.reason.contains("of at most 5000000"), "{entry:?}");
    assert!(text(&instance.control_plane.sealed(&of_bob.token()).output()).contains("end-word"));
    eventually("the control plane is told", || {
        let state = instance.control_plane.state();
        let report = state.unrecorded.iter().find(|report| report.reason.contains(loud.token().as_str()))?;
        report.claimed_user.contains("54322").then_some(())
    });
}

#[test]
fn whoever_has_many_recordings_that_wait_gets_no_new_sessions_and_nobody_else_is_concerned() {
    let arguments = ["--most-waiting-recordings-of-a-user", "2"];
    let Some(machine) = Machine::with(|instance| instance.with_run_arguments(&arguments)) else { return };
    machine.instance.control_plane.state().away = true;
    machine.begins(ANA);
    machine.begins(ANA);
    eventually("no new one begins", || (machine.echo(ANA).status.code() == Some(125)).then_some(()));
    machine.is_refused(ANA, "recordings of user 54322 are not delivered yet, of at most 2");
    machine.begins(BOB);
    machine.instance.control_plane.state().away = false;
    machine.instance.spool_is_empty();
    eventually("she may begin again", || token_in(&text(&machine.echo(ANA).stderr)).map(drop));
}
