//! SFTP packet by packet: what is out of order, refused, unfinished or no SFTP.

use recording::ContentHash;
use recording::events::fact::{Change, Direction, Fact, FileTransfer, HashOf, Outcome};

use crate::wire::{Observed, Piece, client, command, observed};

const SERVER: &str = "/usr/lib/openssh/sftp-server";

pub(crate) const READ: u32 = 1;
pub(crate) const WRITE: u32 = 2;
pub(crate) const CREATE: u32 = 8;
pub(crate) const TRUNCATE: u32 = 16;

pub(crate) fn packet(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    [&(body.len() as u32 + 1).to_be_bytes()[..], &[kind], &body].concat()
}

pub(crate) fn text(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

pub(crate) fn n(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

pub(crate) fn long(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

pub(crate) fn greeting() -> Vec<Piece> {
    vec![client(packet(1, &[&n(3)])), command(packet(2, &[&n(3), &text(b"ext"), &text(b"1")]))]
}

pub(crate) fn open(id: u32, path: &[u8], flags: u32) -> Piece {
    client(packet(3, &[&n(id), &text(path), &n(flags), &n(4), &n(0o100_644)]))
}

pub(crate) fn handle(id: u32, handle: &[u8]) -> Piece {
    command(packet(102, &[&n(id), &text(handle)]))
}

pub(crate) fn write(id: u32, handle: &[u8], offset: u64, bytes: &[u8]) -> Piece {
    client(packet(6, &[&n(id), &text(handle), &long(offset), &text(bytes)]))
}

pub(crate) fn read(id: u32, handle: &[u8], offset: u64, length: u32) -> Piece {
    client(packet(5, &[&n(id), &text(handle), &long(offset), &n(length)]))
}

pub(crate) fn data(id: u32, bytes: &[u8]) -> Piece {
    command(packet(103, &[&n(id), &text(bytes)]))
}

pub(crate) fn status(id: u32, code: u32) -> Piece {
    command(packet(101, &[&n(id), &n(code), &text(b"said"), &text(b"en")]))
}

pub(crate) fn close(id: u32, handle: &[u8]) -> Piece {
    client(packet(4, &[&n(id), &text(handle)]))
}

fn session(pieces: &[Piece]) -> Observed {
    observed(SERVER, &[greeting(), pieces.to_vec()].concat())
}

/// The only file.
fn file(observed: &Observed) -> &FileTransfer {
    let files = observed.files();
    assert_eq!((files.len(), observed.not_understood()), (1, None), "{observed:?}");
    files[0]
}

#[test]
fn an_upload_in_pipelined_writes_is_the_file() {
    let observed = session(&[
        open(1, b"/srv/a", WRITE | CREATE | TRUNCATE),
        handle(1, b"h"),
        write(2, b"h", 0, b"abc"),
        write(3, b"h", 3, b"def"),
        status(3, 0),
        status(2, 0),
        close(4, b"h"),
        status(4, 0),
    ]);
    let file = file(&observed);
    assert_eq!((file.path.path.as_str(), file.direction, file.size), ("/srv/a", Direction::Upload, 6));
    assert_eq!((file.sha256, file.hash_of), (Some(ContentHash::of(b"abcdef")), Some(HashOf::File)));
    assert_eq!((file.result, file.mode.as_deref()), (Outcome::Ok, Some("0644")));
    let Fact::TransferEnd { input, output, files: 1 } = observed.end() else { panic!("{observed:?}") };
    assert!(input.sha256.is_none() && output.sha256.is_none() && observed.recorded.is_empty());
}

#[test]
fn writes_in_another_order_are_the_file_too() {
    let observed = session(&[
        open(1, b"a", WRITE | CREATE | TRUNCATE),
        handle(1, b"h"),
        write(2, b"h", 3, b"def"),
        write(3, b"h", 0, b"abc"),
        // Closed before everything is answered.
        close(4, b"h"),
        status(4, 0),
        status(2, 0),
        status(3, 0),
    ]);
    let file = file(&observed);
    assert_eq!((file.sha256, file.hash_of), (Some(ContentHash::of(b"abcdef")), Some(HashOf::File)));
}

#[test]
fn answers_to_reads_may_come_in_any_order_and_short() {
    let ends = |last: Piece| {
        session(&[
            open(1, b"a", READ),
            handle(1, b"h"),
            read(2, b"h", 0, 3),
            read(3, b"h", 3, 3),
            read(4, b"h", 6, 3),
            data(3, b"def"),
            data(2, b"ab"),
            read(5, b"h", 2, 1),
            data(5, b"c"),
            last,
            close(6, b"h"),
            status(6, 0),
        ])
    };
    let whole = ends(status(4, 1));
    let whole = file(&whole);
    assert_eq!((whole.direction, whole.size, whole.hash_of), (Direction::Download, 6, Some(HashOf::File)));
    assert_eq!(whole.sha256, Some(ContentHash::of(b"abcdef")));
    // Without its end it is not known to be the whole file.
    let part = ends(data(4, b"ghi"));
    let part = file(&part);
    assert_eq!((part.size, part.hash_of), (9, Some(HashOf::Passed)));
    assert_eq!(part.sha256, Some(ContentHash::of(b"defabcghi")));
}

#[test]
fn the_size_that_the_server_says_is_the_end_of_a_file() {
    let attributes = |id| command(packet(105, &[&n(id), &n(1), &long(3)]));
    for ask in [packet(8, &[&n(9), &text(b"h")]), packet(17, &[&n(9), &text(b"a")])] {
        let asks_by_path = ask[4] == 17;
        let mut pieces = vec![open(1, b"a", READ), handle(1, b"h")];
        pieces.splice(if asks_by_path { 0..0 } else { 2..2 }, [client(ask), attributes(9)]);
        pieces.extend([read(2, b"h", 0, 3), data(2, b"abc"), close(6, b"h"), status(6, 0)]);
        assert_eq!(file(&session(&pieces)).hash_of, Some(HashOf::File));
    }
}

#[test]
fn what_is_not_known_to_be_the_whole_file_is_what_passed() {
    let upload = |flags, pieces: &[Piece]| {
        let whole = [
            vec![open(1, b"a", flags), handle(1, b"h"), write(2, b"h", 0, b"abc"), status(2, 0)],
            pieces.to_vec(),
            vec![close(3, b"h"), status(3, 0)],
        ]
        .concat();
        let observed = session(&whole);
        file(&observed).clone()
    };
    let fsetstat = |size| client(packet(10, &[&n(7), &text(b"h"), &n(1), &long(size)]));
    let copy = client(packet(
        200,
        &[&n(7), &text(b"copy-data"), &text(b"h"), &long(0), &long(0), &text(b"h"), &long(9)],
    ));
    let of = |file: &FileTransfer| file.hash_of;
    // There may have been more in it.
    assert_eq!(of(&upload(WRITE | CREATE, &[])), Some(HashOf::Passed));
    // Unless it is cut there: so does scp.
    assert_eq!(of(&upload(WRITE | CREATE, &[fsetstat(3), status(7, 0)])), Some(HashOf::File));
    assert_eq!(of(&upload(WRITE | CREATE, &[fsetstat(3), status(7, 3)])), Some(HashOf::Passed));
    assert_eq!(of(&upload(WRITE | CREATE | TRUNCATE, &[fsetstat(2), status(7, 0)])), Some(HashOf::Passed));
    assert_eq!(of(&upload(WRITE | CREATE | TRUNCATE, &[copy, status(7, 0)])), Some(HashOf::Passed));
    let hole = upload(WRITE | CREATE | TRUNCATE, &[write(8, b"h", 9, b"z"), status(8, 0)]);
    assert_eq!((of(&hole), hole.sha256), (Some(HashOf::Passed), Some(ContentHash::of(b"abcz"))));
    let twice = upload(WRITE | CREATE | TRUNCATE, &[write(8, b"h", 0, b"z"), status(8, 0)]);
    assert_eq!((of(&twice), twice.size), (Some(HashOf::Passed), 4));
    let refused = upload(WRITE | CREATE | TRUNCATE, &[write(8, b"h", 3, b"z"), status(8, 4)]);
    assert_eq!((of(&refused), refused.result), (Some(HashOf::Passed), Outcome::Failed));
    assert_eq!(refused.reason.as_deref(), Some("failure"));
}

#[test]
fn changes_are_told_with_their_results() {
    let extended =
        |id, name: &[u8], fields: &[&[u8]]| client(packet(200, &[&n(id), &text(name), &fields.concat()]));
    let observed = session(&[
        client(packet(13, &[&n(1), &text(b"gone")])),
        client(packet(18, &[&n(2), &text(b"old"), &text(b"new")])),
        client(packet(14, &[&n(3), &text(b"folder"), &n(4), &n(0o40_755)])),
        status(3, 0),
        status(1, 2),
        status(2, 0),
        client(packet(15, &[&n(4), &text(b"folder")])),
        status(4, 3),
        client(packet(20, &[&n(5), &text(b"target"), &text(b"link")])),
        status(5, 0),
        extended(6, b"hardlink@openssh.com", &[&text(b"a"), &text(b"b")]),
        status(6, 0),
        extended(7, b"posix-rename@openssh.com", &[&text(b"b"), &text(b"c")]),
        status(7, 0),
        client(packet(9, &[&n(8), &text(b"c"), &n(15), &long(9), &n(1), &n(2), &n(0o644), &n(3), &n(4)])),
        status(8, 0),
        extended(9, b"limits@openssh.com", &[]),
        command(packet(201, &[&n(9), &long(1)])),
        extended(10, b"lsetstat@openssh.com", &[&text(b"l"), &n(8), &n(1), &n(2)]),
    ]);
    assert_eq!(observed.not_understood(), None);
    let told: Vec<_> = observed
        .changes()
        .into_iter()
        .map(|change| {
            let to = change.to.as_ref().map(|to| to.to.as_str());
            (change.change, change.path.path.as_str(), to, change.result, change.reason.as_deref())
        })
        .collect();
    assert_eq!(
        told,
        [
            (Change::Mkdir, "folder", None, Outcome::Ok, None),
            (Change::Remove, "gone", None, Outcome::Failed, Some("no such file")),
            (Change::Rename, "old", Some("new"), Outcome::Ok, None),
            (Change::Rmdir, "folder", None, Outcome::Failed, Some("permission denied")),
            (Change::Symlink, "link", Some("target"), Outcome::Ok, None),
            (Change::Hardlink, "a", Some("b"), Outcome::Ok, None),
            (Change::Rename, "b", Some("c"), Outcome::Ok, None),
            (Change::Attributes, "c", None, Outcome::Ok, None),
            (Change::Attributes, "l", None, Outcome::Unfinished, Some("it was never answered")),
        ]
    );
    let set = observed.changes()[7];
    assert_eq!((set.size, set.owner, set.group, set.modified), (Some(9), Some(1), Some(2), Some(4)));
    assert_eq!((set.mode.as_deref(), observed.changes()[0].mode.as_deref()), (Some("0644"), Some("0755")));
}

#[test]
fn what_never_ended_is_told_at_the_end() {
    let observed = session(&[
        open(1, b"refused", READ),
        status(1, 3),
        open(2, b"open", WRITE | CREATE | TRUNCATE),
        handle(2, b"h"),
        write(3, b"h", 0, b"ab"),
        open(4, b"asked", READ),
    ]);
    let told: Vec<_> = observed
        .files()
        .into_iter()
        .map(|file| (file.path.path.as_str(), file.result, file.size, file.sha256, file.reason.as_deref()))
        .collect();
    let hash = Some(ContentHash::of(b"ab"));
    assert_eq!(
        told,
        [
            ("refused", Outcome::Failed, 0, None, Some("permission denied")),
            ("open", Outcome::Unfinished, 2, hash, Some("it was never closed")),
            ("asked", Outcome::Unfinished, 0, None, Some("it was never answered")),
        ]
    );
    assert!(matches!(observed.end(), Fact::TransferEnd { files: 3, .. }));
}

#[test]
fn a_shell_in_the_place_of_the_server_is_recorded_from_its_first_byte() {
    let observed =
        observed(SERVER, &[client("id\n"), command("$ "), command("uid=0(root)\n$ "), client("exit\n")]);
    let (why, input, output) = observed.not_understood().unwrap();
    assert_eq!(
        (why, input, output),
        ("a packet is longer than any", 0, 0),
        "the input is none already at its fourth byte"
    );
    assert_eq!(observed.recorded, b"$ uid=0(root)\n$ ");
    let Fact::TransferEnd { input, output, .. } = observed.end() else { panic!() };
    assert_eq!(
        (input.bytes, input.sha256, input.hashed_from),
        (8, Some(ContentHash::of(b"id\nexit\n")), Some(0))
    );
    assert_eq!(output.sha256, Some(ContentHash::of(b"$ uid=0(root)\n$ ")));
}

#[test]
fn what_follows_a_good_beginning_is_recorded_from_where_it_is_none() {
    for (pieces, why) in [
        (vec![command(b"hello".to_vec())], "a packet is longer than any"),
        (vec![status(77, 0)], "an answer is for no request"),
        (vec![command(packet(104, &[&n(1), &n(1), b"$ hidden"]))], "an answer is for no request"),
        (
            vec![open(1, b"a", READ), command(packet(104, &[&n(1), b"$ hidden"]))],
            "an answer is of another kind than its request",
        ),
        (vec![open(1, b"a", READ), status(1, 0)], "a request is done without what it asked for"),
        (
            vec![open(1, b"a", READ), handle(1, b"h"), read(2, b"h", 0, 2), data(2, b"abc")],
            "an answer has more content than was asked for",
        ),
        (vec![read(2, b"x", 0, 9), data(2, b"abc")], "the server reads from a handle that it did not give"),
        (
            vec![write(2, b"x", 0, b"abc"), status(2, 0)],
            "the server takes content for a handle that it did not give",
        ),
        (vec![client(packet(99, &[&n(1)])), command(b"$ ")], "a request has a type that there is not"),
        (vec![command(packet(2, &[&n(3)]))], "the server begins without being asked to"),
        (
            vec![close(1, b"a"), close(1, b"a"), command(b"$ ")],
            "a request has the number of one that is not answered",
        ),
        (vec![command(vec![0, 0])], "it ended in the middle"),
    ] {
        let output: Vec<u8> = pieces
            .iter()
            .filter(|piece| piece.side == recording::events::fact::Side::Command)
            .flat_map(|piece| piece.bytes.clone())
            .collect();
        let observed = session(&pieces);
        let (said, _, output_offset) = observed.not_understood().unwrap_or_else(|| panic!("{why}"));
        assert_eq!(said, why);
        let greeted = greeting()[1].bytes.len();
        let understood = output_offset as usize - greeted;
        assert_eq!(observed.recorded, output[understood..], "{why}");
        let Fact::TransferEnd { output: passed, .. } = observed.end() else { panic!() };
        assert_eq!(passed.sha256, Some(ContentHash::of(&output[understood..])), "{why}");
        assert_eq!(
            (passed.bytes, passed.hashed_from),
            ((greeted + output.len()) as u64, Some(output_offset))
        );
    }
}

#[test]
fn memory_is_bounded_by_refusing_to_follow() {
    let path = vec![b'x'; 200_000];
    let many = |make: &dyn Fn(u32) -> Piece, count| session(&(0..count).map(make).collect::<Vec<_>>());
    let reads = many(&|id| read(id, b"h", 0, 1), 65_537);
    assert_eq!(reads.not_understood().unwrap().0, "more requests wait for an answer than are followed");
    let paths = many(&|id| client(packet(17, &[&n(id), &text(&path)])), 60);
    assert_eq!(
        paths.not_understood().unwrap().0,
        "more requests with paths wait for an answer than are followed"
    );
    let mut pieces = Vec::new();
    for id in 0..4_097 {
        pieces.extend([client(packet(11, &[&n(id), &text(b"d")])), handle(id, &n(id))]);
    }
    assert!(
        session(&pieces).not_understood().unwrap().0.starts_with("a handle is longer, or there are more")
    );
}
