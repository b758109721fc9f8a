//! The identifiers in a recording and in the agent's protocol, declared in one list.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The text is not the expected identifier. The error says what is allowed, and shows the text escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{shown}\" is not {kind}: {allowed}")]
pub struct InvalidIdentifier {
    kind: &'static str,
    allowed: &'static str,
    shown: String,
}

impl InvalidIdentifier {
    fn new(kind: &'static str, allowed: &'static str, text: &str) -> Self {
        Self { kind, allowed, shown: shown(text) }
    }

    /// What the text should have been, with its article: "an instance id".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What is allowed, in words.
    #[must_use]
    pub fn allowed(&self) -> &'static str {
        self.allowed
    }
}

/// Untrusted text for an error message: escaped to printable ASCII, and cut, so that it can neither drive a
/// terminal nor fill a log.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_default).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The text of an identifier, in place. A call clones dozens of them, and none of these clones is to cost a piece of the heap.
/// Behind the text there are zeros, which no identifier contains, so that bytes compare as texts do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Text<const MOST: usize> {
    bytes: [u8; MOST],
    length: u8,
}

impl<const MOST: usize> Text<MOST> {
    /// `None` for a text that is longer.
    fn of(text: &str) -> Option<Self> {
        let mut bytes = [0; MOST];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: u8::try_from(text.len()).ok()? })
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length.into()]).expect("it was made of a text")
    }
}

impl<const MOST: usize> fmt::Debug for Text<MOST> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(formatter)
    }
}

macro_rules! identifiers {
    ($(
        $(#[$documentation:meta])+ $name:ident, $most:literal, $kind:literal, $allowed:expr, $pattern:literal, $accepts:expr;
    )+) => {$(
        $(#[$documentation])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Text<$most>);

        impl $name {
            /// The same rule as a regular expression (ECMA-262), for documents.
            pub const PATTERN: &'static str = $pattern;

            /// Accepts the identifier exactly as it prints.
            ///
            /// # Errors
            /// The text is not of this kind; the error says what is allowed.
            pub fn parse(text: &str) -> Result<Self, InvalidIdentifier> {
                let accepts: fn(&[u8]) -> bool = $accepts;
                let accepted = accepts(text.as_bytes()).then(|| Text::of(text)).flatten();
                accepted.map(Self).ok_or_else(|| InvalidIdentifier::new($kind, rule($allowed, text), text))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidIdentifier;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdentifier;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(identifier: $name) -> Self {
                identifier.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    )+};
}

identifiers! {
    /// An account. 16 digits beginning with 1 stay exact in every client's JSON numbers.
    AccountId, 16, "an account id", "it has 16 digits and begins with 1", "^1[0-9]{15}$", is_account;
    /// An instance: a machine whose sessions are recorded.
    InstanceId, 69, "an instance id", "it is 1 to 8 lower-case letters, a hyphen, and 1 to 60 letters or digits",
        "^[a-z]{1,8}-[A-Za-z0-9]{1,60}$", is_instance;
    /// A region. It becomes part of host names, so nothing else may stand in it.
    Region, 33, "a region", REGION_RULE, "^[a-z]{2}-[a-z0-9-]{1,30}$", is_region;
    /// A recorded session. An identifier that is listed and stored in the clear, never a credential.
    TerminalSessionToken, 32, "a terminal session token", "it has 32 lower-case hexadecimal digits", "^[0-9a-f]{32}$",
        is_hex_128;
    /// An enrolled agent.
    AgentId, 38, "an agent id", "it is agent- and 32 lower-case hexadecimal digits", "^agent-[0-9a-f]{32}$",
        |text| text.strip_prefix(AGENT_PREFIX.as_bytes()).is_some_and(is_hex_128);
}

const AGENT_PREFIX: &str = "agent-";

const REGION_RULE: &str =
    "it is two lower-case letters, a hyphen, and 1 to 30 lower-case letters, digits or hyphens";

/// The rule that a text broke, with what to change where the mistake is a common one: the host names of object storage
/// have the region with a prefix.
fn rule(rule: &'static str, text: &str) -> &'static str {
    let without_prefix = text.strip_prefix("oss-").is_some_and(|region| is_region(region.as_bytes()));
    if rule == REGION_RULE && without_prefix {
        "leave oss- out, as in cn-beijing for oss-cn-beijing"
    } else {
        rule
    }
}

fn is_account(text: &[u8]) -> bool {
    text.len() == 16 && text[0] == b'1' && text.iter().all(u8::is_ascii_digit)
}

fn is_instance(text: &[u8]) -> bool {
    let Some(hyphen) = text.iter().position(|byte| *byte == b'-') else { return false };
    let (kind, rest) = (&text[..hyphen], &text[hyphen + 1..]);
    (1..=8).contains(&kind.len())
        && kind.iter().all(u8::is_ascii_lowercase)
        && (1..=60).contains(&rest.len())
        && rest.iter().all(u8::is_ascii_alphanumeric)
}

fn is_region(text: &[u8]) -> bool {
    text.len() >= 3
        && text[..2].iter().all(u8::is_ascii_lowercase)
        && text[2] == b'-'
        && (1..=30).contains(&(text.len() - 3))
        && text[3..].iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

fn is_hex_128(text: &[u8]) -> bool {
    text.len() == 32 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl TerminalSessionToken {
    /// A new token of 128 random bits.
    #[must_use]
    pub fn generate() -> Self {
        Self::of_hex(&random_hex_128())
    }

    fn of_hex(hex: &str) -> Self {
        Self(Text::of(hex).expect("32 digits fit"))
    }

    /// The token of these 128 bits.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::of_hex(&hex::encode(bytes))
    }

    /// The 128 bits of the token.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        hex::decode_to_slice(self.as_str(), &mut bytes).expect("a parsed token has 32 hexadecimal digits");
        bytes
    }
}

impl AgentId {
    /// A new id of 128 random bits.
    #[must_use]
    pub fn generate() -> Self {
        let id = format!("{AGENT_PREFIX}{}", random_hex_128());
        Self(Text::of(&id).expect("the prefix and 32 digits fit"))
    }
}

fn random_hex_128() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .expect("the secure random source of AWS-LC does not fail once it has started");
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_parses_and_prints_back() {
        for text in ["1000000000000000", "1234567890123456"] {
            assert_eq!(AccountId::parse(text).unwrap().to_string(), text);
        }
        let longest = format!("abcdefgh-{}", "Z".repeat(60));
        for text in ["i-bp1xxxxxxxxxxxxx", "eci-0", longest.as_str()] {
            assert_eq!(InstanceId::parse(text).unwrap().to_string(), text);
        }
        let longest = format!("cn-{}", "a".repeat(30));
        for text in ["cn-hangzhou", "us-east-1", "ap-a", longest.as_str()] {
            assert_eq!(Region::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(AgentId::parse(AgentId::generate().as_str()).unwrap().as_str().len(), 38);
    }

    #[test]
    fn they_are_ordered_and_shown_as_their_texts() {
        let mut texts = ["i-b", "i-0", "i-00", "eci-0", "i-A", "i-a", "i-a0"];
        let mut ids = texts.map(|text| InstanceId::parse(text).unwrap());
        texts.sort_unstable();
        ids.sort_unstable();
        assert_eq!(ids.map(String::from), texts);
        assert_eq!(format!("{:?}", InstanceId::parse("i-a0").unwrap()), "InstanceId(\"i-a0\")");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "2000000000000000",
            "100000000000000",
            "10000000000000000",
            "1 00000000000000",
            "１00000000000",
        ] {
            assert!(AccountId::parse(text).is_err(), "{text:?}");
        }
        let too_long = format!("i-{}", "a".repeat(61));
        for text in
            ["", "i", "i-", "-a", "I-a", "abcdefghi-a", "i-a/b", "i-a-b", "i-..", "i-ä", too_long.as_str()]
        {
            assert!(InstanceId::parse(text).is_err(), "{text:?}");
        }
        let too_long = format!("cn-{}", "a".repeat(31));
        for text in ["", "cn-", "c-a", "cn", "cn-A", "cn-a.b", "cn_a", too_long.as_str()] {
            assert!(Region::parse(text).is_err(), "{text:?}");
        }
        let token = "0123456789abcdef0123456789abcdef";
        for text in [&token[1..], &token.to_uppercase(), "", "0123456789abcdef0123456789abcdeg"] {
            assert!(TerminalSessionToken::parse(text).is_err(), "{text:?}");
        }
        assert!(AgentId::parse(token).is_err());
        assert!(AgentId::parse("agent-").is_err());
    }

    #[test]
    fn an_error_shows_the_text_escaped_and_cut() {
        let error = InstanceId::parse(&format!("\u{1b}]0;x\u{7}\u{202e}{}", "y".repeat(500)))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("\"\\u{1b}]0;x\\u{7}\\u{202e}yyy"), "{error}");
        assert!(error.contains("...\" is not an instance id: it is 1 to 8"), "{error}");
        assert!(error.len() < 300);
    }

    #[test]
    fn a_region_of_a_host_name_hears_what_to_leave_out() {
        let error = Region::parse("oss-cn-beijing").unwrap_err().to_string();
        assert_eq!(
            error,
            "\"oss-cn-beijing\" is not a region: leave oss- out, as in cn-beijing for oss-cn-beijing"
        );
        for text in ["oss-", "oss-CN", "cn_beijing"] {
            assert_eq!(Region::parse(text).unwrap_err().allowed(), REGION_RULE, "{text}");
        }
    }

    #[test]
    fn documents_are_validated_when_they_are_read() {
        let token = TerminalSessionToken::generate();
        let text = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<TerminalSessionToken>(&text).unwrap(), token);
        assert_eq!(TerminalSessionToken::from_bytes(token.to_bytes()), token);
        let error = serde_json::from_str::<InstanceId>("\"../etc\"").unwrap_err().to_string();
        assert!(error.contains("is not an instance id"), "{error}");
        assert_ne!(TerminalSessionToken::generate(), token);
    }
}
