use domain::identity::{BrokenRule, TaggableKind};
use domain::parameter::{Parameter, Refused, Shape, TextShape};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DoneReply;
use crate::operations::operations;
use crate::parameter_types::{NextToken, PageSize};
use crate::parameters::Parameters;

operations! {
    TagResources: TagResourcesRequest => DoneReply, [EntityNotExist, LimitExceeded];
    UntagResources: UntagResourcesRequest => DoneReply, [MissingParameter, EntityNotExist];
    ListTagResources: ListTagResourcesRequest => ListTagResourcesReply;
}

/// Sets tags of roles or of policies of the account: of all that are named, or of none. A key that is there already gets
/// the new value.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct TagResourcesRequest {
    /// `role` or `policy`.
    #[parameter(example = "role")]
    pub resource_type: TaggableKind,
    /// The names, at most 50: a JSON list, or `ResourceNames.1`, `ResourceNames.2` and so on.
    #[parameter(example = r#"["auditor"]"#)]
    pub resource_names: ResourceNames,
    /// The tags, at most 20: a JSON list of objects with `Key` and `Value`, or `Tag.1.Key`, `Tag.1.Value` and so on. A key
    /// has 1 to 128 characters and begins neither with `aliyun` nor with `acs:`; a value has at most 256 characters. Neither
    /// contains `http://` or `https://`.
    #[parameter(example = r#"[{"Key":"team","Value":"payments"}]"#)]
    pub tag: Tags,
}

/// Removes tags of roles or of policies of the account: of all that are named, or of none. Keys that are not there are no
/// error.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct UntagResourcesRequest {
    /// `role` or `policy`.
    #[parameter(example = "role")]
    pub resource_type: TaggableKind,
    /// The names, at most 50: a JSON list, or `ResourceNames.1`, `ResourceNames.2` and so on.
    #[parameter(example = r#"["auditor"]"#)]
    pub resource_names: ResourceNames,
    /// The keys of the tags to remove, at most 20: a JSON list, or `TagKeys.1`, `TagKeys.2` and so on. Mandatory unless All
    /// is true.
    #[parameter(example = r#"["team"]"#)]
    pub tag_keys: Option<TagKeys>,
    /// Whether all tags are removed. TagKeys is left out then.
    #[parameter(default = false)]
    pub all: Option<bool>,
}

/// Lists the tags of roles or of policies of the account, by name and key.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ListTagResourcesRequest {
    /// `role` or `policy`.
    #[parameter(example = "role")]
    pub resource_type: TaggableKind,
    /// Only those of these names, at most 50: a JSON list, or `ResourceNames.1`, `ResourceNames.2` and so on. Omitted: all.
    #[parameter(example = r#"["auditor"]"#)]
    pub resource_names: Option<ResourceNames>,
    /// Only those that have all of these tags, at most 20: a JSON list of objects with `Key`, and `Value` unless any value
    /// will do; or `Tag.1.Key`, `Tag.1.Value` and so on. All tags of what is found are listed.
    #[parameter(example = r#"[{"Key":"team"}]"#)]
    pub tag: Option<Tags>,
    /// Where the previous page ended, from its reply.
    pub next_token: Option<NextToken>,
    /// How many tags a page shows.
    #[parameter(default = 20)]
    pub page_size: Option<PageSize>,
}

/// A page of tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListTagResourcesReply {
    /// The call's id.
    pub request_id: String,
    /// Where this page ends; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_token: Option<String>,
    /// The tags of this page.
    pub tag_resources: Vec<TagResourceItem>,
}

/// A tag of a role or a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TagResourceItem {
    /// `role` or `policy`.
    #[schema(example = "role")]
    pub resource_type: String,
    /// The name of the role or policy.
    #[schema(example = "auditor")]
    pub resource_name: String,
    /// The tag's key.
    #[schema(example = "team")]
    pub tag_key: String,
    /// Its value.
    #[schema(example = "payments")]
    pub tag_value: String,
}

/// The tags of an entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TagList {
    /// The tags, by key.
    pub tag: Vec<TagItem>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TagItem {
    /// Its key.
    #[schema(example = "team")]
    pub tag_key: String,
    /// Its value.
    #[schema(example = "payments")]
    pub tag_value: String,
}

/// A tag in a list that a call gives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct GivenTag {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: Option<String>,
}

/// Declares lists that are one JSON text: `Name, the type of an item, the kinds of rules, the rule;`.
macro_rules! json_lists {
    ($( $(#[$doc:meta])* $name:ident, $item:ty, [$($breaks:ident),+], $rule:literal; )*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(Vec<$item>);

        impl $name {
            /// The items.
            #[must_use]
            pub fn into_items(self) -> Vec<$item> {
                self.0
            }
        }

        impl Parameter for $name {
            const BREAKS: &'static [BrokenRule] = &[$(BrokenRule::$breaks),+];

            fn shape() -> Shape {
                TextShape::json().into()
            }

            fn read(text: &str) -> Result<Self, Refused> {
                serde_json::from_str(text).map(Self).map_err(|_| Refused::value($rule))
            }
        }
    )* };
}

json_lists! {
    /// Tags. What a tag may be is checked once the call is allowed.
    Tags, GivenTag, [Value],
        "it must be a JSON list of objects with Key and Value, such as [{\"Key\":\"team\",\"Value\":\"a\"}]";
    /// Keys of tags.
    TagKeys, String, [Value], "it must be a JSON list of texts, such as [\"team\"]";
    /// Names of roles or of policies. Which rules they obey depends on the kind of what is named.
    ResourceNames, String, [Value, Characters, Length], "it must be a JSON list of names, such as [\"auditor\"]";
}
