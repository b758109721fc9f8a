//! Version 1: HMAC-SHA1 over the method and the parameters.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{encode, encode_pairs, equal};

/// The parameter that carries the signature. It is never part of what is signed.
const SIGNATURE: &str = "Signature";

/// What is signed: the method and the parameters of query and form together, each name once.
#[must_use]
pub fn string_to_sign<'p>(method: &str, parameters: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let mut pairs: Vec<_> = parameters.into_iter().filter(|(name, _)| *name != SIGNATURE).collect();
    pairs.sort_unstable();
    format!("{method}&%2F&{}", encode(&encode_pairs(pairs)))
}

/// The value of the parameter `Signature`.
#[must_use]
pub fn sign(access_key_secret: &str, string_to_sign: &str) -> String {
    let key = format!("{access_key_secret}&");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, string_to_sign.as_bytes()))
}

/// Whether the signature was made with this secret.
#[must_use]
pub fn verify(access_key_secret: &str, string_to_sign: &str, signature: &str) -> bool {
    equal(&sign(access_key_secret, string_to_sign), signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendor's own published example, in its documentation of version 1: DescribeRegions of ECS.
    #[test]
    fn the_vendors_example_is_signed_as_it_says() {
        let parameters = [
            ("Timestamp", "2016-02-23T12:46:24Z"),
            ("Format", "XML"),
            ("AccessKeyId", "testid"),
            ("Action", "DescribeRegions"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
            ("Version", "2014-05-26"),
            ("SignatureVersion", "1.0"),
        ];
        let to_sign = string_to_sign("GET", parameters);
        assert!(
            to_sign.starts_with("GET&%2F&AccessKeyId%3Dtestid%26Action%3DDescribeRegions%26Format%3DXML")
        );
        let signature = sign("testsecret", &to_sign);
        assert_eq!(signature, "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
        assert!(verify("testsecret", &to_sign, &signature));
        assert!(!verify("testsecret2", &to_sign, &signature));
        let signed = parameters.into_iter().chain([(SIGNATURE, signature.as_str())]);
        assert_eq!(string_to_sign("GET", signed), to_sign);
    }
}
