//! The old protocol of scp line by line.

use recording::ContentHash;
use recording::events::fact::{Direction, Fact, HashOf, Level, Outcome, Side};

use crate::wire::{client, command, observed};

#[test]
fn a_file_is_taken_with_its_times() {
    let observed = observed(
        "scp -p -t /srv/target",
        &[
            command(b"\0"),
            client("T1700000000 0 1700000001 0\n"),
            command(b"\0"),
            client("C0640 5 a file\n"),
            command(b"\0"),
            client("he"),
            client("llo\0"),
            command(b"\0"),
        ],
    );
    let [file] = observed.files()[..] else { panic!("{observed:?}") };
    assert_eq!((file.path.path.as_str(), file.name.as_deref()), ("/srv/target", Some("a file")));
    assert_eq!((file.direction, file.size, file.result), (Direction::Upload, 5, Outcome::Ok));
    assert_eq!((file.hash_of, file.sha256), (Some(HashOf::File), Some(ContentHash::of(b"hello"))));
    assert_eq!(file.mode.as_deref(), Some("0640"));
    assert!(observed.recorded.is_empty() && observed.not_understood().is_none());
}

#[test]
fn folders_are_parts_of_paths_and_what_is_refused_is_left_out() {
    let pieces = |source: fn(&str) -> crate::wire::Piece, sink: fn(&str) -> crate::wire::Piece| {
        vec![
            sink("\0"),
            source("D0755 0 top\n"),
            sink("\0"),
            source("C0644 1 one\n"),
            sink("\0"),
            source("1\0"),
            sink("\0"),
            source("D0755 0 refused\n"),
            sink("\x01scp: refused: Permission denied\n"),
            source("C0644 2 two\n"),
            sink("\x01scp: two: Is a directory\n"),
            source("D0755 0 deep\n"),
            sink("\0"),
            source("C0644 0 empty\n"),
            sink("\0"),
            source("\0"),
            sink("\0"),
            source("\x01scp: gone: No such file or directory\n"),
            source("C0600 3 short\n"),
            sink("\0"),
            source("a\0\0\x01scp: short: Input/output error\n"),
            sink("\0"),
            source("E\n"),
            sink("\0"),
            source("E\n"),
            sink("\0"),
        ]
    };
    let to = observed("scp -r -d -t /srv", &pieces(|text| client(text), |text| command(text)));
    let from = observed("scp -r -f /srv/top/", &pieces(|text| command(text), |text| client(text)));
    for (observed, root, direction, sink) in [
        (&to, "/srv/top/", Direction::Upload, Side::Command),
        (&from, "/srv/top/", Direction::Download, Side::Client),
    ] {
        assert_eq!(observed.not_understood(), None);
        let told: Vec<_> = observed
            .files()
            .into_iter()
            .map(|file| {
                assert_eq!(file.direction, direction);
                let path = file.path.path.strip_prefix(root).unwrap();
                (path, file.size, file.result, file.hash_of.unwrap(), file.reason.as_deref())
            })
            .collect();
        assert_eq!(
            told,
            [
                ("one", 1, Outcome::Ok, HashOf::File, None),
                ("two", 0, Outcome::Failed, HashOf::Passed, Some("scp: two: Is a directory")),
                ("deep/empty", 0, Outcome::Ok, HashOf::File, None),
                ("deep/short", 3, Outcome::Failed, HashOf::Passed, Some("scp: short: Input/output error")),
            ]
        );
        let messages: Vec<_> = observed
            .facts
            .iter()
            .filter_map(|fact| match fact {
                Fact::TransferMessage { from, level: Level::Warning, text } => Some((*from, text.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(messages.len(), 4);
        assert_eq!(messages[0], (sink, "scp: refused: Permission denied"));
        assert_eq!(messages[2].1, "scp: gone: No such file or directory");
    }
}

#[test]
fn a_source_need_not_wait_and_may_break_off() {
    let hurried = observed("scp -t x", &[client("C0644 5 a\nhello\0"), command(b"\0\0\0")]);
    let [file] = hurried.files()[..] else { panic!("{hurried:?}") };
    assert_eq!((file.hash_of, file.result), (Some(HashOf::File), Outcome::Ok));
    let broken =
        observed("scp -t x", &[command(b"\0"), client("C0644 5 a\n"), command(b"\0"), client("hel")]);
    let [file] = broken.files()[..] else { panic!("{broken:?}") };
    assert_eq!((file.size, file.hash_of, file.result), (3, Some(HashOf::Passed), Outcome::Unfinished));
}

#[test]
fn a_shell_in_the_place_of_scp_is_recorded_from_its_first_byte() {
    for (text, pieces, recorded) in [
        ("scp -t x", vec![command("$ "), client("id\n"), command("uid=0\n$ ")], "$ uid=0\n$ "),
        ("scp -f x", vec![client("\0"), command("Cat"), command(" this\n")], "Cat this\n"),
        ("scp -f x", vec![client("\0"), command("C0644 1 ../x\n"), command("$ ")], "C0644 1 ../x\n$ "),
        (
            "scp -f x",
            vec![client("\0"), command("C0644 1 a"), command("\n"), client("\0id\n"), command("$ ")],
            "$ ",
        ),
        ("scp -t x", vec![command("\0"), command("\0"), command("$ ")], "\0$ "),
        ("scp -t x", vec![command("\0"), client("sh\n"), command("$ ")], "$ "),
        ("scp -f x", vec![client("\0"), command("C0644 1 a\n"), client("\0"), command("abc")], "bc"),
        ("scp -f x", vec![client("\0"), command("C0644"), command(" 1")], "C0644 1"),
        ("scp -f x", vec![client("\0"), command("E\n")], "E\n"),
    ] {
        let observed = observed(text, &pieces);
        assert!(observed.not_understood().is_some(), "{pieces:?} {observed:?}");
        assert_eq!(String::from_utf8_lossy(&observed.recorded), recorded, "{pieces:?}");
    }
    let long = observed("scp -f x", &[client("\0"), command(vec![b'C'; 20_000])]);
    assert_eq!(
        (long.not_understood().unwrap().0, long.recorded.len()),
        ("a line is longer than any", 20_000)
    );
}

#[test]
fn the_longest_names_and_messages_fit_into_their_events() {
    let name = "\u{1}".repeat(8_000);
    let pieces = [
        command("\0"),
        client(format!("D0755 0 {name}\n")),
        command("\0"),
        client(format!("C0644 0 {name}\n")),
        command(format!("\u{1}{name}\n")),
    ];
    // What is observed is checked to fit.
    let observed = observed("scp -r -d -t /srv", &pieces);
    let [file] = observed.files()[..] else { panic!("{observed:?}") };
    assert!(file.path.path.ends_with('\u{2026}') && file.path.path_bytes.is_some());
}

#[test]
fn what_the_sides_tell_each_other_is_in_the_events() {
    let hidden = observed("scp -t x", &[command("\0\x01uid=0(root)\n\x02bye\n")]);
    let told: Vec<_> = hidden
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::TransferMessage { level, text, .. } => Some((*level, text.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(Level::Warning, "uid=0(root)"), (Level::Error, "bye")]);
    // But not without end: the shortest message is shorter than its event.
    let flood = [&b"\0"[..], &b"\x01\n".repeat(10_001), b"$ "].concat();
    let flooded = observed("scp -t x", &[command(flood)]);
    assert_eq!(flooded.not_understood().unwrap().0, "there are more messages than are followed");
    assert_eq!(flooded.recorded, b"\x01\n$ ");
}
