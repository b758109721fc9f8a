//! What is known of a condition key.

use crate::values::ValueType;

/// Whether a request always carries a condition key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Every request carries it.
    Always,
    /// Some requests carry it.
    Sometimes,
}

/// What is known of a condition key that occurs in a policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyFacts<'a> {
    /// The name as documented; for a key that ends in a free name, the part before that name.
    pub(crate) name: &'a str,
    pub(crate) value_type: ValueType,
    pub(crate) presence: Presence,
    /// Whether one request may carry several values of it.
    pub(crate) several: bool,
    /// The actions whose requests carry it; `None` if they are not known.
    pub(crate) setters: Option<&'a [Box<str>]>,
}
