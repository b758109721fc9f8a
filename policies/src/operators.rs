//! The names of the condition operators, and what to tell authors who bring one from elsewhere.

use crate::glob::LetterCase;
use crate::values::ValueType;

/// How an operator relates the request's value to the policy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Like,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Within,
}

/// A condition operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) name: &'static str,
    pub(crate) value_type: ValueType,
    pub(crate) relation: Relation,
    pub(crate) letters: LetterCase,
    /// True only if none of the values fits.
    pub(crate) negated: bool,
}

const fn operator(name: &'static str, value_type: ValueType, relation: Relation, negated: bool) -> Operator {
    Operator { name, value_type, relation, letters: LetterCase::Exact, negated }
}

const fn folded(name: &'static str, negated: bool) -> Operator {
    Operator {
        name,
        value_type: ValueType::Text,
        relation: Relation::Equal,
        letters: LetterCase::Folded,
        negated,
    }
}

/// The complete published list. There is no other operator, and names are exact.
pub(crate) const OPERATORS: [Operator; 21] = [
    operator("StringEquals", ValueType::Text, Relation::Equal, false),
    operator("StringNotEquals", ValueType::Text, Relation::Equal, true),
    folded("StringEqualsIgnoreCase", false),
    folded("StringNotEqualsIgnoreCase", true),
    operator("StringLike", ValueType::Text, Relation::Like, false),
    operator("StringNotLike", ValueType::Text, Relation::Like, true),
    operator("NumericEquals", ValueType::Number, Relation::Equal, false),
    operator("NumericNotEquals", ValueType::Number, Relation::Equal, true),
    operator("NumericLessThan", ValueType::Number, Relation::Less, false),
    operator("NumericLessThanEquals", ValueType::Number, Relation::LessOrEqual, false),
    operator("NumericGreaterThan", ValueType::Number, Relation::Greater, false),
    operator("NumericGreaterThanEquals", ValueType::Number, Relation::GreaterOrEqual, false),
    operator("DateEquals", ValueType::Instant, Relation::Equal, false),
    operator("DateNotEquals", ValueType::Instant, Relation::Equal, true),
    operator("DateLessThan", ValueType::Instant, Relation::Less, false),
    operator("DateLessThanEquals", ValueType::Instant, Relation::LessOrEqual, false),
    operator("DateGreaterThan", ValueType::Instant, Relation::Greater, false),
    operator("DateGreaterThanEquals", ValueType::Instant, Relation::GreaterOrEqual, false),
    operator("Bool", ValueType::Boolean, Relation::Equal, false),
    operator("IpAddress", ValueType::Address, Relation::Within, false),
    operator("NotIpAddress", ValueType::Address, Relation::Within, true),
];

pub(crate) fn named(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.name == name)
}

/// What to say about a name that is no operator.
pub(crate) fn hint_for_unknown(name: &str) -> String {
    if let Some(meant) = OPERATORS.iter().find(|operator| operator.name.eq_ignore_ascii_case(name)) {
        return format!("operator names are exact; write {}", meant.name);
    }
    if let Some(plain) = name.strip_suffix("IfExists") {
        return format!(
            "RAM has no IfExists; write {plain} (a positive operator is false when the key is absent, a Not operator is true)"
        );
    }
    if let Some((_, plain)) =
        name.split_once(':').filter(|(set, _)| matches!(*set, "ForAnyValue" | "ForAllValues"))
    {
        return format!("RAM has no set operators; write {plain} (any of the request's values may fit)");
    }
    if name == "Null" {
        return "RAM has no Null; a positive operator is false when its key is absent, a Not operator is true".to_owned();
    }
    if let Some(rest) = name.strip_prefix("Arn") {
        let like = if rest.contains("Not") { "StringNotLike" } else { "StringLike" };
        return format!("RAM has no Arn operators; write {like}");
    }
    if name.starts_with("Binary") {
        return "RAM has no Binary operators; compare text with StringEquals".to_owned();
    }
    let names: Vec<&str> = OPERATORS.iter().map(|operator| operator.name).collect();
    format!("use one of {}", names.join(", "))
}
