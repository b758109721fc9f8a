//! Output that is recorded up to a limit, and counted and hashed beyond it.

use recording::events::fact::{Fact, Output};

use crate::hashing::Hash;

/// How much output of a command without a terminal is recorded, unless a setting says otherwise.
pub const DEFAULT_OUTPUT_LIMIT: u64 = 64 * 1024 * 1024;

/// Decides which bytes of an output are recorded, and counts and hashes the rest.
pub struct OutputLimit {
    output: Output,
    most: u64,
    recorded: u64,
    beyond: Option<(Hash, u64)>,
}

impl OutputLimit {
    /// The first so many bytes of this output are recorded.
    #[must_use]
    pub fn new(output: Output, most: u64) -> Self {
        Self { output, most, recorded: 0, beyond: None }
    }

    /// Takes a piece of the output. What it returns, from the beginning of the piece on, is to be recorded.
    pub fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = usize::try_from(self.most - self.recorded).unwrap_or(usize::MAX);
        let (recorded, rest) = bytes.split_at(bytes.len().min(room));
        self.recorded += recorded.len() as u64;
        if !rest.is_empty() {
            let (hash, count) = self.beyond.get_or_insert_with(|| (Hash::new(), 0));
            hash.update(rest);
            *count += rest.len() as u64;
        }
        recorded
    }

    /// Whether output came that is not recorded.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.beyond.is_some()
    }

    /// What is to be said at the end; `None` where everything is recorded.
    #[must_use]
    pub fn end(&self) -> Option<Fact> {
        let (hash, bytes) = self.beyond.as_ref()?;
        Some(Fact::OutputLimit {
            output: self.output,
            recorded_bytes: self.recorded,
            bytes: *bytes,
            sha256: hash.value(),
        })
    }
}

#[cfg(test)]
mod tests {
    use recording::ContentHash;

    use super::*;

    #[test]
    fn output_is_recorded_to_the_byte_and_the_rest_is_counted() {
        for pieces in [&[&b"abcdefghij"[..]][..], &[b"ab", b"", b"cde", b"fghij"], &[b"abcd", b"efghij"]] {
            let mut limit = OutputLimit::new(Output::Output, 4);
            let recorded: Vec<u8> = pieces.iter().flat_map(|piece| limit.take(piece).to_vec()).collect();
            assert_eq!(recorded, b"abcd");
            let Some(Fact::OutputLimit { recorded_bytes, bytes, sha256, .. }) = limit.end() else { panic!() };
            assert_eq!((recorded_bytes, bytes, sha256), (4, 6, ContentHash::of(b"efghij")));
        }
        let mut exact = OutputLimit::new(Output::ErrorOutput, 4);
        assert_eq!(exact.take(b"abcd"), b"abcd");
        assert!(exact.end().is_none() && !exact.is_exceeded());
    }
}
