//! A pattern and a text: the answer is the one of the definition, and the steps are linear in the text, which
//! `glob_matches` asserts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::fuzzing::{glob_matches, glob_relations};

/// The definition takes the product of both lengths.
const DEFINED: usize = 1 << 15;

/// What is repeated is short, so that there is time for many.
const SEED_BYTES: usize = 16;

fuzz_target!(|input: (bool, String, String, String, u8)| {
    let (folded, pattern, other, seed, times) = input;
    // Long texts that repeat are what matchers stumble over, and few bytes are enough to ask for one.
    let text = if seed.len() <= SEED_BYTES { seed.repeat(usize::from(times) + 1) } else { seed };
    for text in [&text, &pattern, &other] {
        let Some(matches) = glob_matches(&pattern, text, folded) else { return };
        if pattern.len() * text.len() <= DEFINED {
            let fold = |text: &str| if folded { text.to_ascii_lowercase() } else { text.to_owned() };
            assert_eq!(matches, by_definition(&fold(&pattern), &fold(text)), "{pattern:?} against {text:?}");
        }
    }
    if pattern.len() * other.len() <= DEFINED {
        let (overlap, covers) = glob_relations(&pattern, &other);
        for text in [&text, &pattern, &other] {
            let (Some(one), Some(two)) = (glob_matches(&pattern, text, false), glob_matches(&other, text, false)) else {
                return;
            };
            assert!(!(one && two) || overlap, "both match {text:?}: {pattern:?} and {other:?}");
            assert!(!(covers && two) || one, "{pattern:?} does not cover {other:?}: {text:?}");
        }
    }
});

fn by_definition(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // after[j]: the pattern so far matches the first j characters.
    let mut after = vec![false; text.len() + 1];
    after[0] = true;
    for wanted in pattern.chars() {
        let mut any = false;
        let mut before = false;
        for (j, now) in after.iter_mut().enumerate() {
            any |= *now;
            let next = match wanted {
                '*' => any,
                '?' => j > 0 && before,
                plain => j > 0 && before && text[j - 1] == plain,
            };
            before = std::mem::replace(now, next);
        }
    }
    after[text.len()]
}
