//! The compiled `Condition` block of a statement, and its evaluation.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::context::{Context, ContextValue};
use crate::glob::{Glob, LetterCase};
use crate::keys::{self, About};
use crate::memory::{Held, flat};
use crate::operators::{Operator, Relation};
use crate::values::{AddressBlock, Decimal, Instant, ValueType, parse_boolean};

/// A value of the request's context that the operator cannot read. The server builds the context, so this is a defect
/// of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize)]
#[error("the request's value of {key} is not {needs}")]
pub struct ConditionError {
    /// The condition key, as the policy spells it.
    #[serde(serialize_with = "as_text")]
    pub key: Arc<str>,
    /// The type that the operator needs.
    pub needs: ValueType,
}

/// Serde can serialize a shared text only with a feature that would be enabled for the whole workspace.
pub(crate) fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// The result of a condition block.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    Holds,
    Fails,
    /// No test failed, but at least this one could not be evaluated.
    Unreadable(&'a KeyTest),
}

/// All operators have to hold, and all keys of each.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Box<[KeyTest]>);

impl Conditions {
    pub(crate) fn new(tests: Vec<KeyTest>) -> Self {
        Self(tests.into())
    }

    pub(crate) fn tests(&self) -> &[KeyTest] {
        &self.0
    }

    pub(crate) fn evaluate(&self, context: &Context) -> Verdict<'_> {
        let mut verdict = Verdict::Holds;
        for test in &self.0 {
            match test.holds(context) {
                Some(true) => {}
                Some(false) => return Verdict::Fails,
                None => verdict = Verdict::Unreadable(test),
            }
        }
        verdict
    }

    /// Whether the block could hold for some resource. A test on the caller or the call has the same result for every
    /// resource; a test on anything else is assumed to be possibly true.
    pub(crate) fn could_hold_for_some_resource(&self, context: &Context) -> bool {
        !self.0.iter().any(|test| test.about == Some(About::Call) && test.holds(context) == Some(false))
    }
}

/// One key under one operator.
#[derive(Debug)]
pub(crate) struct KeyTest {
    spelled: Arc<str>,
    lower: Box<str>,
    about: Option<About>,
    operator: &'static Operator,
    /// The values as the policy spells them.
    values: Box<[Box<str>]>,
    wanted: Wanted,
}

/// The policy's values, parsed once.
#[derive(Debug)]
enum Wanted {
    /// Text: the values as they are spelled.
    Text(LetterCase),
    Like(Box<[Glob]>),
    Number(Relation, Box<[Decimal<Box<str>>]>),
    Instant(Relation, Box<[Instant]>),
    Boolean(bool),
    Address(Box<[AddressBlock]>),
}

impl KeyTest {
    /// Fails with the index of the first value that is not of the operator's type.
    pub(crate) fn new(operator: &'static Operator, key: &str, values: &[&str]) -> Result<Self, usize> {
        let relation = operator.relation;
        let wanted = match operator.value_type {
            ValueType::Text if relation == Relation::Like => {
                Wanted::Like(values.iter().map(|value| Glob::new(value, LetterCase::Exact)).collect())
            }
            ValueType::Text => Wanted::Text(operator.letters),
            ValueType::Number => {
                Wanted::Number(relation, read(values, |v| Decimal::parse(v).map(|decimal| decimal.owned()))?)
            }
            ValueType::Instant => Wanted::Instant(relation, read(values, Instant::parse)?),
            ValueType::Boolean => {
                Wanted::Boolean(read(values, parse_boolean)?.first().copied().ok_or(0usize)?)
            }
            ValueType::Address => Wanted::Address(read(values, AddressBlock::parse)?),
        };
        Ok(Self {
            spelled: key.into(),
            lower: key.to_ascii_lowercase().into(),
            about: keys::about(key),
            operator,
            values: values.iter().map(|value| (*value).into()).collect(),
            wanted,
        })
    }

    pub(crate) fn error(&self) -> ConditionError {
        ConditionError { key: Arc::clone(&self.spelled), needs: self.operator.value_type }
    }

    /// The key, as the policy spells it.
    pub(crate) fn key(&self) -> &str {
        &self.spelled
    }

    /// The key in lower case.
    pub(crate) fn lower_key(&self) -> &str {
        &self.lower
    }

    pub(crate) fn operator(&self) -> &'static Operator {
        self.operator
    }

    /// The values, as the policy spells them.
    pub(crate) fn values(&self) -> &[Box<str>] {
        &self.values
    }

    /// Whether the test holds; `None` if the request's value cannot be read. If the key is absent, a positive
    /// operator fails and a negated one holds. A Deny with NotIpAddress therefore also stops a caller without an
    /// address.
    pub(crate) fn holds(&self, context: &Context) -> Option<bool> {
        let mut fits = false;
        let mut unreadable = false;
        for value in context.values_of_lower(&self.lower) {
            match self.wanted.fits(&self.values, value) {
                Some(fit) => fits |= fit,
                None => unreadable = true,
            }
        }
        let negated = self.operator.negated;
        if fits { Some(!negated) } else { (!unreadable).then_some(negated) }
    }
}

fn read<'a, T>(values: &[&'a str], parse: impl Fn(&'a str) -> Option<T>) -> Result<Box<[T]>, usize> {
    values.iter().enumerate().map(|(index, value)| parse(value).ok_or(index)).collect()
}

impl Wanted {
    /// Whether one of the policy's values matches the request's value; `None` if the request's value cannot be read.
    fn fits(&self, spelled: &[Box<str>], value: &ContextValue) -> Option<bool> {
        Some(match self {
            Self::Text(LetterCase::Exact) => spelled.contains(&value.text),
            Self::Text(LetterCase::Folded) => {
                spelled.iter().any(|wanted| wanted.eq_ignore_ascii_case(&value.text))
            }
            Self::Like(globs) => globs.iter().any(|glob| glob.matches(&value.text)),
            Self::Number(relation, wanted) => {
                let found = Decimal::parse(&value.text)?;
                wanted.iter().any(|wanted| relation.accepts(found.compare(wanted)))
            }
            Self::Instant(relation, wanted) => {
                let found = value.instant?;
                wanted.iter().any(|wanted| relation.accepts(found.cmp(wanted)))
            }
            Self::Boolean(wanted) => parse_boolean(&value.text)? == *wanted,
            Self::Address(blocks) => {
                let found = value.address?;
                blocks.iter().any(|block| block.contains(found))
            }
        })
    }
}

impl Relation {
    /// Whether a request's value that compares with the policy's value like this satisfies the relation.
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering == Ordering::Less,
            Self::LessOrEqual => ordering != Ordering::Greater,
            Self::Greater => ordering == Ordering::Greater,
            Self::GreaterOrEqual => ordering != Ordering::Less,
            Self::Equal | Self::Like | Self::Within => ordering == Ordering::Equal,
        }
    }
}

impl Held for Conditions {
    fn held(&self) -> usize {
        self.0.held()
    }
}

impl Held for KeyTest {
    fn held(&self) -> usize {
        self.spelled.held() + self.lower.held() + self.values.held() + self.wanted.held()
    }
}

impl Held for Wanted {
    fn held(&self) -> usize {
        match self {
            Self::Text(_) | Self::Boolean(_) => 0,
            Self::Like(globs) => globs.held(),
            Self::Number(_, numbers) => numbers.held(),
            Self::Instant(_, instants) => flat(instants),
            Self::Address(blocks) => flat(blocks),
        }
    }
}
