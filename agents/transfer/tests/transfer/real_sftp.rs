//! OpenSSH's sftp and its server.

use std::fs;
use std::process::Command;

use recording::events::fact::{Change, Direction, HashOf, Outcome};

use crate::relay::{Done, Far, random, sha256sum};

const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// Runs these commands of sftp; one that begins with a hyphen may fail. Directly, and as if over ssh.
fn sftp(far: &Far, commands: &str, directly: bool) -> Done {
    let batch = far.file("batch", commands.as_bytes());
    let mut client = Command::new("sftp");
    client.arg("-b").arg(batch);
    if directly {
        client.arg("-D").arg(far.wrapper())
    } else {
        client.arg("-S").arg(far.wrapper()).arg("far")
    };
    let done = far.run(&mut client, Some(SERVER));
    assert!(done.succeeded, "{}", done.said);
    assert_eq!(done.observed.not_understood(), None, "{:?}", done.observed);
    assert!(done.observed.recorded.is_empty());
    done
}

#[test]
fn files_up_and_down_have_the_hashes_that_sha256sum_gives() {
    for directly in [true, false] {
        let far = Far::new();
        let big = far.file("big", &random(5_000_000, 1));
        let empty = far.file("empty", b"");
        let odd = far.file("odd\u{e9} name", &random(32_768 * 3 + 1, 2));
        let at = |name: &str| far.path(name).display().to_string();
        let commands = format!(
            "put {} {}\nput -p {} {}\nput \"{}\" \"{}\"\nget {} {}\nget -p {} {}\nget \"{}\" {}\n",
            big.display(),
            at("up-big"),
            empty.display(),
            at("up-empty"),
            odd.display(),
            at("up odd"),
            at("up-big"),
            at("down-big"),
            at("up-empty"),
            at("down-empty"),
            at("up odd"),
            at("down-odd"),
        );
        let done = sftp(&far, &commands, directly);
        let told: Vec<_> = done
            .observed
            .files()
            .into_iter()
            .map(|file| {
                (file.path.path.clone(), file.direction, file.size, file.sha256, file.hash_of, file.result)
            })
            .collect();
        let expected: Vec<_> = [
            ("up-big", Direction::Upload, &big),
            ("up-empty", Direction::Upload, &empty),
            ("up odd", Direction::Upload, &odd),
            ("up-big", Direction::Download, &big),
            ("up-empty", Direction::Download, &empty),
            ("up odd", Direction::Download, &odd),
        ]
        .into_iter()
        .map(|(name, direction, like)| {
            let size = fs::metadata(like).unwrap().len();
            (at(name), direction, size, sha256sum(like), Some(HashOf::File), Outcome::Ok)
        })
        .collect();
        assert_eq!(told, expected);
        assert_eq!(sha256sum(&far.path("down-big")), sha256sum(&big), "no byte is changed");
    }
}

#[test]
fn what_goes_on_with_a_file_is_what_passed() {
    let far = Far::new();
    let whole = random(300_000, 3);
    let local = far.file("local", &whole);
    let begun = far.file("begun", &whole[..100_000]);
    let down = far.file("down", &whole[..200_000]);
    let commands = format!(
        "reput {} {}\nreget {} {}\n",
        local.display(),
        begun.display(),
        local.display(),
        down.display()
    );
    let done = sftp(&far, &commands, true);
    let [up, got] = done.observed.files()[..] else { panic!("{:?}", done.observed) };
    let hash = |bytes: &[u8]| Some(recording::ContentHash::of(bytes));
    assert_eq!((up.size, up.hash_of, up.sha256), (200_000, Some(HashOf::Passed), hash(&whole[100_000..])));
    assert_eq!((got.size, got.hash_of, got.sha256), (100_000, Some(HashOf::Passed), hash(&whole[200_000..])));
    assert_eq!(fs::read(&begun).unwrap(), whole);
}

#[test]
fn changes_and_refusals_are_told() {
    let far = Far::new();
    far.file("a", b"content");
    let folder = far.path("").display().to_string();
    let done = sftp(
        &far,
        &format!(
            "cd {folder}\nmkdir d\nrename a b\nchmod 600 b\nln -s b l\nln b h\ncp b c\nrm h\n-rm nothing\n-rmdir .\n\
             rmdir d\n-put {folder}b nowhere/x\n-get nothing\nls -l\n"
        ),
        true,
    );
    let told: Vec<_> = done
        .observed
        .changes()
        .into_iter()
        .map(|change| {
            let name = |path: &str| path.trim_start_matches(&folder).to_owned();
            let to = change.to.as_ref().map(|to| name(&to.to));
            (change.change, name(&change.path.path), to, change.result, change.mode.clone())
        })
        .collect();
    let to = |name: &str| Some(name.to_owned());
    assert_eq!(
        told.iter().map(|told| (told.0, told.1.as_str(), told.2.clone(), told.3)).collect::<Vec<_>>(),
        [
            (Change::Mkdir, "d", None, Outcome::Ok),
            (Change::Rename, "a", to("b"), Outcome::Ok),
            (Change::Attributes, "b", None, Outcome::Ok),
            (Change::Symlink, "l", to("b"), Outcome::Ok),
            (Change::Hardlink, "b", to("h"), Outcome::Ok),
            (Change::Copy, "b", to("c"), Outcome::Ok),
            (Change::Remove, "h", None, Outcome::Ok),
            (Change::Remove, "nothing", None, Outcome::Failed),
            (Change::Rmdir, ".", None, Outcome::Failed),
            (Change::Rmdir, "d", None, Outcome::Ok),
        ],
        "{}",
        done.said
    );
    assert_eq!(told[2].4.as_deref(), Some("0600"));
    let failed: Vec<_> = done
        .observed
        .files()
        .into_iter()
        .filter(|file| file.result == Outcome::Failed)
        .map(|file| (file.path.path.trim_start_matches(&folder), file.reason.as_deref()))
        .collect();
    assert_eq!(failed, [("nowhere/x", Some("no such file"))]);
    assert_eq!(fs::read(far.path("c")).unwrap(), b"content");
}
