use proptest::prelude::*;

use super::*;

/// The meaning of a pattern, written as its definition: slow, and obviously right.
fn reference(pattern: &[char], text: &[char]) -> bool {
    // after[j]: the pattern so far matches the first j characters.
    let mut after = vec![false; text.len() + 1];
    after[0] = true;
    for wanted in pattern {
        let mut next = vec![false; text.len() + 1];
        for j in 0..=text.len() {
            next[j] = match wanted {
                '*' => after[..=j].contains(&true),
                '?' => j > 0 && after[j - 1],
                plain => j > 0 && after[j - 1] && text[j - 1] == *plain,
            };
        }
        after = next;
    }
    after[text.len()]
}

fn agrees(pattern: &str, text: &str) -> (bool, bool) {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    (Glob::new(pattern, LetterCase::Exact).matches(text), reference(&chars(pattern), &chars(text)))
}

fn matches(pattern: &str, text: &str) -> bool {
    Glob::new(pattern, LetterCase::Exact).matches(text)
}

#[test]
fn wildcards_mean_what_they_say() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("**", "a", true),
        ("?", "", false),
        ("?", "é", true),
        ("?", "😀", true),
        ("??", "😀", false),
        ("*?", "", false),
        ("a*", "a", true),
        ("*a", "ba", true),
        ("a*a", "a", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b?c*", "abxbyc", true),
        ("*é?*", "aé😀", true),
        ("workbench/*", "workbench/a/b", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern:?} against {text:?}");
    }
    let folded = Glob::new("ECS*:List?", LetterCase::Folded);
    assert!(folded.matches("ecs-workbench:LISTx") && !folded.matches("ecs:List"));
}

#[test]
fn a_bomb_takes_linear_time() {
    // With backtracking, these cases would practically never end. If the long pieces were tried at every place, they
    // would take minutes in a test build.
    let text = "a".repeat(200_000);
    for pattern in ["a*".repeat(3_000) + "b", "*a?".repeat(2_000) + "b", format!("*{}b*", "a?".repeat(3_000))]
    {
        assert!(!matches(&pattern, &text));
        assert!(matches(&pattern, &format!("{text}b")));
    }
}

/// Matches, and checks the number of steps against the bound.
fn within_steps(pattern: &str, text: &str) -> bool {
    let glob = Glob::new(pattern, LetterCase::Exact);
    let (matches, steps) = work::count(|| glob.matches(text));
    let most = most_steps(pattern, text);
    assert!(steps <= most, "{steps} steps, at most {most}: {pattern:?} against {} bytes", text.len());
    matches
}

#[test]
fn a_bomb_takes_twice_the_steps_for_twice_the_text() {
    for pattern in [
        "*a".repeat(1_000) + "b",
        "*a?".repeat(700),
        "*aaaaaaaaaaaaaaab".repeat(100),
        "*aaaaaaaaaaaaaaaaaab".repeat(100),
    ] {
        let steps = |length: usize| work::count(|| matches(&pattern, &"a".repeat(length))).1;
        let (once, twice) = (steps(20_000), steps(40_000));
        assert!(once > 0 && twice <= 2 * once + 24 * pattern.len() as u64, "{once} and {twice}: {pattern}");
        assert!(!within_steps(&pattern, &("a".repeat(40_000) + "cc")));
    }
}

#[test]
fn a_search_that_tries_again_would_be_noticed() {
    // The textbook matcher backtracks to every star in turn. This takes cubic time here and exceeds the bound at once.
    fn textbook(pattern: &[u8], text: &[u8]) -> bool {
        work::add(1);
        match (pattern.split_first(), text.split_first()) {
            (None, _) => text.is_empty(),
            (Some((b'*', rest)), None) => textbook(rest, text),
            (Some((b'*', rest)), Some((_, after))) => textbook(rest, text) || textbook(pattern, after),
            (Some((wanted, rest)), Some((found, after))) => wanted == found && textbook(rest, after),
            (Some(_), None) => false,
        }
    }
    let (pattern, text) = ("*a*a*a*b", "a".repeat(60));
    let (matches, steps) = work::count(|| textbook(pattern.as_bytes(), text.as_bytes()));
    assert!(!matches && steps > most_steps(pattern, &text));
    assert!(!within_steps(pattern, &text));
}

/// A short run between stars, many times over: patterns of this form make a matcher backtrack.
fn bomb() -> impl Strategy<Value = String> {
    let run = prop::collection::vec(prop::sample::select(vec!["a", "a", "a", "?", "é", "b"]), 1..40);
    (run, 1usize..120, prop::sample::select(vec!["", "b", "?", "*"])).prop_map(|(run, times, end)| {
        let run = run.concat();
        // A pattern is never longer than a document.
        let times = times.min(4_000 / run.len()).max(1);
        format!("{}{end}", format!("*{run}").repeat(times))
    })
}

fn wild() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "é", "😀", "*", "?", "?", "ab"]), 0..12)
        .prop_map(|pieces| pieces.concat())
}

/// One long piece between stars, so that the automaton is used, sometimes with more than one word.
fn wild_long() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "a", "a", "b", "é", "?"]), 17..90)
        .prop_map(|pieces| format!("*{}*", pieces.concat()))
}

fn plain(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "a", "a", "b", "é", "😀", "*", "?"]), length)
        .prop_map(|pieces| pieces.concat())
}

/// All texts over two letters of at most `length` characters.
fn texts(length: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut start = 0;
    for _ in 0..length {
        let end = all.len();
        for index in start..end {
            for letter in ["a", "b"] {
                all.push(format!("{}{letter}", all[index]));
            }
        }
        start = end;
    }
    all
}

fn short_pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "?"]), 0..5)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_definition(pattern in wild(), text in plain(0..20)) {
        let (ours, theirs) = agrees(&pattern, &text);
        prop_assert_eq!(ours, theirs, "{:?} against {:?}", pattern, text);
    }

    #[test]
    fn agrees_with_the_definition_on_long_pieces(pattern in wild_long(), before in plain(0..90), after in plain(0..9)) {
        // The pattern's own text with its wildcards replaced makes matches likely.
        let filled = pattern.replace('*', "").replace('?', "😀");
        let beheaded: String = filled.chars().skip(1).collect();
        for text in [format!("{before}{filled}{after}"), format!("{before}{after}"), format!("{before}{beheaded}")] {
            let (ours, theirs) = agrees(&pattern, &text);
            prop_assert_eq!(ours, theirs, "{:?} against {:?}", &pattern, text);
        }
    }

    #[test]
    fn folding_is_lower_case_on_both_sides(pattern in "[aAbB*?]{0,8}", text in "[aAbB]{0,12}") {
        let folded = Glob::new(&pattern, LetterCase::Folded).matches(&text);
        prop_assert_eq!(folded, matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase()));
    }

    #[test]
    fn folding_works_in_the_automaton(pattern in "[aAbB?]{17,80}", before in "[aAbB]{0,30}") {
        let starred = format!("*{pattern}*");
        let text = before + &pattern.replace('?', "x").to_ascii_uppercase();
        prop_assert!(Glob::new(&starred, LetterCase::Folded).matches(&text));
    }

    #[test]
    fn overlap_is_exact(left in short_pattern(), right in short_pattern()) {
        // If two patterns of at most four characters both match some text, they both match one of at most eight
        // characters.
        let (l, r) = (Glob::new(&left, LetterCase::Exact), Glob::new(&right, LetterCase::Exact));
        let shared = texts(8).into_iter().find(|text| l.matches(text) && r.matches(text));
        prop_assert_eq!(l.overlaps(&r), shared.is_some(), "{:?} and {:?}: {:?}", left, right, shared);
        prop_assert_eq!(l.overlaps(&r), r.overlaps(&l));
    }

    #[test]
    fn what_covers_matches_everything_that_is_covered(left in short_pattern(), right in short_pattern()) {
        let (l, r) = (Glob::new(&left, LetterCase::Exact), Glob::new(&right, LetterCase::Exact));
        if l.covers(&r) {
            let missed = texts(7).into_iter().find(|text| r.matches(text) && !l.matches(text));
            prop_assert_eq!(missed, None, "{:?} does not cover {:?}", left, right);
        }
    }
}

// A tenth of the usual number of cases, because each is many times as long as the others.
proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000) / 10, ..ProptestConfig::default() })]

    #[test]
    fn no_pattern_takes_more_than_linear_time(
        bomb in bomb(),
        wild in wild(),
        letter in prop::sample::select(vec!["a", "ab", "aé", "😀"]),
        length in 0usize..1_000,
        end in plain(0..6),
    ) {
        let text = letter.repeat(length) + &end;
        for pattern in [&bomb, &format!("{wild}{bomb}{wild}")] {
            within_steps(pattern, &text);
        }
    }
}
