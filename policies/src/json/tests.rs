use proptest::prelude::*;

use super::*;

/// Returns what a reader of documents reports: the first fault.
fn read(text: &str) -> Result<Node, Fault> {
    let mut duplicates = Vec::new();
    let node = super::read(text, MAX_DEPTH, &mut duplicates);
    duplicates.into_iter().next().map_or(node, Err)
}

fn refused(text: &str) -> (Reason, usize, String) {
    let fault = read(text).map(|_| ()).expect_err(text);
    (fault.reason, fault.at, fault.pointer)
}

#[test]
fn what_other_readers_let_through_is_refused_where_it_stands() {
    for (text, reason, at, pointer) in [
        ("\u{feff}{}", Reason::ByteOrderMark, 0, ""),
        ("", Reason::EmptyText, 0, ""),
        (" \n\t\r ", Reason::EmptyText, 5, ""),
        ("{}\n{}", Reason::TrailingText, 3, ""),
        ("{}\0", Reason::NulCharacter, 2, ""),
        ("\0", Reason::NulCharacter, 0, ""),
        (r#"["a\u0000"]"#, Reason::NulCharacter, 3, "/0"),
        ("[\"a\0\"]", Reason::NulCharacter, 3, "/0"),
        (r#"{"a": "\ud800"}"#, Reason::LoneSurrogate, 7, "/a"),
        (r#"["\ud800\u0041"]"#, Reason::LoneSurrogate, 2, "/0"),
        (r#"["\udc00"]"#, Reason::LoneSurrogate, 2, "/0"),
        (r#"{"a": {"b/~": 1, "b/~": 2}}"#, Reason::DuplicateElement, 17, "/a/b~1~0"),
        (r#"{"Effect": 1, "\u0045ffect": 2}"#, Reason::DuplicateElement, 14, "/Effect"),
        ("NaN", Reason::NotJson, 0, ""),
        ("[Infinity]", Reason::NotJson, 1, "/0"),
        ("{'a': 1}", Reason::NotJson, 1, ""),
        ("[1,]", Reason::NotJson, 3, "/1"),
        (r#"{"a": 1,}"#, Reason::NotJson, 8, ""),
        ("[01]", Reason::NotJson, 2, ""),
        ("[1.]", Reason::NotJson, 3, "/0"),
        ("[+1]", Reason::NotJson, 1, "/0"),
        ("[tru]", Reason::NotJson, 1, "/0"),
        (r#"["a"#, Reason::NotJson, 3, "/0"),
        ("[\"a\nb\"]", Reason::NotJson, 3, "/0"),
        (r#"["\x41"]"#, Reason::NotJson, 3, "/0"),
        (r#"["\u00g0"]"#, Reason::NotJson, 6, "/0"),
        ("// c\n{}", Reason::NotJson, 0, ""),
        ("\u{a0}{}", Reason::NotJson, 0, ""),
    ] {
        assert_eq!(refused(text), (reason, at, pointer.to_owned()), "{text:?}");
    }
}

#[test]
fn depth_ends_at_the_limit_and_never_at_the_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(refused(&nested(MAX_DEPTH + 1)).0, Reason::TooDeep);
    assert_eq!(refused(&"[".repeat(1_000_000)).0, Reason::TooDeep);
    assert_eq!(refused(&r#"{"a":"#.repeat(1_000_000)).0, Reason::TooDeep);
}

#[test]
fn escapes_and_pairs_become_their_characters() {
    let node = read(r#"["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"]"#).expect("valid");
    let Value::List(entries) = node.value else { panic!("a list") };
    assert!(matches!(&entries[0].value, Value::Text(text) if text == "\"\\/\u{8}\u{c}\n\r\té😀é😀"));
}

/// The maximum number of steps for any text. Reading a byte is a step, and comparing a name is one.
fn most_steps(text: &str) -> u64 {
    (text.len() * 8 + 64) as u64
}

#[test]
fn a_name_that_stands_twice_is_found_among_many() {
    for count in [2, FEW_NAMES, FEW_NAMES + 1, 100] {
        let members: Vec<String> = (0..count).map(|number| format!("\"m{number}\":0")).collect();
        assert!(read(&format!("{{{}}}", members.join(","))).is_ok());
        for twice in [0, count / 2, count - 1] {
            let text = format!("{{{},\"m{twice}\":0}}", members.join(","));
            assert_eq!(refused(&text).0, Reason::DuplicateElement, "{twice} of {count}");
        }
    }
}

#[test]
fn no_text_takes_more_than_linear_time() {
    let names: Vec<String> = (0..50_000).map(|number| format!("\"{number}\":0")).collect();
    for text in [
        format!("{{{}}}", names.join(",")),
        format!("[{}]", vec!["[[]]"; 50_000].join(",")),
        format!("[{}", "{\"a\":".repeat(50_000)),
        format!("\"{}\"", "\\u00e9".repeat(50_000)),
        " ".repeat(100_000) + "1" + &" ".repeat(100_000),
        "1".repeat(100_000) + "." + &"1".repeat(100_000),
    ] {
        let (_, steps) = work::count(|| read(&text).is_ok());
        assert!(steps <= most_steps(&text), "{steps} steps for {} bytes of {:.20}", text.len(), text);
    }
}

proptest! {
    #[test]
    fn random_texts_take_linear_time(
        pieces in prop::collection::vec(
            prop::sample::select(vec!["{", "}", "[", "]", ",", "\"a\":", "\"b\":", "\"\":{", "[[", "1", "\"\"", "\\"]),
            0..600,
        ),
        times in 1usize..20,
    ) {
        let text = pieces.concat().repeat(times);
        let (_, steps) = work::count(|| read(&text).is_ok());
        prop_assert!(steps <= most_steps(&text), "{steps} steps for {} bytes", text.len());
    }

    /// Texts composed of tokens of JSON, so that many are nearly valid.
    #[test]
    fn what_is_accepted_is_json_and_what_is_called_no_json_is_none(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ":", ",", "\"", "\"a\"", "\"b\"", "\\", "\\u", "\\ud83d", "\\ude00", "0", "-1", "1.5e3",
                "1", ".", "e", "true", "false", "null", " ", "\n", "a", "é", "\u{1}", "\"a\":", "[1,2]", "{}",
            ]),
            0..24,
        )
    ) {
        let text = pieces.concat();
        let other = serde_json::from_str::<serde_json::Value>(&text);
        match read(&text) {
            Ok(node) => {
                prop_assert!(other.is_ok(), "{text:?} is not JSON");
                let written = write(&node);
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).ok(), other.ok(), "{}", written);
            }
            Err(fault) if fault.reason == Reason::NotJson => {
                prop_assert!(other.is_err(), "{text:?} is JSON, but: {}", fault.message);
            }
            Err(fault) => prop_assert!(fault.at <= text.len()),
        }
    }
}
