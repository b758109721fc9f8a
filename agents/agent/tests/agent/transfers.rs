//! Files that are copied through a real sshd: the recording says which, in which direction, how large, and their hash,
//! and has none of their bytes.

use std::fs;

use recording::ContentHash;
use recording::events::fact::{Direction, Fact, FileTransfer, HashOf, Outcome};

use crate::bench::{text, without_root};
use crate::control_plane::Recording;
use crate::ssh_host::{Form, Host};

/// Runs something that makes one session, and returns its recording.
fn recorded(host: &Host, run: impl FnOnce()) -> Recording {
    let known: Vec<_> = host.instance.control_plane.state().recordings.keys().cloned().collect();
    run();
    let token = crate::bench::eventually("the session is known", || {
        let state = host.instance.control_plane.state();
        state.recordings.keys().find(|token| !known.contains(token)).cloned()
    });
    host.instance.control_plane.sealed(&token)
}

fn files(recording: &Recording) -> Vec<FileTransfer> {
    let of_file = |fact| if let Fact::TransferFile(file) = fact { Some(file) } else { None };
    recording.facts().into_iter().filter_map(of_file).collect()
}

#[test]
fn copied_files_are_facts_and_no_bytes() {
    if !rustix::process::geteuid().is_root() {
        return without_root("only root can run an sshd for others");
    }
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    for form in [Form::LoginShell, Form::ForceCommand] {
        let host = Host::running(form, "");
        let here = host.file("here");
        fs::write(&here, &content).unwrap();
        let (here, back) =
            (here.to_str().unwrap().to_owned(), host.file("back").to_str().unwrap().to_owned());
        for flags in [&["-O"][..], &["-s"]] {
            for (words, direction) in [
                ([here.as_str(), "remote:there"], Direction::Upload),
                (["remote:there", back.as_str()], Direction::Download),
            ] {
                let recording = recorded(&host, || {
                    let output = host.scp(flags, &words).output().unwrap();
                    assert!(output.status.success(), "{}", text(&output.stderr));
                });
                let [file] = &files(&recording)[..] else { panic!("{:?}", recording.facts()) };
                assert_eq!((file.direction, file.size), (direction, content.len() as u64), "{form:?}");
                assert_eq!(file.sha256, Some(ContentHash::of(&content)), "{form:?} {flags:?}");
                assert_eq!((file.hash_of, file.result), (Some(HashOf::File), Outcome::Ok));
                assert_eq!(recording.output(), b"", "{form:?}: no byte of it is recorded");
                assert!(
                    fs::read(if direction == Direction::Upload {
                        host.home().join("there")
                    } else {
                        back.clone().into()
                    })
                    .unwrap()
                        == content
                );
            }
        }
    }
}

#[test]
fn what_is_no_plain_transfer_is_recorded_as_bytes() {
    if !rustix::process::geteuid().is_root() {
        return without_root("only root can run an sshd for others");
    }
    let host = Host::running(Form::LoginShell, "");
    // The shell reads more than a copy here.
    let recording = recorded(&host, || {
        host.ssh(&[], &["scp -t /tmp; echo shell-$((1+1))"]).output().unwrap();
    });
    assert!(text(&recording.output()).contains("shell-2"));
    assert_eq!(recording.facts(), []);
    // A copy that is started by hand, and gets something else to read.
    let recording = recorded(&host, || {
        let mut command = host.ssh(&[], &["/usr/lib/openssh/sftp-server"]);
        let mut child =
            command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(
            &mut child.stdin.take().unwrap(),
            b"\0\0\0\x05\x01\0\0\0\x03hello, is this a shell?",
        )
        .unwrap();
        child.wait_with_output().unwrap();
    });
    let facts = recording.facts();
    assert!(facts.iter().any(|fact| matches!(fact, Fact::TransferNotUnderstood { .. })), "{facts:?}");
}

#[test]
fn output_beyond_the_limit_is_counted_and_hashed() {
    let instance = crate::bench::Instance::new().with_run_arguments(&["--most-output-bytes", "100000"]);
    let mut instance = instance;
    instance.enrol();
    instance.start_agent();
    let (output, token) = instance.record(&["seq", "100000"]);
    let recording = instance.control_plane.sealed(&token);
    assert_eq!(recording.output(), output.stdout[..100_000]);
    let [Fact::OutputLimit { recorded_bytes: 100_000, bytes, sha256, .. }] = &recording.facts()[..] else {
        panic!("{:?}", recording.facts())
    };
    assert_eq!(*bytes, output.stdout.len() as u64 - 100_000);
    assert_eq!(*sha256, ContentHash::of(&output.stdout[100_000..]));
}
