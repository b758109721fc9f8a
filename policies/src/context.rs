//! What the server knows about a request besides principal, action and resource.

use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::values::Instant;

/// The value of a context key. String operators compare the text. The other forms are parsed when the value is made,
/// so that a decision does not parse the same address again for every statement.
#[derive(Clone, Debug)]
pub struct ContextValue {
    pub(crate) text: Box<str>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) instant: Option<Instant>,
}

impl ContextValue {
    /// The value as text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<&str> for ContextValue {
    fn from(text: &str) -> Self {
        Self {
            text: text.into(),
            address: text.parse().ok().map(|address: IpAddr| address.to_canonical()),
            instant: Instant::parse(text),
        }
    }
}

impl From<String> for ContextValue {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<bool> for ContextValue {
    fn from(value: bool) -> Self {
        Self { text: if value { "true" } else { "false" }.into(), address: None, instant: None }
    }
}

impl From<i64> for ContextValue {
    fn from(value: i64) -> Self {
        Self { text: value.to_string().into(), address: None, instant: None }
    }
}

impl From<u64> for ContextValue {
    fn from(value: u64) -> Self {
        Self { text: value.to_string().into(), address: None, instant: None }
    }
}

/// An IPv4-mapped IPv6 address becomes IPv4, so that blocks of either spelling fit it.
impl From<IpAddr> for ContextValue {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { text: address.to_string().into(), address: Some(address), instant: None }
    }
}

impl From<OffsetDateTime> for ContextValue {
    fn from(at: OffsetDateTime) -> Self {
        // Years after 9999 have no RFC 3339 form. The instant can still be compared, and the text is its nanoseconds.
        let nanoseconds = at.unix_timestamp_nanos();
        let text = at.format(&Rfc3339).unwrap_or_else(|_| nanoseconds.to_string());
        Self { text: text.into(), address: None, instant: Some(Instant(nanoseconds)) }
    }
}

/// The context of one request: values by key. Keys are compared without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Keys in lower case. There are few entries, so a linear search is faster than hashing.
    entries: Vec<(Box<str>, Vec<ContextValue>)>,
}

impl Context {
    /// A context without any key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key and replaces its previous values.
    pub fn insert(&mut self, key: &str, value: impl Into<ContextValue>) {
        self.insert_all(key, [value.into()]);
    }

    /// Sets a key to several values. A condition holds if any of them matches; a negated operator holds if none does.
    /// With an empty list the key is absent.
    pub fn insert_all(&mut self, key: &str, values: impl IntoIterator<Item = ContextValue>) {
        let key = key.to_ascii_lowercase();
        self.entries.retain(|(present, _)| **present != *key);
        let values: Vec<ContextValue> = values.into_iter().collect();
        if !values.is_empty() {
            self.entries.push((key.into(), values));
        }
    }

    /// The values of a key; empty if it is absent.
    #[must_use]
    pub fn values(&self, key: &str) -> &[ContextValue] {
        self.find(|present| present.eq_ignore_ascii_case(key))
    }

    /// `key` is in lower case.
    pub(crate) fn values_of_lower(&self, key: &str) -> &[ContextValue] {
        self.find(|present| present == key)
    }

    fn find(&self, is_it: impl Fn(&str) -> bool) -> &[ContextValue] {
        self.entries.iter().find(|(present, _)| is_it(present)).map_or(&[], |(_, values)| values)
    }

    /// All keys, in lower case, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[ContextValue])> {
        self.entries.iter().map(|(key, values)| (&**key, values.as_slice()))
    }
}
