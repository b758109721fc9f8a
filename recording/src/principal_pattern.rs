//! Whose sessions are meant: `user:ana`, `group:ops-*`, `role:auditor`.

use std::fmt;
use std::str::FromStr;

/// What kind of name a pattern is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PrincipalKind {
    /// A user: of RAM where a signed call proves one, and otherwise of the operating system.
    User,
    /// A group of such a user.
    Group,
    /// A role of RAM. An operating system has none.
    Role,
}

impl PrincipalKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::User, Self::Group, Self::Role];

    /// The word before the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }
}

/// A kind of name, and a pattern that such a name fits: `*` is any run of characters, which may be empty, and `?` is exactly
/// one. Letters are compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrincipalPattern {
    kind: PrincipalKind,
    glob: String,
}

impl PrincipalPattern {
    /// How many characters the part behind the colon may have.
    pub const MAX_CHARACTERS: usize = 128;

    /// The kind of name.
    #[must_use]
    pub const fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// Whether a name of this kind fits.
    #[must_use]
    pub fn matches(&self, kind: PrincipalKind, name: &str) -> bool {
        self.kind == kind && fits(&self.glob, name)
    }
}

/// Neither a pattern nor a name of an operating system has one of these: they part a list, or could hide.
fn is_excluded(character: char) -> bool {
    matches!(character, ',' | ':') || character.is_whitespace() || crate::sanitise::is_unsafe(character)
}

impl FromStr for PrincipalPattern {
    type Err = InvalidPrincipalPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, glob) = text.split_once(':').ok_or(InvalidPrincipalPattern)?;
        let kind = PrincipalKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        let fits = (1..=Self::MAX_CHARACTERS).contains(&glob.chars().count()) && !glob.contains(is_excluded);
        let kind = kind.filter(|_| fits).ok_or(InvalidPrincipalPattern)?;
        Ok(Self { kind, glob: glob.to_owned() })
    }
}

impl fmt::Display for PrincipalPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.kind.as_str(), self.glob)
    }
}

/// The text is not a [`PrincipalPattern`]. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pattern is user:, group: or role: and 1 to 128 characters, without commas, colons and white space, such as user:ana or \
     group:ops-*"
)]
pub struct InvalidPrincipalPattern;

/// Each star is tried as short as possible, and only the last one is tried anew: an earlier star never has to take more,
/// because what it leaves over the later one can take too. The work is bounded by the product of the lengths.
fn fits(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Behind the last star, and what of the name it has not taken.
    let mut last_star = None;
    while read < name.len() {
        match glob.get(at) {
            Some('*') => {
                at += 1;
                last_star = Some((at, read));
            }
            Some(expected) if *expected == '?' || *expected == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((behind, taken)) = last_star else { return false };
                last_star = Some((behind, taken + 1));
                (at, read) = (behind, taken + 1);
            }
        }
    }
    glob[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> PrincipalPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_is_a_kind_and_a_glob() {
        for text in
            ["user:ana", "group:ops-*", "role:?", "user:DOMAIN\\ana", "user:ana@example.org", "group:ä"]
        {
            assert_eq!(pattern(text).to_string(), text);
        }
        let long = format!("user:{}", "a".repeat(PrincipalPattern::MAX_CHARACTERS));
        assert!(long.parse::<PrincipalPattern>().is_ok());
        assert!(format!("{long}a").parse::<PrincipalPattern>().is_err());
        for bad in [
            "",
            "*",
            "ana",
            "user",
            "user:",
            "User:ana",
            "users:a",
            " user:a",
            "user: a",
            "user:a,b",
            "user:a:b",
            "user:a\n",
            "user:\u{202e}a",
            "user:\u{a0}",
        ] {
            assert_eq!(bad.parse::<PrincipalPattern>(), Err(InvalidPrincipalPattern), "{bad:?}");
        }
    }

    #[test]
    fn only_names_of_its_kind_fit() {
        assert!(pattern("user:ana").matches(PrincipalKind::User, "ana"));
        assert!(!pattern("user:ana").matches(PrincipalKind::Group, "ana"));
        assert!(!pattern("user:ana").matches(PrincipalKind::User, "Ana"));
        assert!(!pattern("user:ana").matches(PrincipalKind::User, "anatol"));
    }

    #[test]
    fn stars_and_question_marks_are_wildcards() {
        for (glob, name) in [
            ("*", ""),
            ("*", "ana"),
            ("a*", "a"),
            ("*a*a", "banana"),
            ("a?a", "ana"),
            ("*?", "x"),
            ("*ab*ab", "abaabab"),
        ] {
            assert!(fits(glob, name), "{glob} {name}");
        }
        for (glob, name) in [("?", ""), ("a?a", "aa"), ("*b", "ba"), ("a*b", "acbc"), ("??*", "x"), ("a", "")]
        {
            assert!(!fits(glob, name), "{glob} {name}");
        }
    }

    #[test]
    fn a_pattern_of_stars_costs_no_more_than_its_length_times_that_of_the_name() {
        let glob = "*a".repeat(PrincipalPattern::MAX_CHARACTERS / 2);
        assert!(!fits(&format!("{glob}b"), &"a".repeat(10_000)));
    }

    /// Written as the rule says it, and slow.
    fn fits_by_definition(glob: &[char], name: &[char]) -> bool {
        match glob.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|taken| fits_by_definition(rest, &name[taken..])),
            Some((first, rest)) => name.split_first().is_some_and(|(read, left)| {
                (*first == '?' || first == read) && fits_by_definition(rest, left)
            }),
        }
    }

    proptest! {
        #[test]
        fn what_fits_is_what_the_definition_says(glob in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&glob, &name), fits_by_definition(&letters(&glob), &letters(&name)));
        }
    }
}
