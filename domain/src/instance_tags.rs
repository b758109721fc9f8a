//! Tags of instances: what an administrator says about an instance, for conditions of policies
//! (`acs:ResourceTag/<key>`, and `ecs-workbench:InstanceTag/<key>` as its other name).

use std::collections::BTreeMap;

use crate::identity::{BrokenRule, InvalidName};

/// How many tags an instance may have.
pub const MAX_TAGS: usize = 20;

const MAX_CHARACTERS: usize = 128;

/// The key of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagKey(String);

impl TagKey {
    /// Checks the rule.
    ///
    /// # Errors
    /// [`InvalidName`] says what is allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let fits = (1..=MAX_CHARACTERS).contains(&text.chars().count())
            && text.trim() == text
            && !text.contains(|c: char| c.is_control() || c == '=');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                kind: "TagKey",
                rule: "1 to 128 characters without '=', control characters, and blanks at either end",
                broken: BrokenRule::Value,
            })
        }
    }

    /// The key as it is spelled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Condition keys compare without case, so two keys that differ in case only are one.
    fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl std::str::FromStr for TagKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

/// The value of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagValue(String);

impl TagValue {
    /// Checks the rule.
    ///
    /// # Errors
    /// [`InvalidName`] says what is allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.chars().count() <= MAX_CHARACTERS && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                kind: "TagValue",
                rule: "0 to 128 characters without control characters",
                broken: BrokenRule::Value,
            })
        }
    }

    /// The value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for TagValue {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }
}

/// All tags of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceTags(BTreeMap<String, (TagKey, TagValue)>);

/// An instance cannot have more tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instance has at most {MAX_TAGS} tags; remove one first")]
pub struct TooManyTags;

impl InstanceTags {
    /// Puts tags together, as they are stored; of keys that differ in case only, the last counts.
    #[must_use]
    pub fn of(tags: impl IntoIterator<Item = (TagKey, TagValue)>) -> Self {
        Self(tags.into_iter().map(|(key, value)| (key.folded(), (key, value))).collect())
    }

    /// Removes some, then sets some. What is not there is removed already.
    ///
    /// # Errors
    /// [`TooManyTags`]; they stay as they were.
    pub fn changed(
        &self,
        remove: &[TagKey],
        set: impl IntoIterator<Item = (TagKey, TagValue)>,
    ) -> Result<Self, TooManyTags> {
        let mut tags = self.0.clone();
        for key in remove {
            tags.remove(&key.folded());
        }
        tags.extend(set.into_iter().map(|(key, value)| (key.folded(), (key, value))));
        if tags.len() <= MAX_TAGS { Ok(Self(tags)) } else { Err(TooManyTags) }
    }

    /// Keys with their values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&TagKey, &TagValue)> {
        self.0.values().map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> TagKey {
        TagKey::parse(text).unwrap()
    }

    fn value(text: &str) -> TagValue {
        TagValue::parse(text).unwrap()
    }

    fn shown(tags: &InstanceTags) -> Vec<(&str, &str)> {
        tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    #[test]
    fn a_key_in_another_case_is_the_same_key() {
        let tags = InstanceTags::of([(key("Env"), value("prod")), (key("team"), value("a"))]);
        let changed = tags.changed(&[key("TEAM"), key("none")], [(key("env"), value("test"))]).unwrap();
        assert_eq!(shown(&changed), [("env", "test")]);
        assert_eq!(shown(&tags), [("Env", "prod"), ("team", "a")]);
    }

    #[test]
    fn there_is_room_for_twenty() {
        let twenty = (0..20).map(|number| (key(&number.to_string()), value("")));
        let tags = InstanceTags::default().changed(&[], twenty).unwrap();
        assert_eq!(tags.changed(&[], [(key("x"), value(""))]), Err(TooManyTags));
        assert!(tags.changed(&[key("0")], [(key("x"), value(""))]).is_ok());
        assert!(tags.changed(&[], [(key("0"), value("new"))]).is_ok());
    }

    #[test]
    fn what_no_policy_could_name_is_refused() {
        for bad in ["", " a", "a ", "a=b", "a\nb", &"x".repeat(129)] {
            assert!(TagKey::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "cost centre", "a/b:c", &"é".repeat(128)] {
            assert!(TagKey::parse(good).is_ok(), "{good:?}");
            let text = format!(
                r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*",
                    "Condition":{{"StringEquals":{{"ecs-workbench:InstanceTag/{good}":"x"}}}}}}]}}"#
            );
            policies::PolicyDocument::parse(text.as_bytes(), policies::DocumentKind::Identity).unwrap();
        }
        assert!(TagValue::parse(&"x".repeat(129)).is_err() && TagValue::parse("a\u{0}").is_err());
        assert!(TagValue::parse("").is_ok() && TagValue::parse("a = b ").is_ok());
    }
}
