//! The condition keys of the `acs:` prefix. Field reports show a mis-spelt one accepted and never enforced, which
//! is a silent hole; so an `acs:` key that is not in this table is refused. Other prefixes belong to the products,
//! which set what they like.

use crate::values::ValueType;
use crate::vocabulary::{KeyFacts, Presence};

/// Server time of the request.
pub const CURRENT_TIME: &str = "acs:CurrentTime";
/// Whether the request came over TLS.
pub const SECURE_TRANSPORT: &str = "acs:SecureTransport";
/// The caller's address.
pub const SOURCE_IP: &str = "acs:SourceIp";
/// Whether the user logged on with MFA.
pub const MFA_PRESENT: &str = "acs:MFAPresent";
/// ARN of the user or role.
pub const PRINCIPAL_ARN: &str = "acs:PrincipalARN";

/// What a known key is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The caller and the call: the same whatever resource is asked for.
    Call,
    /// The resource: another one may have another value.
    Resource,
}

/// Keys of one exact name.
const NAMED: [(&str, About); 8] = [
    (CURRENT_TIME, About::Call),
    (SECURE_TRANSPORT, About::Call),
    (SOURCE_IP, About::Call),
    (MFA_PRESENT, About::Call),
    (PRINCIPAL_ARN, About::Call),
    ("acs:PrincipalRDId", About::Call),
    ("acs:PrincipalRDPath", About::Call),
    ("acs:SourceVpc", About::Call),
];

/// Keys that end in the name of a tag.
const TAGGED: [(&str, About); 2] = [("acs:RequestTag/", About::Call), ("acs:ResourceTag/", About::Resource)];

/// The known keys with the type of their values, and whether every request carries them.
pub(crate) fn facts<'a>() -> impl Iterator<Item = KeyFacts<'a>> {
    let named = NAMED.iter().map(|(name, _)| {
        let value_type = match *name {
            CURRENT_TIME => ValueType::Instant,
            SECURE_TRANSPORT | MFA_PRESENT => ValueType::Boolean,
            SOURCE_IP => ValueType::Address,
            _ => ValueType::Text,
        };
        // The caller's address is set at best effort only.
        let presence = match *name {
            CURRENT_TIME | SECURE_TRANSPORT | MFA_PRESENT | PRINCIPAL_ARN => Presence::Always,
            _ => Presence::Sometimes,
        };
        KeyFacts { name, value_type, presence, several: false }
    });
    let tagged = TAGGED.iter().map(|(name, _)| KeyFacts {
        name,
        value_type: ValueType::Text,
        presence: Presence::Sometimes,
        several: false,
    });
    named.chain(tagged)
}

/// What the key is about, if it is a known one; letters compare without case.
pub(crate) fn about(key: &str) -> Option<About> {
    let named = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    let tagged = || {
        TAGGED.iter().find(|(prefix, _)| {
            key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
                && key.len() > prefix.len()
        })
    };
    named.or_else(tagged).map(|(_, about)| *about)
}

/// The names of all known keys, for messages.
pub(crate) fn all() -> String {
    let names: Vec<String> = NAMED
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .chain(TAGGED.iter().map(|(prefix, _)| format!("{prefix}<key>")))
        .collect();
    names.join(", ")
}
