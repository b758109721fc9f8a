//! Real programs on a recorded terminal: the recording contains what the person saw, byte for byte.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use whole_system::{Deployment, Instance, Person, asciinema_cat};

struct Stage {
    deployment: Deployment,
    instance: Instance,
}

impl Stage {
    fn new(id: &str) -> Self {
        let deployment = Deployment::start();
        deployment.record_everything();
        let instance = Instance::enrol(&deployment, id);
        instance.wait_until_recording_is(true);
        Self { deployment, instance }
    }

    /// Waits for the only recording and returns its exact bytes.
    fn recorded(&self, status: &str) -> Vec<u8> {
        let record = self.deployment.root.one_recording(status);
        let token = record["TerminalSessionToken"].as_str().unwrap();
        let file = self.deployment.scratch().join("exact.txt");
        let out = file.to_str().unwrap();
        let _ =
            self.deployment.root.stdout(&["recordings", "export", token, "--format", "txt", "--out", out]);
        let cast = self.deployment.scratch().join("whole.cast");
        let out = cast.to_str().unwrap();
        let _ =
            self.deployment.root.stdout(&["recordings", "export", token, "--format", "cast", "--out", out]);
        let verified = self.deployment.root.stdout(&["recordings", "verify", token]);
        assert!(verified.contains("complete"), "{verified}");
        let bytes = std::fs::read(file).unwrap();
        if std::str::from_utf8(&bytes).is_ok() && bytes.len() < 1 << 20 {
            assert_eq!(asciinema_cat(&cast), bytes, "asciinema plays the same");
        }
        bytes
    }

    fn finished_as(&self, person: &Person) {
        let (recorded, shown) = (self.recorded("finished"), person.shown_of_the_program());
        assert_eq!(recorded.len(), shown.len());
        assert!(recorded == shown, "the recording differs from what was shown");
    }
}

#[test]
fn control_c_interrupts_and_the_shell_continues() {
    let stage = Stage::new("i-ctrlc");
    let mut person = stage.instance.record(&["bash", "--norc", "-i"]);
    person.sees("$ ");
    // Printed by the program to be interrupted, because until it runs, the shell handles the key itself.
    person.types("sh -c 'echo be\"\"gun; exec sleep 1000'\r");
    person.sees("begun\r\n");
    person.types("\u{3}");
    person.types("echo still here $?\r");
    person.sees("still here 130");
    person.types("kill -TERM $$; kill -KILL $$\r");
    assert_eq!(person.leaves().code(), Some(128 + 9), "a signal passes as the shell would show it");
    stage.finished_as(&person);
}

#[test]
fn without_a_terminal_both_outputs_are_recorded_apart_and_every_player_shows_them() {
    let stage = Stage::new("i-pipes");
    let output = stage.instance.agent(&["record", "--quiet", "--", "sh", "-c", "echo out; echo err >&2"]);
    let (shown, errors) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert_eq!(shown.as_slice(), b"out\n");
    let (notice, rest) = errors.split_once('\n').unwrap();
    assert!(notice.starts_with("hansard-agent: recording this session as "), "{errors}");
    assert_eq!(rest, "err\n");
    assert_eq!(stage.recorded("finished"), b"out\nerr\n");
    let cast = std::fs::read_to_string(stage.deployment.scratch().join("whole.cast")).unwrap();
    let marks: Vec<&str> = cast.lines().filter(|line| line.ends_with(",\"e\",\"\"]")).collect();
    assert_eq!(marks.len(), 1, "{cast}");
}

#[test]
fn an_editor_a_pager_and_a_monitor_are_recorded() {
    let stage = Stage::new("i-screens");
    let file = stage.deployment.scratch().join("note.txt");
    let mut person = stage.instance.record(&["bash", "--norc", "-i"]);
    person.sees("$ ");
    person.types(&format!("vim.tiny -u NONE {}\r", file.display()));
    person.sees("note.txt");
    person.types("iwritten in vim – ✓\u{1b}:wq\r");
    person.sees_times("$ ", 2);
    person.types("seq 500 | less\r");
    person.sees("23\r\n");
    person.types("G");
    person.sees("500");
    person.types("q");
    person.types("htop\r");
    person.sees("Load average");
    person.types("q");
    person.types("echo all''done\r");
    person.sees("alldone");
    person.types("exit\r");
    assert!(person.leaves().success());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "written in vim – ✓\n");
    stage.finished_as(&person);
}

#[test]
fn a_character_split_across_reads_is_kept_whole() {
    let stage = Stage::new("i-utf8");
    // Each byte of ✓ and of an emoji is written separately, and an incomplete character is at the end.
    let script = r"for b in '\342' '\234' '\223' '\360' '\237' '\232' '\200' '\n' '\342' '\234'; do printf $b; sleep 0.05; done";
    let mut person = stage.instance.record(&["sh", "-c", script]);
    assert!(person.leaves().success());
    let shown = person.shown_of_the_program();
    assert!(shown.starts_with("✓🚀".as_bytes()), "{shown:?}");
    stage.finished_as(&person);
}

#[test]
fn random_bytes_are_recorded_exactly() {
    let stage = Stage::new("i-random");
    let mut person = stage.instance.record(&["sh", "-c", "stty raw; head -c 3000000 /dev/urandom"]);
    assert!(person.leaves().success());
    assert_eq!(person.shown_of_the_program().len(), 3_000_000);
    stage.finished_as(&person);
}

#[test]
fn a_hundred_megabytes_pass() {
    let stage = Stage::new("i-large");
    let file = stage.deployment.scratch().join("large.log");
    let line = "2026-11-20T10:00:00Z \u{1b}[32mINFO\u{1b}[0m request served – 200 OK, id ";
    let mut text = String::with_capacity(105_000_000);
    for number in 0_u64.. {
        text.push_str(line);
        text.push_str(&(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_string());
        text.push('\n');
        if text.len() >= 100_000_000 {
            break;
        }
    }
    std::fs::write(&file, &text).unwrap();
    let mut person = stage.instance.record(&["cat", file.to_str().unwrap()]);
    assert!(person.leaves().success());
    assert_eq!(
        person.shown_of_the_program().len(),
        text.len() + text.matches('\n').count(),
        "the terminal adds a return to each line"
    );
    stage.finished_as(&person);
}

#[test]
fn an_unknown_command_is_reported() {
    let stage = Stage::new("i-missing");
    let mut person = stage.instance.record(&["no-such-command-here"]);
    assert_eq!(person.leaves().code(), Some(127));
    assert!(String::from_utf8_lossy(&person.shown()).contains("no-such-command-here"));
}
