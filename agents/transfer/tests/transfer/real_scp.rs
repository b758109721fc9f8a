//! OpenSSH's scp: the old protocol, and today's over SFTP.

use std::fs;
use std::process::Command;

use recording::events::fact::{Direction, Fact, HashOf, Outcome};

use crate::relay::{Done, Far, random, sha256sum};

fn scp(far: &Far, old: bool, arguments: &[&str]) -> Done {
    let mut client = Command::new("scp");
    client.args(if old { &["-O"][..] } else { &[] }).arg("-S").arg(far.wrapper()).args(arguments);
    let done = far.run(&mut client, (!old).then_some("/usr/lib/openssh/sftp-server"));
    assert_eq!(done.observed.not_understood(), None, "{} {:?}", done.command, done.observed);
    assert!(done.observed.recorded.is_empty());
    done
}

#[test]
fn one_file_up_and_down() {
    for old in [true, false] {
        let far = Far::new();
        let local = far.file("local", &random(1_234_567, 4));
        let at = |name: &str| far.path(name).display().to_string();
        let up = scp(&far, old, &["-p", &at("local"), &format!("far:{}", at("remote"))]);
        let down = scp(&far, old, &["-p", &format!("far:{}", at("remote")), &at("back")]);
        assert!(up.succeeded && down.succeeded, "{} {}", up.said, down.said);
        for (done, direction) in [(&up, Direction::Upload), (&down, Direction::Download)] {
            let [file] = done.observed.files()[..] else { panic!("{:?}", done.observed) };
            assert_eq!((file.path.path.as_str(), file.direction), (at("remote").as_str(), direction));
            assert_eq!((file.size, file.result), (1_234_567, Outcome::Ok), "{file:?}");
            assert_eq!((file.hash_of, file.sha256), (Some(HashOf::File), sha256sum(&local)), "old: {old}");
        }
        assert_eq!(sha256sum(&far.path("back")), sha256sum(&local));
    }
}

#[test]
fn folders_up_and_down_file_by_file() {
    let far = Far::new();
    for folder in ["tree/one/two", "up"] {
        fs::create_dir_all(far.path(folder)).unwrap();
    }
    let names = ["tree/a", "tree/one/b with space", "tree/one/two/c", "tree/one/empty"];
    for (place, name) in names.iter().enumerate() {
        far.file(name, &random([70_000, 1, 200_000, 0][place], 5 + place as u64));
    }
    let at = |name: &str| far.path(name).display().to_string();
    let up = scp(&far, true, &["-rp", &at("tree"), &format!("far:{}", at("up"))]);
    let down = scp(&far, true, &["-r", &format!("far:{}", at("tree")), &at("back")]);
    assert!(up.succeeded && down.succeeded, "{} {}", up.said, down.said);
    for done in [&up, &down] {
        let mut told: Vec<_> = done.observed.files();
        told.sort_by_key(|file| file.path.path.clone());
        assert_eq!(told.len(), names.len());
        let mut expected: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        expected.sort();
        for (file, name) in told.into_iter().zip(&expected) {
            assert!(file.path.path.ends_with(name), "{} {name}", file.path.path);
            assert_eq!((file.hash_of, file.sha256), (Some(HashOf::File), sha256sum(&far.path(name))));
        }
    }
    assert!(down.observed.files()[0].path.path.starts_with(&at("tree/")));
}

#[test]
fn what_scp_refuses_is_told() {
    let far = Far::new();
    let local = far.file("local", b"x");
    let at = |name: &str| far.path(name).display().to_string();
    let nowhere = scp(&far, true, &[local.to_str().unwrap(), &format!("far:{}", at("no/where"))]);
    let missing = scp(&far, true, &[&format!("far:{}", at("missing")), &at("back")]);
    for (done, failed) in [(&nowhere, 1), (&missing, 0)] {
        assert!(!done.succeeded);
        assert_eq!(
            done.observed.files().iter().filter(|file| file.result == Outcome::Failed).count(),
            failed
        );
        let told = done.observed.facts.iter().any(|fact| {
            matches!(fact, Fact::TransferMessage { text, .. } if text.contains("No such file or directory"))
        });
        assert!(told, "{:?}", done.observed);
    }
}
