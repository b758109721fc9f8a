//! What names and tags of a call mean.

use domain::gate::Resource;
use domain::identity::{EntityTags, InvalidTag, TagFilter, Taggable, TaggableKind};
use domain::parameter::Parameter;
use openapi::error_codes::WireError;
use openapi::parameters::refused_as;
use openapi::ram::{GivenTag, ResourceNames, TagItem, TagKeys, TagList, Tags};

use crate::dispatch::{Deferred, Located};

/// How many roles or policies one call may name.
const MOST_NAMES: usize = 50;
const RESOURCE_NAMES: &str = "ResourceNames";

/// The tags that something gets. A tag without a value has an empty one.
pub(in crate::actions::ram) fn tags(given: Option<Tags>) -> Deferred<EntityTags> {
    let pairs = items(given).into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default()));
    EntityTags::new(pairs).map_err(|why| broken(&why))
}

/// The tags that what is listed must have.
pub(in crate::actions::ram) fn filter(given: Option<Tags>) -> Deferred<TagFilter> {
    let pairs = items(given).into_iter().map(|tag| (tag.key, tag.value));
    TagFilter::new(pairs.collect()).map_err(|why| broken(&why))
}

fn items(given: Option<Tags>) -> Vec<GivenTag> {
    given.map(Tags::into_items).unwrap_or_default()
}

fn broken(why: &InvalidTag) -> WireError {
    WireError::invalid("Tag", why)
}

/// The keys of tags.
pub(super) fn keys(given: Option<TagKeys>) -> Option<Vec<String>> {
    given.map(TagKeys::into_items).filter(|keys| !keys.is_empty())
}

/// The roles or policies that are named: at least one.
pub(super) fn things(kind: TaggableKind, given: ResourceNames) -> Result<Vec<Taggable>, WireError> {
    things_if_any(kind, given)?.ok_or_else(|| WireError::missing(RESOURCE_NAMES))
}

/// The roles or policies that are named. SDKs send an empty list for one that their caller left out.
pub(super) fn things_if_any(
    kind: TaggableKind,
    given: ResourceNames,
) -> Result<Option<Vec<Taggable>>, WireError> {
    let names = given.into_items();
    if names.is_empty() {
        return Ok(None);
    }
    if names.len() > MOST_NAMES {
        return Err(WireError::invalid(RESOURCE_NAMES, "it may have at most 50 names"));
    }
    let mut things = Vec::new();
    for text in &names {
        let thing = match kind {
            TaggableKind::Role => Taggable::Role(name(text)?),
            TaggableKind::Policy => Taggable::Policy(name(text)?),
        };
        if things.contains(&thing) {
            return Err(WireError::invalid(RESOURCE_NAMES, "each name may stand once"));
        }
        things.push(thing);
    }
    Ok(Some(things))
}

/// A name. The refusal of the list says which kind of rule it breaks.
fn name<T: Parameter>(text: &str) -> Result<T, WireError> {
    T::read(text).map_err(|refused| refused_as(RESOURCE_NAMES, &refused))
}

/// As a call about them is located: every one of them must be allowed.
pub(super) fn located(things: &[Taggable]) -> Located {
    Resource::Identity(things.iter().map(Taggable::resource).collect()).into()
}

/// The tags of an entry of a list.
pub(in crate::actions::ram) fn shown(tags: &EntityTags) -> TagList {
    let item = |(key, value): (&str, &str)| TagItem { tag_key: key.to_owned(), tag_value: value.to_owned() };
    TagList { tag: tags.iter().map(item).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_one_json_list() {
        let read = |text: &str| Tags::read(text).map(|given| tags(Some(given)).unwrap()).ok();
        let both = read(r#"[{"Key":"a","Value":"1"},{"Key":"b"}]"#).unwrap();
        assert_eq!(both.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "")]);
        assert!(read("[]").unwrap().is_empty() && tags(None).unwrap().is_empty());
        for bad in
            ["", "[1]", "{}", "a", r#"[{"Value":"1"}]"#, r#"[{"Key":"a","Val":"1"}]"#, r#"[{"Key":1}]"#]
        {
            assert!(read(bad).is_none(), "{bad}");
        }
        // What a tag may be only a caller learns who may set one.
        let told = tags(Some(Tags::read(r#"[{"Key":"acs:a"}]"#).unwrap())).unwrap_err();
        assert_eq!(told.code_text(), "InvalidTag");
    }

    #[test]
    fn names_stand_once_and_obey_the_rules_of_their_kind() {
        let names = |text: &str| ResourceNames::read(text).unwrap();
        let role = |text: &str| things(TaggableKind::Role, names(text)).map_err(|error| error.code_text());
        assert_eq!(role(r#"["a","b.c"]"#).unwrap().len(), 2);
        assert_eq!(role("[]").unwrap_err(), "MissingResourceNames");
        assert_eq!(things_if_any(TaggableKind::Role, names("[]")), Ok(None));
        assert_eq!(role(r#"["a","a"]"#).unwrap_err(), "InvalidResourceNames");
        for bad in [r#"["a b"]"#, r#"[""]"#] {
            assert!(role(bad).is_err(), "{bad}");
        }
        for bad in ["a", "[1]"] {
            assert!(ResourceNames::read(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..51).map(|number| format!("r{number}")).collect();
        assert!(role(&serde_json::to_string(&many[..50]).unwrap()).is_ok());
        assert!(role(&serde_json::to_string(&many).unwrap()).is_err());
        assert!(things(TaggableKind::Policy, names(r#"["a.b"]"#)).is_err(), "a policy's name has no dot");
    }
}
