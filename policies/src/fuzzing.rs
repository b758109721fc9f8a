//! What the fuzzer needs of the inside; it is there under `cfg(fuzzing)` only.

use crate::glob::{Glob, LetterCase, MAX_PATTERN_BYTES, most_steps};
use crate::work;

/// Whether the pattern matches the text. None if the pattern is longer than any document.
///
/// # Panics
/// When matching takes more steps than a time linear in the text allows.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str, folded: bool) -> Option<bool> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return None;
    }
    let letters = if folded { LetterCase::Folded } else { LetterCase::Exact };
    let glob = Glob::new(pattern, letters);
    let (matches, steps) = work::count(|| glob.matches(text));
    let most = most_steps(pattern, text);
    assert!(steps <= most, "{steps} steps, at most {most} are linear: {pattern:?} against {text:?}");
    Some(matches)
}

/// Whether some text matches both patterns, and whether the first surely matches all that the second does.
#[must_use]
pub fn glob_relations(left: &str, right: &str) -> (bool, bool) {
    let (left, right) = (Glob::new(left, LetterCase::Exact), Glob::new(right, LetterCase::Exact));
    (left.overlaps(&right), left.covers(&right))
}
