//! Tags of roles and policies. They are for the people and programs that sort them; no condition of a policy can ask for
//! them, so that a tag gives nobody anything.

use std::collections::BTreeMap;

use super::{IdentityRefused, PolicyName, RoleName};
use crate::gate::IdentityResource;
use crate::parameter::{Parameter, Refused, Shape, TextShape};

/// How many tags a role or a policy may have.
pub const MAX_TAGS: usize = 20;

const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// A kind of thing that can have tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaggableKind {
    /// A role.
    Role,
    /// A policy of the account.
    Policy,
}

impl TaggableKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Role, Self::Policy];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Policy => "policy",
        }
    }

    /// The kind of this word, in any case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }

    /// All things of this kind, as policies are asked about them.
    #[must_use]
    pub fn all(self) -> IdentityResource {
        match self {
            Self::Role => IdentityResource::Roles,
            Self::Policy => IdentityResource::Policies,
        }
    }
}

impl Parameter for TaggableKind {
    fn shape() -> Shape {
        TextShape::fitting("^([Rr][Oo][Ll][Ee]|[Pp][Oo][Ll][Ii][Cc][Yy])$").into()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Self::parse(text).ok_or_else(|| Refused::value("it must be role or policy, which alone have tags"))
    }
}

/// A role or a policy of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taggable {
    /// A role.
    Role(RoleName),
    /// A policy.
    Policy(PolicyName),
}

impl Taggable {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> TaggableKind {
        match self {
            Self::Role(_) => TaggableKind::Role,
            Self::Policy(_) => TaggableKind::Policy,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Role(name) => name.as_str(),
            Self::Policy(name) => name.as_str(),
        }
    }

    /// As policies are asked about it.
    #[must_use]
    pub fn resource(&self) -> IdentityResource {
        match self {
            Self::Role(name) => IdentityResource::Role(name.clone()),
            Self::Policy(name) => IdentityResource::Policy(name.into()),
        }
    }
}

/// A tag that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTag {
    /// Its key is not one.
    #[error(
        "a key has 1 to 128 characters and no control characters, begins neither with aliyun nor with acs:, and contains \
         neither http:// nor https://"
    )]
    Key,
    /// Its value is not one.
    #[error("a value has at most 256 characters, no control characters, and neither http:// nor https://")]
    Value,
    /// A key stands twice.
    #[error("each key may stand once")]
    Twice,
    /// There are too many for any role or policy.
    #[error("there may be at most {MAX_TAGS}")]
    TooMany,
}

/// The tags of a role or a policy, by key. Keys differ by case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntityTags(BTreeMap<String, String>);

impl EntityTags {
    /// Puts new tags together.
    ///
    /// # Errors
    /// [`InvalidTag`].
    pub fn new(tags: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidTag> {
        let mut checked = BTreeMap::new();
        for (key, value) in tags {
            check_key(&key)?;
            check_value(&value)?;
            if checked.insert(key, value).is_some() {
                return Err(InvalidTag::Twice);
            }
            // At once: a call can have as many as its body holds, and nothing has been permitted yet.
            if checked.len() > MAX_TAGS {
                return Err(InvalidTag::TooMany);
            }
        }
        Ok(Self(checked))
    }

    /// With these set: a key that is there already gets the new value.
    ///
    /// # Errors
    /// [`IdentityRefused::LimitExceeded`] when there would be more than [`MAX_TAGS`].
    pub fn with(mut self, set: &Self) -> Result<Self, IdentityRefused> {
        self.0.extend(set.0.clone());
        if self.0.len() <= MAX_TAGS {
            return Ok(self);
        }
        Err(IdentityRefused::LimitExceeded {
            code: "Tag",
            what: "tags of one role or policy",
            limit: MAX_TAGS as u64,
        })
    }

    /// Without some of them. A key that is not there is no error.
    #[must_use]
    pub fn without(mut self, removed: &RemovedTags) -> Self {
        match removed {
            RemovedTags::All => self.0.clear(),
            RemovedTags::Keys(keys) => self.0.retain(|key, _| !keys.contains(key)),
        }
        self
    }

    /// Every tag, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which tags are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovedTags {
    /// All.
    All,
    /// Those with these keys.
    Keys(Vec<String>),
}

impl RemovedTags {
    /// Those with these keys.
    ///
    /// # Errors
    /// [`InvalidTag`].
    pub fn keys(keys: Vec<String>) -> Result<Self, InvalidTag> {
        if keys.len() > MAX_TAGS {
            return Err(InvalidTag::TooMany);
        }
        keys.iter().try_for_each(|key| check_key(key))?;
        Ok(Self::Keys(keys))
    }
}

/// The tags that roles or policies must have to be listed: keys, each with a value or with any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagFilter(Vec<(String, Option<String>)>);

impl TagFilter {
    /// All of these. None: whatever has whichever tags.
    ///
    /// # Errors
    /// [`InvalidTag`].
    pub fn new(tags: Vec<(String, Option<String>)>) -> Result<Self, InvalidTag> {
        if tags.len() > MAX_TAGS {
            return Err(InvalidTag::TooMany);
        }
        for (position, (key, value)) in tags.iter().enumerate() {
            check_key(key)?;
            value.as_deref().map_or(Ok(()), check_value)?;
            if tags[..position].iter().any(|(before, _)| before == key) {
                return Err(InvalidTag::Twice);
            }
        }
        Ok(Self(tags))
    }

    /// Every key, with the value that it must have.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_deref()))
    }

    /// Whether it narrows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A thing with its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged<T> {
    /// The thing.
    pub thing: T,
    /// Its tags.
    pub tags: EntityTags,
}

/// One tag of a role or a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagOfEntity {
    /// The name of the role or policy.
    pub name: String,
    /// The tag's key.
    pub key: String,
    /// Its value.
    pub value: String,
}

fn check_key(key: &str) -> Result<(), InvalidTag> {
    let reserved = |start: &str| key.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
    let fits = (1..=LONGEST_KEY).contains(&key.chars().count())
        && !["aliyun", "acs:"].iter().any(|start| reserved(start))
        && is_plain(key);
    if fits { Ok(()) } else { Err(InvalidTag::Key) }
}

fn check_value(value: &str) -> Result<(), InvalidTag> {
    if value.chars().count() <= LONGEST_VALUE && is_plain(value) { Ok(()) } else { Err(InvalidTag::Value) }
}

fn is_plain(text: &str) -> bool {
    let folded = text.to_ascii_lowercase();
    !text.contains(char::is_control) && !folded.contains("http://") && !folded.contains("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Result<EntityTags, InvalidTag> {
        EntityTags::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn keys_and_values_have_the_vendors_rules() {
        let long = "ä".repeat(128);
        for good in ["k", "Team", "team:eu/1", " a b ", "xacs:", "my-aliyun", "http", long.as_str()] {
            assert!(tags(&[(good, "")]).is_ok(), "{good:?}");
        }
        let long = "ä".repeat(129);
        for bad in
            ["", "aliyun", "AliYun-x", "acs:x", "ACS:", "see http://x", "HTTPS://", "a\nb", long.as_str()]
        {
            assert_eq!(tags(&[(bad, "v")]), Err(InvalidTag::Key), "{bad:?}");
        }
        for (value, fits) in [
            ("", true),
            ("acs:x", true),
            (&*"v".repeat(256), true),
            (&*"v".repeat(257), false),
            ("a http://b", false),
            ("a\u{0}", false),
        ] {
            assert_eq!(tags(&[("k", value)]).is_ok(), fits, "{value:?}");
            let filter = TagFilter::new(vec![("k".to_owned(), Some(value.to_owned()))]);
            assert_eq!(filter.is_ok(), fits, "{value:?}");
        }
        assert_eq!(tags(&[("a", "1"), ("a", "2")]), Err(InvalidTag::Twice));
        assert_eq!(tags(&[("a", "1"), ("A", "2")]).unwrap().iter().count(), 2, "keys differ by case");
        let twice = vec![("a".to_owned(), None), ("a".to_owned(), None)];
        assert_eq!(TagFilter::new(twice), Err(InvalidTag::Twice));
    }

    #[test]
    fn there_are_twenty_at_most_however_they_are_set() {
        let numbered = |from: usize, until: usize| {
            EntityTags::new((from..until).map(|number| (format!("k{number}"), String::new())))
        };
        assert_eq!(numbered(0, 21), Err(InvalidTag::TooMany));
        let twenty = numbered(0, 20).unwrap();
        let refused = twenty.clone().with(&numbered(20, 21).unwrap()).unwrap_err();
        assert!(matches!(refused, IdentityRefused::LimitExceeded { code: "Tag", limit: 20, .. }));
        assert_eq!(twenty.clone().with(&numbered(5, 9).unwrap()).unwrap(), twenty);
        let keys = |until: usize| RemovedTags::keys((0..until).map(|number| format!("k{number}")).collect());
        assert_eq!(keys(21), Err(InvalidTag::TooMany));
        assert!(twenty.without(&keys(20).unwrap()).is_empty());
    }

    #[test]
    fn tags_are_set_and_removed_by_their_keys() {
        let before = tags(&[("a", "1"), ("b", "2")]).unwrap();
        let set = before.clone().with(&tags(&[("b", "3"), ("c", "4")]).unwrap()).unwrap();
        assert_eq!(set, tags(&[("a", "1"), ("b", "3"), ("c", "4")]).unwrap());
        let removed = RemovedTags::keys(vec!["a".to_owned(), "none".to_owned(), "B".to_owned()]).unwrap();
        assert_eq!(set.clone().without(&removed), tags(&[("b", "3"), ("c", "4")]).unwrap());
        assert!(set.without(&RemovedTags::All).is_empty());
    }
}
