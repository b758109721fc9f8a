//! Parameters that are lists: one JSON text, as the vendor's SDKs send them, or given item by item, as other clients do.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::error_codes::WireError;

/// The parameters that are lists.
const LISTS: [&str; 4] = ["RecordedPrincipals", "ResourceNames", "Tag", "TagKeys"];
/// The greatest number that an item of a list may have.
const MOST_ITEMS: usize = 1_000;

/// The list whose item a parameter is, if it is one: `Tag` of `Tag.1.Key`.
#[must_use]
pub fn list_of(parameter: &str) -> Option<&'static str> {
    item_of(parameter).map(|(list, ..)| list)
}

/// The list, the number, and of an object the field.
fn item_of(parameter: &str) -> Option<(&'static str, usize, Option<&str>)> {
    let (list, item) = parameter.split_once('.')?;
    let list = LISTS.into_iter().find(|known| *known == list)?;
    let (number, field) = match item.split_once('.') {
        Some((number, field)) => (number, Some(field)),
        None => (item, None),
    };
    // One way to write each number, so that no item can stand twice.
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let number = number.parse().ok().filter(|number| is_plain && (1..=MOST_ITEMS).contains(number))?;
    Some((list, number, field))
}

/// With each list of an action that is given item by item (`Tag.1.Key`, `TagKeys.1`) as one JSON text. One that is given in
/// both ways is refused, because half of it would be ignored. An item that is empty was not given, as elsewhere.
/// `is_known` says whether the action has a parameter.
pub(crate) fn with_lists(
    parameters: &BTreeMap<String, String>,
    is_known: impl Fn(&str) -> bool,
) -> Result<Cow<'_, BTreeMap<String, String>>, WireError> {
    let mut lists: BTreeMap<&str, BTreeMap<usize, serde_json::Value>> = BTreeMap::new();
    for (name, text) in parameters {
        let Some((list, number, field)) = item_of(name) else { continue };
        if text.is_empty() || !is_known(list) {
            continue;
        }
        let items = lists.entry(list).or_default();
        match field {
            None => drop(items.insert(number, text.as_str().into())),
            Some(field) => {
                let item =
                    items.entry(number).or_insert_with(|| serde_json::Value::Object(Default::default()));
                match item.as_object_mut() {
                    Some(object) => drop(object.insert(field.to_owned(), text.as_str().into())),
                    None => {
                        return Err(WireError::invalid(list, "an item is a text or has fields, not both"));
                    }
                }
            }
        }
    }
    if lists.is_empty() {
        return Ok(Cow::Borrowed(parameters));
    }
    let mut joined = parameters.clone();
    for (list, items) in lists {
        let json = serde_json::Value::Array(items.into_values().collect()).to_string();
        if joined.insert(list.to_owned(), json).is_some_and(|text| !text.is_empty()) {
            return Err(WireError::invalid(list, "it is one JSON list, or given item by item, not both"));
        }
    }
    Ok(Cow::Owned(joined))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::read;

    #[test]
    fn a_list_is_one_text_or_given_item_by_item() {
        use crate::ram::TagResourcesRequest;

        let tagging = |pairs: &[(&str, &str)]| {
            let all = [&[("ResourceType", "role"), ("ResourceNames", "[\"a\"]")], pairs].concat();
            let all = all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            read::<TagResourcesRequest>(&all).map(|asked| asked.tag)
        };
        let items = [("Tag.2.Key", "b"), ("Tag.10.Key", "c"), ("Tag.1.Value", "1"), ("Tag.1.Key", "a")];
        let json = r#"[{"Key":"a","Value":"1"},{"Key":"b"},{"Key":"c"}]"#;
        assert_eq!(tagging(&items), tagging(&[("Tag", json)]));
        let one = tagging(&[("Tag", r#"[{"Key":"a"}]"#)]);
        assert_eq!(tagging(&[("Tag", ""), ("Tag.1.Key", "a")]), one);
        for both in [&[("Tag", json), ("Tag.1.Key", "a")], &[("Tag.1", "x"), ("Tag.1.Key", "a")]] {
            assert_eq!(tagging(both).unwrap_err().code_text(), "InvalidTag", "{both:?}");
        }
        let without_value = r#"[{"Key":"a"}]"#;
        assert_eq!(tagging(&[("Tag.1.Key", "a"), ("Tag.1.Value", "")]), tagging(&[("Tag", without_value)]));
        let other_action = [("UserName", "ana"), ("Tag", json), ("Tag.1.Key", "a")];
        let other_action = other_action.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        assert!(read::<crate::ram::GetUserRequest>(&other_action).is_ok(), "it knows no tags");
        for other in [
            "Tag.0.Key",
            "Tag.01.Key",
            "Tag.+1.Key",
            "Tag.1001.Key",
            "Tag.x.Key",
            "tag.1.Key",
            "Other.1",
            "Tag",
        ] {
            assert_eq!(list_of(other), None, "{other}");
            if other != "Tag" {
                assert_eq!(tagging(&[(other, "a")]).unwrap_err().code_text(), "MissingTag", "{other}");
            }
        }
        assert_eq!(list_of("TagKeys.1"), Some("TagKeys"));
    }
}
