//! Types of parameters that have a rule and no meaning of their own. What has one is a type of `domain`.

use std::fmt;
use std::marker::PhantomData;

use domain::identity::BrokenRule;
use domain::parameter::{Parameter, Refused, Shape, TextShape, whole_number};

/// A whole number of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeNumber<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> WholeNumber<LEAST, MOST> {
    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const LEAST: u32, const MOST: u32> Parameter for WholeNumber<LEAST, MOST> {
    fn shape() -> Shape {
        Shape::whole_number(LEAST.into()..=MOST.into())
    }

    fn read(text: &str) -> Result<Self, Refused> {
        let number = whole_number(text, LEAST.into()..=MOST.into(), "")?;
        let number = u32::try_from(number).map_err(|_| Refused::value("it must be a whole number"))?;
        Ok(Self(number))
    }
}

/// The number of a page, from 1. The wire's numbers are 32 bits wide.
pub type PageNumber = WholeNumber<1, { i32::MAX as u32 }>;
/// How many entries a page shows.
pub type PageSize = WholeNumber<1, 100>;
/// How many entries a page of a list by name shows.
pub type MaxItems = WholeNumber<1, 1_000>;

/// A text whose type checks nothing yet: it is read when the action asks for it, because it is long, or because what it
/// means depends on who calls. It says what texts `T` is read from.
pub struct Written<T> {
    text: String,
    read_as: PhantomData<fn() -> T>,
}

impl<T> Written<T> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<T: Parameter> Written<T> {
    /// What the text means.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn meaning(&self) -> Result<T, Refused> {
        T::read(&self.text)
    }
}

impl<T: Parameter> Parameter for Written<T> {
    const BREAKS: &'static [BrokenRule] = T::BREAKS;

    fn shape() -> Shape {
        T::shape()
    }

    fn read(text: &str) -> Result<Self, Refused> {
        Ok(Self { text: text.to_owned(), read_as: PhantomData })
    }

    fn check(text: &str) -> Result<(), Refused> {
        T::check(text)
    }
}

impl<T> Clone for Written<T> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), read_as: PhantomData }
    }
}

impl<T> PartialEq for Written<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Written<T> {}

// Such a text can be long, and nobody needs it in a log.
impl<T> fmt::Debug for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}

impl<T> From<Written<T>> for String {
    fn from(written: Written<T>) -> Self {
        written.text
    }
}

/// Declares texts that have a rule: `Name, its shape, the kinds of rules, its check;`.
macro_rules! texts {
    ($( $(#[$doc:meta])* $name:ident, $shape:expr, [$($breaks:ident),+], $check:expr; )*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl domain::parameter::Parameter for $name {
            const BREAKS: &'static [domain::identity::BrokenRule] =
                &[$(domain::identity::BrokenRule::$breaks),+];

            fn shape() -> domain::parameter::Shape {
                $shape.into()
            }

            fn read(text: &str) -> Result<Self, domain::parameter::Refused> {
                let check: fn(&str) -> Result<(), domain::parameter::Refused> = $check;
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }
    )* };
}

/// Declares texts that have only a length, which their own shape checks: `Name, its shape, the kind of rule, the rule;`.
macro_rules! texts_of_a_length {
    ($( $(#[$doc:meta])* $name:ident, $shape:expr, $breaks:ident, $rule:literal; )*) => {
        $crate::parameter_types::texts! { $(
            $(#[$doc])*
            $name, $shape, [$breaks], |text| {
                if $shape.has_length(text) {
                    Ok(())
                } else {
                    Err(domain::parameter::Refused::new(domain::identity::BrokenRule::$breaks, $rule))
                }
            };
        )* }
    };
}

/// Declares parameters that are accepted only with the value that they have when they are omitted, because what they ask
/// for is not there: `Name, the accepted texts, the check of a text, the rule;`.
macro_rules! not_supported {
    ($( $(#[$doc:meta])* $name:ident, $shape:expr, $accepts:expr, $rule:literal; )*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl domain::parameter::Parameter for $name {
            fn shape() -> domain::parameter::Shape {
                $shape
            }

            fn read(text: &str) -> Result<Self, domain::parameter::Refused> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self) } else { Err(domain::parameter::Refused::value($rule)) }
            }
        }
    )* };
}

pub(crate) use {not_supported, texts, texts_of_a_length};

texts! {
    /// A text for which there is no rule but the limit of a whole request.
    AnyText, TextShape::default(), [Value], |_| Ok(());
}

texts_of_a_length! {
    /// A region that is recorded and otherwise ignored.
    IgnoredRegion, TextShape::of_length(0..=128), Value, "it must have at most 128 characters";
    /// Where an earlier page ended.
    NextToken, TextShape::of_length(1..=512), Value, "it must be the NextToken of an earlier reply";
    /// Where an earlier page of a list by name ended.
    Marker, TextShape::of_length(1..=512), Value, "it must be the Marker of an earlier reply";
}
