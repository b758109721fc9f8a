//! The signatures of the vendor's RPC requests, as clients make them and servers check them: version 3
//! (`ACS3-HMAC-SHA256`, [`v3`]) and version 1 (HMAC-SHA1, [`v1`]); the contract describes them in sections 4.1 and 4.2.
//!
//! This crate does no I/O and does not depend on HTTP. The caller reads the request and decides which parts of it
//! must be signed.

pub mod v1;
pub mod v3;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that percent-encoding leaves unchanged: letters, digits and these four.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The percent-encoding of names and values that both signatures require.
#[must_use]
pub fn encode(text: &str) -> String {
    encoded(text).collect()
}

/// As [`encode`], piece by piece.
fn encoded(text: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(text, RESERVED)
}

/// Encodes names and values as in a query or a form, in the given order.
#[must_use]
pub fn encode_pairs<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// Compares in constant time, so that the duration does not reveal where the two differ.
fn equal(ours: &str, theirs: &str) -> bool {
    verify_slices_are_equal(ours.as_bytes(), theirs.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_and_four_others_stay_as_they_are() {
        assert_eq!(encode("aZ09-_.~ *+/!'()%你"), "aZ09-_.~%20%2A%2B%2F%21%27%28%29%25%E4%BD%A0");
        assert_eq!(encode_pairs([("b", "&"), ("a=", "")]), "b=%26&a%3D=");
    }
}
