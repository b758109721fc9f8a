//! The condition keys that policies of this deployment may ask for: one table, the vendor's published `acs:` keys
//! included, each with the actions that set it. The linter warns of a key that no action of a statement sets, and
//! `docs/policies.md` shows the table.

use policies::{Presence, ValueType, keys};

use super::{ELSEWHERE, answered};
use crate::actions::Form;
use crate::condition_keys as workbench;

/// A condition key.
#[derive(Debug, Clone, Copy)]
pub struct ConditionKey {
    /// Its name. One that ends in `/` stands for all that begin with it.
    pub name: &'static str,
    /// What its values are.
    pub value_type: ValueType,
    /// Whether one request may carry several values of it.
    pub several: bool,
    /// Which requests carry it.
    pub set_by: SetBy,
}

/// Which requests carry a condition key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetBy {
    /// Every request, whichever product answers it.
    EveryRequest,
    /// Requests of every product, where the value is known.
    RequestsWhereKnown,
    /// Every call that this deployment answers.
    EveryCall,
    /// Calls that this deployment answers, where the caller says it.
    CallsThatSayIt,
    /// Calls about one instance, and the rows of lists of instances.
    CallsAboutAnInstance,
    /// These actions.
    Actions(&'static [&'static str]),
    /// No request here: other products of the vendor set it.
    Nothing,
}

impl SetBy {
    /// In words, for tables.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::EveryRequest => "every request".to_owned(),
            Self::RequestsWhereKnown => "every request, where it is known".to_owned(),
            Self::EveryCall => "every call of this deployment".to_owned(),
            Self::CallsThatSayIt => "calls of this deployment that say it".to_owned(),
            Self::CallsAboutAnInstance => "calls about an instance".to_owned(),
            Self::Actions(actions) => {
                actions.iter().map(|action| format!("`{action}`")).collect::<Vec<_>>().join(", ")
            }
            Self::Nothing => "nothing here".to_owned(),
        }
    }

    /// The actions; none where it is a matter of no action.
    #[must_use]
    pub fn actions(self) -> Option<Vec<String>> {
        match self {
            Self::EveryRequest | Self::RequestsWhereKnown => None,
            Self::EveryCall | Self::CallsThatSayIt => Some(answered().map(|(action, _)| action).collect()),
            Self::CallsAboutAnInstance => {
                let here = answered().filter(|(_, asked)| asked.forms().any(|form| form == Form::Instance));
                let elsewhere = ELSEWHERE.iter().filter(|(_, form)| *form == Form::Instance);
                let elsewhere = elsewhere.map(|(action, _)| (*action).to_owned());
                Some(here.map(|(action, _)| action).chain(elsewhere).collect())
            }
            Self::Actions(actions) => Some(actions.iter().map(|action| (*action).to_owned()).collect()),
            Self::Nothing => Some(Vec::new()),
        }
    }

    pub(super) fn presence(self) -> Presence {
        if self == Self::EveryRequest { Presence::Always } else { Presence::Sometimes }
    }
}

/// The actions about recordings; the last is the vendor's and not answered here.
const ABOUT_RECORDINGS: SetBy = SetBy::Actions(&[
    "ecs-workbench:ListInstanceRecords",
    "ecs-workbench:ViewInstanceRecords",
    "ecs-workbench:ListTerminalCommands",
]);

const fn key(name: &'static str, value_type: ValueType, set_by: SetBy) -> ConditionKey {
    ConditionKey { name, value_type, several: false, set_by }
}

/// The table.
pub const CONDITION_KEYS: &[ConditionKey] = &[
    key(keys::CURRENT_TIME, ValueType::Instant, SetBy::EveryRequest),
    key(keys::SECURE_TRANSPORT, ValueType::Boolean, SetBy::EveryRequest),
    key(keys::MFA_PRESENT, ValueType::Boolean, SetBy::EveryRequest),
    key(keys::PRINCIPAL_ARN, ValueType::Text, SetBy::EveryRequest),
    key(keys::SOURCE_IP, ValueType::Address, SetBy::RequestsWhereKnown),
    key(keys::ACCESS_ID, ValueType::Text, SetBy::EveryCall),
    key(keys::USER_AGENT, ValueType::Text, SetBy::CallsThatSayIt),
    key(keys::RESOURCE_TAG, ValueType::Text, SetBy::CallsAboutAnInstance),
    key(keys::REQUEST_TAG, ValueType::Text, SetBy::Nothing),
    key(keys::PRINCIPAL_RD_ID, ValueType::Text, SetBy::Nothing),
    key(keys::PRINCIPAL_RD_PATH, ValueType::Text, SetBy::Nothing),
    key(keys::SOURCE_VPC, ValueType::Text, SetBy::Nothing),
    key(workbench::INSTANCE_TAG, ValueType::Text, SetBy::CallsAboutAnInstance),
    // The owner's ARN, and that it is oneself.
    ConditionKey { several: true, ..key(workbench::SESSION_OWNER, ValueType::Text, ABOUT_RECORDINGS) },
    key(workbench::RECORDING_AGE, ValueType::Number, ABOUT_RECORDINGS),
    key(workbench::CAPTURE_KIND, ValueType::Text, ABOUT_RECORDINGS),
    key(workbench::EXTERNAL_ID, ValueType::Text, SetBy::Actions(&["sts:AssumeRole"])),
    key(workbench::SOURCE_IDENTITY, ValueType::Text, SetBy::Actions(&["sts:AssumeRole"])),
    key("ram:ServiceName", ValueType::Text, SetBy::Actions(&["ram:CreateServiceLinkedRole"])),
];

/// A condition key in the spelling of the table, whatever the case of its letters; of a tag, the tag's key stays as it
/// is.
#[must_use]
pub fn spelled(key: &str) -> String {
    let begins = |known: &&ConditionKey| {
        let start = key.get(..known.name.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(known.name) && (start.len() == key.len()) != known.name.ends_with('/')
    };
    match CONDITION_KEYS.iter().find(begins) {
        Some(known) => format!("{}{}", known.name, &key[known.name.len()..]),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::{CATALOGUE, Door};

    #[test]
    fn the_published_keys_all_stand_in_the_table_with_their_types() {
        let mut published: Vec<_> = keys::published().collect();
        let ours = CONDITION_KEYS.iter().filter(|key| key.name.starts_with("acs:"));
        let mut ours: Vec<_> = ours.map(|key| (key.name, key.value_type)).collect();
        published.sort_unstable_by_key(|(name, _)| *name);
        ours.sort_unstable_by_key(|(name, _)| *name);
        assert_eq!(ours, published);
    }

    #[test]
    fn every_named_action_is_known() {
        let elsewhere = ELSEWHERE.iter().map(|(action, _)| (*action).to_owned());
        let known: Vec<String> = answered().map(|(action, _)| action).chain(elsewhere).collect();
        for key in CONDITION_KEYS {
            for action in key.set_by.actions().unwrap_or_default() {
                assert!(known.contains(&action), "{}: {action}", key.name);
            }
        }
        let every_call = SetBy::EveryCall.actions().unwrap();
        assert_eq!(every_call.len(), CATALOGUE.iter().filter(|entry| entry.door == Door::Wire).count());
    }

    #[test]
    fn keys_are_spelled_as_in_the_table() {
        assert_eq!(spelled("acs:accessid"), "acs:AccessId");
        assert_eq!(spelled("acs:resourcetag/Env"), "acs:ResourceTag/Env");
        assert_eq!(spelled("ecs-workbench:instancetag/a/b"), "ecs-workbench:InstanceTag/a/b");
        assert_eq!(spelled("acs:resourcetag/"), "acs:resourcetag/");
        assert_eq!(spelled("oss:é"), "oss:é");
    }
}
