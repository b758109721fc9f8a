//! The condition keys with the `acs:` prefix: those that the vendor publishes for any product. Field reports
//! show a mis-spelt key that was accepted and never enforced, which leaves a gap that nobody notices; so an `acs:`
//! key that is not in this table is refused. Other prefixes belong to the products, which may define any keys.
//!
//! A deployment states in its [`Vocabulary`](crate::Vocabulary) which actions set each key.

use crate::key_facts::{KeyFacts, Presence};
use crate::values::ValueType;

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

/// What a known key describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The caller and the call: the value is the same for every resource.
    Call,
    /// The resource: the value may differ between resources.
    Resource,
}

/// The caller's program, as stated by the program itself.
pub const USER_AGENT: &str = "acs:UserAgent";
/// The id of the access key that signed the request.
pub const ACCESS_ID: &str = "acs:AccessId";
/// The prefix of the keys for the resource's tags; the rest of the key is the tag's key.
pub const RESOURCE_TAG: &str = "acs:ResourceTag/";
/// The prefix of the keys for the tags in a request; the rest of the key is the tag's key.
pub const REQUEST_TAG: &str = "acs:RequestTag/";
/// The resource directory of the principal.
pub const PRINCIPAL_RD_ID: &str = "acs:PrincipalRDId";
/// The location of the principal in its resource directory.
pub const PRINCIPAL_RD_PATH: &str = "acs:PrincipalRDPath";
/// The virtual network from which the call comes.
pub const SOURCE_VPC: &str = "acs:SourceVpc";

/// The published keys. A name that ends in `/` represents every key that begins with it.
const PUBLISHED: [(&str, About, ValueType); 12] = [
    (CURRENT_TIME, About::Call, ValueType::Instant),
    (SECURE_TRANSPORT, About::Call, ValueType::Boolean),
    (SOURCE_IP, About::Call, ValueType::Address),
    (MFA_PRESENT, About::Call, ValueType::Boolean),
    (PRINCIPAL_ARN, About::Call, ValueType::Text),
    (PRINCIPAL_RD_ID, About::Call, ValueType::Text),
    (PRINCIPAL_RD_PATH, About::Call, ValueType::Text),
    (SOURCE_VPC, About::Call, ValueType::Text),
    (USER_AGENT, About::Call, ValueType::Text),
    (ACCESS_ID, About::Call, ValueType::Text),
    (REQUEST_TAG, About::Call, ValueType::Text),
    (RESOURCE_TAG, About::Resource, ValueType::Text),
];

/// The published keys with the type of their values. A name that ends in `/` represents every key that begins with
/// it.
pub fn published() -> impl Iterator<Item = (&'static str, ValueType)> {
    PUBLISHED.iter().map(|(name, _, value_type)| (*name, *value_type))
}

/// What is known of the published keys in every deployment: the type of their values, and which of them every request
/// carries.
pub(crate) fn facts<'a>() -> impl Iterator<Item = KeyFacts<'a>> {
    published().map(|(name, value_type)| {
        // The caller's address is set on a best-effort basis only.
        let presence = match name {
            CURRENT_TIME | SECURE_TRANSPORT | MFA_PRESENT | PRINCIPAL_ARN => Presence::Always,
            _ => Presence::Sometimes,
        };
        KeyFacts { name, value_type, presence, several: false, setters: None }
    })
}

/// Whether a name of a table, which may represent all keys that begin with it, represents this key. Letters are
/// compared without regard to case.
pub(crate) fn stands_for(name: &str, key: &str) -> bool {
    let begins = key.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    begins && (key.len() == name.len()) != name.ends_with('/')
}

/// What the key describes, if it is a published one.
pub(crate) fn about(key: &str) -> Option<About> {
    PUBLISHED.iter().find(|(name, ..)| stands_for(name, key)).map(|(_, about, _)| *about)
}

/// The names of all published keys, for messages.
pub(crate) fn all() -> String {
    let name =
        |(name, _): (&str, _)| if name.ends_with('/') { format!("{name}<key>") } else { name.to_owned() };
    let names: Vec<String> = published().map(name).collect();
    names.join(", ")
}
