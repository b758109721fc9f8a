//! The signatures of the vendor's RPC requests, as clients make them and servers check them: version 3
//! (`ACS3-HMAC-SHA256`, [`v3`]) and version 1 (HMAC-SHA1, [`v1`]); the contract describes them in sections 4.1 and 4.2.
//!
//! What is here is pure, and knows no HTTP: who reads a request, and what of it must be signed, is the caller's business.

pub mod v1;
pub mod v3;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What the percent-encoding leaves as it is: letters, digits and these four.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The percent-encoding of names and values, as both signatures want it.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Names and values as they stand in a query or a form, in the order given.
#[must_use]
pub fn encode_pairs<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// Compares without telling by its duration where the two differ.
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
