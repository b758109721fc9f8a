//! rsync and git, of which the hash each way is known.

use std::fs;
use std::process::Command;

use recording::events::fact::{Fact, Protocol};

use crate::relay::{Done, Far, random, sha256sum};
use crate::wire::{client, command, observed};

/// The transfer was understood, and hashed from its first byte on, in both directions.
fn hashed(done: &Done, least: [u64; 2]) {
    assert!(done.succeeded, "{} {}", done.command, done.said);
    assert_eq!(done.observed.not_understood(), None, "{:?}", done.observed);
    let Fact::TransferEnd { input, output, files: 0 } = done.observed.end() else { panic!() };
    for (way, least) in [input, output].into_iter().zip(least) {
        assert!(way.bytes > least, "{way:?}");
        assert!(way.sha256.is_some() && way.hashed_from == Some(0));
    }
    assert!(done.observed.recorded.is_empty());
}

#[test]
fn rsync_up_and_down() {
    let far = Far::new();
    let local = far.file("local file", &random(400_000, 9));
    let remote = far.path("remote file");
    for (from, to, least) in [
        (local.display().to_string(), format!("far:{}", remote.display()), [390_000, 10]),
        (format!("far:{}", remote.display()), far.path("back").display().to_string(), [10, 390_000]),
    ] {
        let mut client = Command::new("rsync");
        // What stands in for ssh cannot write without waiting.
        client.args(["-a", "--blocking-io", "-e"]).arg(far.wrapper()).args([&from, &to]);
        let done = far.run(&mut client, None);
        assert!(done.command.starts_with("rsync --server "), "{}", done.command);
        assert!(matches!(done.observed.facts[0], Fact::TransferStart { protocol: Protocol::Rsync, .. }));
        hashed(&done, least);
    }
    assert_eq!(sha256sum(&far.path("back")), sha256sum(&local));
}

fn git(far: &Far, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.current_dir(far.path(""))
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .env("GIT_SSH", far.wrapper())
        .env("GIT_SSH_VARIANT", "simple")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", far.path(""));
    git
}

#[test]
fn git_clones_pushes_and_archives() {
    let far = Far::new();
    let locally = |arguments: &[&str]| {
        let output = git(&far, arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
    };
    locally(&["init", "-q", "work"]);
    fs::write(far.path("work/file"), random(100_000, 11)).unwrap();
    locally(&["-C", "work", "add", "file"]);
    locally(&["-C", "work", "commit", "-q", "-m", "one"]);
    locally(&["clone", "-q", "--bare", "work", "it's.git"]);
    locally(&["-C", "it's.git", "config", "daemon.uploadarch", "true"]);
    let address = format!("far:{}", far.path("it's.git").display());
    let cloned = far.run(&mut git(&far, &["clone", "-q", &address, "cloned"]), None);
    assert!(cloned.command.starts_with("git-upload-pack '"), "{}", cloned.command);
    hashed(&cloned, [10, 100_000]);
    assert_eq!(sha256sum(&far.path("cloned/file")), sha256sum(&far.path("work/file")));

    fs::write(far.path("cloned/more"), random(50_000, 12)).unwrap();
    locally(&["-C", "cloned", "add", "more"]);
    locally(&["-C", "cloned", "commit", "-q", "-m", "two"]);
    hashed(
        &far.run(&mut git(&far, &["-C", "cloned", "push", "-q", &address, "HEAD:main"]), None),
        [50_000, 10],
    );
    let mut archive = git(&far, &["archive", "--remote", &address, "-o", "out.tar", "main"]);
    hashed(&far.run(&mut archive, None), [10, 150_000]);
}

#[test]
fn a_shell_in_the_place_of_git_or_rsync_is_recorded() {
    for (text, greeting) in
        [("rsync --server . x", &[31, 0, 0, 0][..]), ("git-upload-pack 'x'", b"0008hey!0000")]
    {
        let shell = observed(text, &[command("$ "), client(&[31, 0, 0, 0][..]), command("uid=0\n")]);
        assert!(shell.not_understood().is_some());
        assert_eq!(shell.recorded, b"$ uid=0\n", "{text}");
        let good = observed(text, &[command(greeting), client(&[31, 0, 0, 0][..])]);
        assert!(good.not_understood().is_none() && good.recorded.is_empty());
    }
    let later = observed("git-receive-pack 'x'", &[command("0000$ "), command("uid=0\n")]);
    assert_eq!((later.not_understood().unwrap().2, &later.recorded[..]), (4, &b"$ uid=0\n"[..]));
}
