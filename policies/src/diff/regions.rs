//! The classes of texts that a list of patterns can tell apart, each with an example.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use crate::glob::{Glob, LetterCase};

/// The number of steps that a comparison has used, against its maximum.
pub(super) struct Budget {
    left: usize,
}

/// The steps are used up. The field says what was being counted.
#[derive(Debug)]
pub(super) struct TooLarge(pub(super) &'static str);

impl Budget {
    pub(super) fn new(steps: usize) -> Self {
        Self { left: steps }
    }

    pub(super) fn spend(&mut self, steps: usize, on: &'static str) -> Result<(), TooLarge> {
        self.left = self.left.checked_sub(steps.max(1)).ok_or(TooLarge(on))?;
        Ok(())
    }
}

/// A set of indices.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    pub(super) fn none(places: usize) -> Self {
        Self(vec![0; places.div_ceil(64)].into())
    }

    pub(super) fn of(places: usize, is_in: impl Fn(usize) -> bool) -> Self {
        let mut bits = Self::none(places);
        (0..places).filter(|place| is_in(*place)).for_each(|place| bits.add(place));
        bits
    }

    pub(super) fn add(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.0[place / 64] & (1 << (place % 64)) != 0
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(left, right)| left & right).collect())
    }

    pub(super) fn words(&self) -> usize {
        self.0.len()
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let mut left = *bits;
            std::iter::from_fn(move || {
                let place = (left != 0).then(|| word * 64 + left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(place)
            })
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Any run of characters.
    Run,
    /// Any character.
    One,
    This(char),
}

/// A pattern over texts.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
    folded: bool,
}

impl Pattern {
    pub(super) fn any() -> Self {
        Self { tokens: vec![Token::Run], folded: false }
    }

    pub(super) fn glob(glob: &Glob, letters: LetterCase) -> Self {
        Self::wildcards(glob.source(), letters)
    }

    /// A text in which `*` and `?` are wildcards.
    pub(super) fn wildcards(text: &str, letters: LetterCase) -> Self {
        let token = |c| match c {
            '*' => Token::Run,
            '?' => Token::One,
            c => Token::This(c),
        };
        Self { tokens: text.chars().map(token).collect(), folded: letters == LetterCase::Folded }
    }

    /// A text in which `*` and `?` are ordinary characters.
    pub(super) fn literal(text: &str, letters: LetterCase) -> Self {
        Self { tokens: text.chars().map(Token::This).collect(), folded: letters == LetterCase::Folded }
    }

    fn takes(&self, wanted: char, found: char) -> bool {
        wanted == found || self.folded && wanted.eq_ignore_ascii_case(&found)
    }
}

/// A class of texts: the patterns that match each of them, and one of them.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) matched: Bits,
    pub(super) example: String,
}

/// Finds all classes. The result is exact: for every text there is a class of exactly those patterns that match it.
///
/// It is a breadth-first search over the sets of positions that a text can have reached in all patterns at once, one
/// character at a time. All characters that no pattern contains behave alike, so one of them represents all.
pub(super) fn regions(
    patterns: &[Pattern],
    may_be_empty: bool,
    budget: &mut Budget,
) -> Result<Vec<Region>, TooLarge> {
    const WHAT: &str = "the number of kinds of texts that the patterns tell apart";
    let starts: Vec<usize> = patterns
        .iter()
        .scan(0, |next, pattern| {
            let start = *next;
            *next += pattern.tokens.len() + 1;
            Some(start)
        })
        .collect();
    let places: usize = patterns.iter().map(|pattern| pattern.tokens.len() + 1).sum();
    // The pattern and the token of each position; the last position of a pattern has no token.
    let tokens: Vec<(usize, Option<Token>)> = patterns
        .iter()
        .enumerate()
        .flat_map(|(index, pattern)| {
            pattern.tokens.iter().map(move |token| (index, Some(*token))).chain([(index, None)])
        })
        .collect();
    let reach = |state: &mut Bits, place: usize| {
        let mut place = place;
        state.add(place);
        while tokens[place].1 == Some(Token::Run) {
            place += 1;
            state.add(place);
        }
    };
    let matched = |state: &Bits| {
        Bits::of(patterns.len(), |index| state.has(starts[index] + patterns[index].tokens.len()))
    };
    let fresh = fresh_character(patterns).ok_or(TooLarge(WHAT))?;
    let folded = patterns.iter().any(|pattern| pattern.folded);

    let mut first = Bits::none(places);
    starts.iter().for_each(|start| reach(&mut first, *start));
    let mut states = vec![(first.clone(), String::new())];
    let mut known = HashMap::from([(first.clone(), ())]);
    let mut found: HashMap<Bits, String> = HashMap::new();
    let mut order = Vec::new();
    let mut note = |state: &Bits, example: &str| {
        if let Entry::Vacant(vacant) = found.entry(matched(state)) {
            order.push(Region { matched: vacant.key().clone(), example: example.to_owned() });
            vacant.insert(example.to_owned());
        }
    };
    if may_be_empty {
        note(&first, "");
    }
    let mut at = 0;
    while at < states.len() {
        let (state, example) = states[at].clone();
        at += 1;
        let active: Vec<usize> = state.places().collect();
        // A character that no token here contains behaves like one that no pattern contains.
        let mut characters = vec![fresh];
        for place in &active {
            if let Some(Token::This(c)) = tokens[*place].1 {
                let cases = if folded { [c.to_ascii_lowercase(), c.to_ascii_uppercase()] } else { [c, c] };
                characters.extend([c].into_iter().chain(cases));
            }
        }
        characters.sort_unstable();
        characters.dedup();
        for character in &characters {
            budget.spend(state.words() + active.len(), WHAT)?;
            let mut next = Bits::none(places);
            for place in &active {
                let (pattern, token) = tokens[*place];
                match token {
                    Some(Token::Run) => reach(&mut next, *place),
                    Some(Token::One) => reach(&mut next, place + 1),
                    Some(Token::This(wanted)) if patterns[pattern].takes(wanted, *character) => {
                        reach(&mut next, place + 1);
                    }
                    Some(Token::This(_)) | None => {}
                }
            }
            let mut text = example.clone();
            text.push(*character);
            note(&next, &text);
            if let Entry::Vacant(vacant) = known.entry(next) {
                states.push((vacant.key().clone(), text));
                vacant.insert(());
            }
        }
    }
    Ok(order)
}

/// A character that no pattern contains. A folded pattern matches both cases of a letter, so neither case may occur.
fn fresh_character(patterns: &[Pattern]) -> Option<char> {
    let named: HashSet<char> = patterns
        .iter()
        .flat_map(|pattern| &pattern.tokens)
        .filter_map(|token| match token {
            Token::This(c) => Some(c.to_ascii_lowercase()),
            Token::Run | Token::One => None,
        })
        .collect();
    let plain = ('a'..='z').chain('0'..='9').chain(['-', '_', '.']);
    let rest = (0x4e00..0x9fff).filter_map(char::from_u32);
    plain.chain(rest).find(|c| !named.contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every text of up to four characters belongs to a class that was found, and every example to its own class.
        #[test]
        fn the_classes_are_those_of_all_texts(
            globs in prop::collection::vec(("[ab*?]{0,5}", any::<bool>()), 1..4),
        ) {
            let letters = |folded: bool| if folded { LetterCase::Folded } else { LetterCase::Exact };
            let compiled: Vec<Glob> = globs.iter().map(|(text, folded)| Glob::new(text, letters(*folded))).collect();
            let patterns: Vec<Pattern> =
                globs.iter().map(|(text, folded)| Pattern::wildcards(text, letters(*folded))).collect();
            let class = |text: &str| Bits::of(compiled.len(), |place| compiled[place].matches(text));
            let found = regions(&patterns, true, &mut Budget::new(1_000_000)).expect("small");
            for region in &found {
                prop_assert_eq!(&class(&region.example), &region.matched, "{:?}", region.example);
            }
            let mut texts = vec![String::new()];
            for at in 0.. {
                if texts[at].len() == 4 {
                    break;
                }
                for c in "abABz".chars() {
                    texts.push(format!("{}{c}", texts[at]));
                }
            }
            for text in texts {
                prop_assert!(found.iter().any(|region| region.matched == class(&text)), "{:?} of {:?}", text, globs);
            }
        }
    }

    #[test]
    fn a_bomb_ends_at_the_budget() {
        let bomb = Pattern::wildcards("*a???????????????????????????", LetterCase::Exact);
        assert!(regions(&[bomb], true, &mut Budget::new(1_000_000)).is_err());
    }
}
