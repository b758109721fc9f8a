//! What a deployment knows beside the language itself: its actions, what each is asked on, and its condition keys.
//!
//! This crate knows no product. Whoever does passes its table in, so that mis-spelt actions and keys are found.

use crate::action::{ActionName, ActionPattern};
use crate::key_facts::{KeyFacts, Presence};
use crate::keys;
use crate::resource::{InvalidResource, ResourcePattern};
use crate::values::ValueType;

/// The actions and condition keys of the products that a deployment serves.
#[derive(Debug, Default)]
pub struct Vocabulary {
    actions: Vec<KnownAction>,
    keys: Vec<KnownKey>,
}

/// An action that exists.
#[derive(Debug)]
pub(crate) struct KnownAction {
    pub(crate) name: Box<str>,
    /// It is asked on `*`.
    pub(crate) on_all: bool,
    /// The names that it is asked on.
    pub(crate) resources: Vec<ResourcePattern>,
}

#[derive(Debug)]
struct KnownKey {
    /// A name that ends in `/` stands for every key that begins with it.
    name: Box<str>,
    value_type: ValueType,
    presence: Presence,
    several: bool,
    /// The actions whose requests carry it; None where nothing is known of that.
    setters: Option<Box<[Box<str>]>>,
}

impl Vocabulary {
    /// Knows only what the language itself brings: the `acs:` keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an action, `<ram-code>:<action-name>`, with what it is asked on: `*`, resource patterns, or both.
    ///
    /// # Errors
    /// Refuses a text of `resources` that is no resource pattern.
    pub fn with_action(mut self, name: &str, resources: &[&str]) -> Result<Self, InvalidResource> {
        let mut action = KnownAction { name: name.into(), on_all: false, resources: Vec::new() };
        for resource in resources {
            if *resource == "*" {
                action.on_all = true;
            } else {
                action.resources.push(ResourcePattern::parse(resource)?);
            }
        }
        self.actions.push(action);
        Ok(self)
    }

    /// Adds a condition key of which a request carries one value at most. A name that ends in `/`, such as
    /// `ecs-workbench:InstanceTag/`, stands for all keys that begin with it. Of an `acs:` key, this says how it is with
    /// this deployment.
    #[must_use]
    pub fn with_key(self, name: &str, value_type: ValueType, presence: Presence) -> Self {
        self.with(name, value_type, presence, false)
    }

    /// Adds a condition key of which one request may carry several values, so that tests of it that no single value
    /// satisfies may hold together. Otherwise as [`Vocabulary::with_key`].
    #[must_use]
    pub fn with_key_of_several(self, name: &str, value_type: ValueType, presence: Presence) -> Self {
        self.with(name, value_type, presence, true)
    }

    fn with(mut self, name: &str, value_type: ValueType, presence: Presence, several: bool) -> Self {
        self.keys.push(KnownKey { name: name.into(), value_type, presence, several, setters: None });
        self
    }

    /// Says which actions set the condition key that was added last: requests for no other action carry it. Unless this
    /// is said, any action may.
    #[must_use]
    pub fn set_by<'a>(mut self, actions: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(key) = self.keys.last_mut() {
            key.setters = Some(actions.into_iter().map(Into::into).collect());
        }
        self
    }

    /// The known actions that fit a pattern, such as `ecs-workbench:List*`, in the order of the table.
    ///
    /// # Errors
    /// The pattern is neither `*` nor `<ram-code>:<action-name>`; the message says how to mend it.
    pub fn actions_that_fit(&self, pattern: &str) -> Result<Vec<&str>, String> {
        let pattern = ActionPattern::parse(pattern)?;
        let names = self.actions.iter().map(|action| &*action.name);
        Ok(names.filter(|name| pattern.matches(ActionName::split(name))).collect())
    }

    pub(crate) fn actions(&self) -> &[KnownAction] {
        &self.actions
    }

    /// Whether the table has actions of the service; letters compare without case.
    pub(crate) fn knows_service(&self, service: &str) -> bool {
        self.services().any(|known| known.eq_ignore_ascii_case(service))
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().filter_map(|action| action.name.split_once(':').map(|(service, _)| service))
    }

    pub(crate) fn key(&self, key: &str) -> Option<KeyFacts<'_>> {
        let own = self.keys.iter().map(|known| KeyFacts {
            name: &known.name,
            value_type: known.value_type,
            presence: known.presence,
            several: known.several,
            setters: known.setters.as_deref(),
        });
        own.chain(keys::facts()).find(|facts| keys::stands_for(facts.name, key))
    }

    /// Whether a request carries one value of the key at most. Of a key that nobody told of, nothing is known.
    pub(crate) fn has_one_value(&self, key: &str) -> bool {
        self.key(key).is_some_and(|facts| !facts.several)
    }

    /// The names of all keys of a prefix, for messages.
    pub(crate) fn keys_of(&self, prefix: &str) -> Vec<&str> {
        let of_prefix = |name: &str| {
            name.split_once(':').is_some_and(|(service, _)| service.eq_ignore_ascii_case(prefix))
        };
        self.keys.iter().map(|known| &*known.name).filter(|name| of_prefix(name)).collect()
    }
}
