//! Hashing what passes: whole ways, and files whose pieces may come in another order than they stand in the file.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use recording::ContentHash;

/// What a piece that is kept costs besides its bytes.
const PIECE_BYTES: usize = 128;

/// A SHA-256 that is being computed.
#[derive(Clone)]
pub(crate) struct Hash(Context);

impl Hash {
    pub(crate) fn new() -> Self {
        Hash(Context::new(&SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn value(&self) -> ContentHash {
        let digest = self.0.clone().finish();
        let mut value = [0; 32];
        value.copy_from_slice(digest.as_ref());
        ContentHash::from_bytes(value)
    }
}

/// How many bytes may be kept of pieces that came too early: shared by all files of a transfer.
#[derive(Debug)]
pub(crate) struct Room {
    left: usize,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Room { left: bytes }
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    fn give_back(&mut self, bytes: usize) {
        self.left += bytes;
    }
}

/// Of the content of one file, the hash of the bytes in the order in which they pass, and that of the file as long as it is
/// known. While the pieces come in the order of the file, they are the same.
pub(crate) struct ContentHashing {
    passed: Hash,
    passed_bytes: u64,
    file: FileOrder,
}

enum FileOrder {
    /// Everything passed in the order of the file.
    InOrder,
    /// Some pieces came before those that stand before them in the file, and wait for them.
    Behind(Behind),
    /// It cannot be known: bytes passed twice, or too many came too early.
    Lost,
}

struct Behind {
    hash: Hash,
    /// How far the file is known from its first byte on.
    up_to: u64,
    /// What came from behind that, by its place in the file. None of them touches the next.
    early: BTreeMap<u64, Vec<u8>>,
}

impl ContentHashing {
    pub(crate) fn new() -> Self {
        ContentHashing { passed: Hash::new(), passed_bytes: 0, file: FileOrder::InOrder }
    }

    pub(crate) fn passed_bytes(&self) -> u64 {
        self.passed_bytes
    }

    /// The SHA-256 of what passed, in the order in which it did.
    pub(crate) fn passed_hash(&self) -> ContentHash {
        self.passed.value()
    }

    /// How long the file is, if all that passed is one piece from its first byte on, and its SHA-256.
    pub(crate) fn whole_up_to(&self) -> Option<u64> {
        match &self.file {
            FileOrder::InOrder => Some(self.passed_bytes),
            FileOrder::Behind(behind) if behind.early.is_empty() => Some(behind.up_to),
            FileOrder::Behind(_) | FileOrder::Lost => None,
        }
    }

    /// The SHA-256 of the file up to [`ContentHashing::whole_up_to`].
    pub(crate) fn file_hash(&self) -> Option<ContentHash> {
        match &self.file {
            FileOrder::InOrder => Some(self.passed.value()),
            FileOrder::Behind(behind) if behind.early.is_empty() => Some(behind.hash.value()),
            FileOrder::Behind(_) | FileOrder::Lost => None,
        }
    }

    /// Takes bytes that stand at this place of the file.
    pub(crate) fn take(&mut self, offset: u64, bytes: &[u8], room: &mut Room) {
        if bytes.is_empty() {
            return;
        }
        if matches!(self.file, FileOrder::InOrder) && offset != self.passed_bytes {
            // What stands before it may still come, if it was not there already.
            self.file = if offset > self.passed_bytes {
                FileOrder::Behind(Behind {
                    hash: self.passed.clone(),
                    up_to: self.passed_bytes,
                    early: BTreeMap::new(),
                })
            } else {
                FileOrder::Lost
            };
        }
        self.passed.update(bytes);
        self.passed_bytes = self.passed_bytes.saturating_add(bytes.len() as u64);
        if let FileOrder::Behind(behind) = &mut self.file
            && !behind.take(offset, bytes, room)
        {
            self.give_up_the_file(room);
        }
    }

    /// Keeps nothing any more of what came too early.
    pub(crate) fn give_up_the_file(&mut self, room: &mut Room) {
        if let FileOrder::Behind(behind) = std::mem::replace(&mut self.file, FileOrder::Lost) {
            for piece in behind.early.values() {
                room.give_back(PIECE_BYTES + piece.len());
            }
        }
    }
}

impl Behind {
    /// False when the file cannot be known any more.
    fn take(&mut self, offset: u64, bytes: &[u8], room: &mut Room) -> bool {
        let Some(end) = offset.checked_add(bytes.len() as u64) else { return false };
        if offset < self.up_to {
            return false;
        }
        if self.early.range(offset..end).next().is_some() {
            return false;
        }
        if offset > self.up_to {
            let before = self.early.range_mut(..offset).next_back();
            if let Some((start, piece)) = before {
                let piece_end = start + piece.len() as u64;
                if piece_end > offset {
                    return false;
                }
                if piece_end == offset {
                    if !room.take(bytes.len()) {
                        return false;
                    }
                    piece.extend_from_slice(bytes);
                    return true;
                }
            }
            if !room.take(PIECE_BYTES + bytes.len()) {
                return false;
            }
            self.early.insert(offset, bytes.to_vec());
            return true;
        }
        self.hash.update(bytes);
        self.up_to = end;
        while let Some(piece) = self.early.remove(&self.up_to) {
            room.give_back(PIECE_BYTES + piece.len());
            self.hash.update(&piece);
            self.up_to += piece.len() as u64;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_passes_twice_or_leaves_a_hole_is_no_file() {
        let mut room = Room::new(1000);
        let mut twice = ContentHashing::new();
        twice.take(0, b"abc", &mut room);
        twice.take(1, b"b", &mut room);
        assert_eq!((twice.whole_up_to(), twice.passed_hash()), (None, ContentHash::of(b"abcb")));
        let mut hole = ContentHashing::new();
        hole.take(4, b"e", &mut room);
        assert_eq!(hole.whole_up_to(), None);
        // It does not fit, and what was kept is given back.
        hole.take(9, &[0; 900], &mut room);
        assert_eq!((hole.whole_up_to(), room.left), (None, 1000));
        assert_eq!(hole.passed_bytes(), 901);
        let mut overlap = ContentHashing::new();
        overlap.take(4, b"efg", &mut room);
        overlap.take(3, b"de", &mut room);
        overlap.take(0, b"abc", &mut room);
        assert_eq!((overlap.whole_up_to(), room.left), (None, 1000));
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_are_the_file(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..12),
            seed in any::<u64>(),
        ) {
            let mut offset = 0;
            let mut placed: Vec<(u64, Vec<u8>)> = pieces
                .iter()
                .map(|piece| { let at = offset; offset += piece.len() as u64; (at, piece.clone()) })
                .collect();
            let mut state = seed | 1;
            for place in (1..placed.len()).rev() {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                placed.swap(place, (state % (place as u64 + 1)) as usize);
            }
            let mut room = Room::new(100_000);
            let mut hashing = ContentHashing::new();
            for (at, piece) in &placed {
                hashing.take(*at, piece, &mut room);
            }
            let passed: Vec<u8> = placed.iter().flat_map(|(_, piece)| piece.clone()).collect();
            prop_assert_eq!(hashing.whole_up_to(), Some(offset));
            prop_assert_eq!(hashing.file_hash(), Some(ContentHash::of(&pieces.concat())));
            prop_assert_eq!(hashing.passed_hash(), ContentHash::of(&passed));
            prop_assert_eq!(room.left, 100_000);
        }
    }
}
