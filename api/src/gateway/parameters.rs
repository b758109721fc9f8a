//! Parameters from a query or a form body: decoded strictly, each name once.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use openapi::error_codes::{ErrorCode, WireError};

/// More parameters than this are refused before anybody spends time on sorting them; the largest action has about 60.
const MOST_PARAMETERS: usize = 4_096;

/// How much of a text is shown in an error.
const SHOWN_CHARACTERS: usize = 64;

/// Up to so many parameters, comparing a name with those before it costs less than a set of them.
const FEW_PARAMETERS: usize = 16;

/// The parameters of one channel, in the order in which they arrived. Debug shows their names alone: LoginInstance
/// sends passwords as parameters.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Channel(Vec<(String, String)>);

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Channel {
    /// Decodes `a=1&b=2`. `+` is a space.
    ///
    /// # Errors
    /// Broken percent-encoding, invalid UTF-8, and a name that comes twice (DECISIONS G2). `place` says where.
    pub fn parse(raw: &[u8], place: &'static str) -> Result<Self, WireError> {
        let refuse = |what: String| {
            WireError::with_message(ErrorCode::MalformedRequest, format!("The {place} {what}."))
        };
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut seen = HashSet::new();
        for pair in raw.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &pair[pair.len()..]),
            };
            let decode = |raw| decode(raw).map_err(|what| refuse(what.to_owned()));
            let (name, value) = (decode(name)?, decode(value)?);
            let is_repeated = if pairs.len() < FEW_PARAMETERS {
                pairs.iter().any(|(before, _)| *before == name)
            } else {
                if seen.is_empty() {
                    seen.extend(pairs.iter().map(|(before, _)| before.clone()));
                }
                !seen.insert(name.clone())
            };
            if is_repeated {
                return Err(refuse(format!("names the parameter {} more than once", shown(&name))));
            }
            if pairs.len() == MOST_PARAMETERS {
                return Err(refuse(format!("has more than {MOST_PARAMETERS} parameters")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The parameters of a call: those of the query and those of the body, which win (contract, section 4.2).
    #[must_use]
    pub fn merged(query: &Self, form: &Self) -> BTreeMap<String, String> {
        query.0.iter().chain(&form.0).cloned().collect()
    }
}

const NOT_UTF8: &str = "is not UTF-8";

fn decode(raw: &[u8]) -> Result<String, &'static str> {
    if !raw.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return std::str::from_utf8(raw).map(str::to_owned).map_err(|_| NOT_UTF8);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let [high, low, after @ ..] = rest else {
                    return Err("has a % that no two hexadecimal digits follow");
                };
                let (Some(high), Some(low)) = (hexadecimal(*high), hexadecimal(*low)) else {
                    return Err("has a % that no two hexadecimal digits follow");
                };
                rest = after;
                high << 4 | low
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|_| NOT_UTF8)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Untrusted text for an error: escaped to printable ASCII, and cut.
pub(crate) fn shown(text: &str) -> String {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\');
    // What nearly every call sends is shown as it is.
    if text.len() <= SHOWN_CHARACTERS && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    text.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Vec<(String, String)> {
        Channel::parse(raw.as_bytes(), "query").unwrap().0
    }

    #[test]
    fn every_clients_spelling_is_decoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parse("A=a+b%2Bc%2Ad~e%2Ff%25g&Empty="), [pair("A", "a b+c*d~e/f%g"), pair("Empty", "")]);
        assert_eq!(parse("A=!'()*/?:@,$&&B"), [pair("A", "!'()*/?:@,$"), pair("B", "")]);
        assert_eq!(parse("A=%e4%BD%a0&%41%3D=x=1"), [pair("A", "你"), pair("A=", "x=1")]);
        assert_eq!(parse(""), []);
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for (raw, what) in [
            (&b"A=%"[..], "two hexadecimal digits"),
            (b"A=%2", "two hexadecimal digits"),
            (b"A=%zz", "two hexadecimal digits"),
            (b"A=%+1", "two hexadecimal digits"),
            (b"A=%ff", "not UTF-8"),
            (b"A=\xff", "not UTF-8"),
            (b"%C0%80=1", "not UTF-8"),
            (b"A=%ED%A0%80", "not UTF-8"),
            (b"A=1&B=2&A=1", "names the parameter A more than once"),
            (b"A=1&%41=2", "names the parameter A more than once"),
        ] {
            let error = Channel::parse(raw, "query").expect_err("refused");
            assert_eq!((error.code_text().as_str(), error.status()), ("InvalidParameter", 400));
            assert!(error.message().contains(what), "{error}");
        }
    }

    #[test]
    fn a_name_that_comes_again_is_found_however_many_stand_between() {
        let names = |count| (0..count).map(|number| format!("a{number}=1")).collect::<Vec<_>>().join("&");
        for count in 1..3 * FEW_PARAMETERS {
            assert_eq!(Channel::parse(names(count).as_bytes(), "query").unwrap().0.len(), count);
            for again in [0, count / 2, count - 1] {
                let error = Channel::parse(format!("{}&a{again}=2", names(count)).as_bytes(), "query");
                assert!(error.unwrap_err().message().contains("more than once"), "a{again} of {count}");
            }
        }
    }

    #[test]
    fn what_is_shown_is_printable_and_cut() {
        let long = "你".repeat(64);
        for (text, expected) in [
            ("ListAgents", "ListAgents".to_owned()),
            ("a'\"\\b\n", r#"a\'\"\\b\n"#.to_owned()),
            ("\u{1b}[2J", r"\u{1b}[2J".to_owned()),
            (&"a".repeat(65), "a".repeat(64)),
            (&format!("{long}x"), r"\u{4f60}".repeat(64)),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn the_number_of_parameters_is_limited() {
        let many = |count| (0..count).map(|number| format!("a{number}=1")).collect::<Vec<_>>().join("&");
        assert!(Channel::parse(many(MOST_PARAMETERS).as_bytes(), "body").is_ok());
        let error = Channel::parse(many(MOST_PARAMETERS + 1).as_bytes(), "body").expect_err("refused");
        assert!(error.message().contains("more than 4096 parameters"), "{error}");
    }

    #[test]
    fn the_body_wins() {
        let query = Channel::parse(b"A=query&B=b", "query").unwrap();
        let form = Channel::parse(b"A=form&C=c", "body").unwrap();
        let merged = Channel::merged(&query, &form);
        assert_eq!(merged.into_values().collect::<Vec<_>>(), ["form", "b", "c"]);
    }
}
