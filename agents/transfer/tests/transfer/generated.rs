//! However the bytes are cut, the events are the same; and whatever bytes they are, there is no panic.

use proptest::prelude::*;
use recording::events::fact::Side;

use crate::sftp::{READ, WRITE, close, data, greeting, handle, n, open, packet, read, status, text, write};
use crate::wire::{Piece, client, command, observed};

const COMMANDS: [&str; 6] = [
    "sftp-server",
    "scp -r -d -t /srv",
    "scp -f a",
    "scp -f a b",
    "rsync --server --sender . a",
    "git-upload-pack 'a'",
];

fn sftp_piece() -> impl Strategy<Value = Piece> {
    let id = || 0u32..5;
    let name = || {
        prop_oneof![Just(b"h".to_vec()), Just(b"i".to_vec()), proptest::collection::vec(any::<u8>(), 0..4)]
    };
    let bytes = || proptest::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        3 => (id(), name(), prop_oneof![Just(READ), Just(WRITE | 24), any::<u32>()])
            .prop_map(|(id, path, flags)| open(id, &path, flags)),
        3 => (id(), name()).prop_map(|(id, name)| handle(id, &name)),
        4 => (id(), name(), 0u64..20, bytes()).prop_map(|(id, name, at, bytes)| write(id, &name, at, &bytes)),
        3 => (id(), name(), 0u64..20, 0u32..9).prop_map(|(id, name, at, length)| read(id, &name, at, length)),
        3 => (id(), bytes()).prop_map(|(id, bytes)| data(id, &bytes)),
        6 => (id(), prop_oneof![3 => Just(0), 1 => 0u32..9]).prop_map(|(id, code)| status(id, code)),
        2 => (id(), name()).prop_map(|(id, name)| close(id, &name)),
        2 => (id(), 7u8..24, name(), name())
            .prop_map(|(id, kind, one, two)| client(packet(kind, &[&n(id), &text(&one), &text(&two), &n(0), &n(0)]))),
        1 => (id(), 104u8..106).prop_map(|(id, kind)| command(packet(kind, &[&n(id), &n(1), &n(0), &n(7)]))),
        1 => (any::<bool>(), bytes()).prop_map(|(to, bytes)| if to { client(bytes) } else { command(bytes) }),
    ]
}

/// Exchanges that an SFTP server would have, more or less.
fn sftp() -> impl Strategy<Value = (usize, Vec<Piece>)> {
    proptest::collection::vec(sftp_piece(), 0..30).prop_map(|pieces| (0, [greeting(), pieces].concat()))
}

/// Exchanges that scp would have, more or less.
fn scp() -> impl Strategy<Value = (usize, Vec<Piece>)> {
    let source = prop_oneof![
        4 => (0usize..6).prop_map(|size| format!("C0644 {size} name\n{}", "x".repeat(size)).into_bytes()),
        3 => Just(b"\0".to_vec()),
        1 => Just(b"D0755 0 folder\n".to_vec()),
        1 => Just(b"E\n".to_vec()),
        1 => Just(b"T1 0 1 0\n".to_vec()),
        1 => Just(b"\x01oh\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..5),
    ];
    let sink =
        prop_oneof![9 => Just(b"\0".to_vec()), 1 => Just(b"\x01no\n".to_vec()), 1 => Just(b"x".to_vec())];
    (1usize..4, proptest::collection::vec((source, sink, any::<bool>()), 0..20)).prop_map(|(which, steps)| {
        let mut pieces = Vec::new();
        for (source, sink, acknowledges) in steps {
            let (of_source, of_sink) =
                if which == 1 { (Side::Client, Side::Command) } else { (Side::Command, Side::Client) };
            pieces.push(Piece { side: of_source, bytes: source });
            if acknowledges {
                pieces.push(Piece { side: of_sink, bytes: sink });
            }
        }
        (which, pieces)
    })
}

fn anything() -> impl Strategy<Value = (usize, Vec<Piece>)> {
    let piece = (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(to, bytes)| if to { client(bytes) } else { command(bytes) });
    (0..COMMANDS.len(), proptest::collection::vec(piece, 0..20))
}

/// The same pieces, each cut further.
fn cut(pieces: &[Piece], cuts: &[usize]) -> Vec<Piece> {
    let mut cut = Vec::new();
    for (piece, at) in pieces.iter().zip(cuts.iter().cycle()) {
        let mut rest = &piece.bytes[..];
        while rest.len() > *at {
            let (first, behind) = rest.split_at(*at);
            cut.push(Piece { side: piece.side, bytes: first.to_vec() });
            rest = behind;
        }
        cut.push(Piece { side: piece.side, bytes: rest.to_vec() });
    }
    cut
}

/// Neighbours of the same side in one piece.
fn joined(pieces: &[Piece]) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if last.side == piece.side => last.bytes.extend(&piece.bytes),
            _ => joined.push(piece.clone()),
        }
    }
    joined
}

proptest! {
    #[test]
    fn the_events_are_the_same_however_the_bytes_are_cut(
        (which, pieces) in prop_oneof![3 => sftp(), 2 => scp(), 1 => anything()],
        cuts in proptest::collection::vec(1usize..30, 1..8),
    ) {
        let whole = observed(COMMANDS[which], &pieces);
        prop_assert_eq!(&observed(COMMANDS[which], &cut(&pieces, &cuts)), &whole);
        prop_assert_eq!(&observed(COMMANDS[which], &cut(&pieces, &[1])), &whole);
        prop_assert_eq!(&observed(COMMANDS[which], &joined(&pieces)), &whole);
        // All output is recorded from where it was not understood, and none before.
        let output: Vec<u8> =
            pieces.iter().filter(|piece| piece.side == Side::Command).flat_map(|piece| piece.bytes.clone()).collect();
        let understood = whole.not_understood().map_or(output.len(), |(_, _, offset)| offset as usize);
        prop_assert_eq!(&whole.recorded, &output[understood..]);
    }
}
