//! The one sanitiser: no string that a session, an agent or a server supplied reaches a terminal or a log before it
//! has passed here.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character could drive a terminal, turn the order of a text round, break a line unseen or hide:
/// C0, DEL, C1, bidirectional controls, line separators, and characters without width.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// The text with every unsafe character shown as `\u{1b}`; `\n`, `\r` and `\t` by their short names.
#[must_use]
pub fn sanitised(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// As [`sanitised`], for text of many lines: line feeds and tabs stay.
#[must_use]
pub fn sanitised_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| !matches!(character, '\n' | '\t') && is_unsafe(character))
}

/// JSON text with every unsafe character inside its strings as `\u001b`. Outside of strings JSON has only
/// white space of that kind, and it stays.
///
/// # Panics
/// Never: writing to a string cannot fail.
#[must_use]
pub fn sanitised_json(json: &str) -> String {
    if is_plain(json.trim_end_matches('\n')) {
        return json.to_owned();
    }
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, '\n' | '\t' | '\r') || !is_unsafe(character) {
            shown.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("writing to a string cannot fail");
            }
        }
    }
    shown
}

/// Whether there is nothing but printable ASCII: what nearly every line of a log is, and known at once.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn escaped(text: &str, refuse: impl Fn(char) -> bool) -> Cow<'_, str> {
    if is_plain(text) || !text.chars().any(&refuse) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if !refuse(character) {
            shown.push(character);
        } else if matches!(character, '\n' | '\r' | '\t') {
            shown.extend(character.escape_default());
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_drives_a_terminal_is_shown() {
        assert_eq!(sanitised("\u{1b}]0;title\u{7}"), "\\u{1b}]0;title\\u{7}");
        assert_eq!(sanitised("\u{9b}2J\u{7f}"), "\\u{9b}2J\\u{7f}");
        assert_eq!(sanitised("a\tb\nc\r"), "a\\tb\\nc\\r");
        assert_eq!(sanitised("abc\u{202e}txt.exe"), "abc\\u{202e}txt.exe");
        assert_eq!(sanitised("größe 日本語"), "größe 日本語");
        assert_eq!(sanitised_lines("a\tb\nc\r\u{1b}"), "a\tb\nc\\r\\u{1b}");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({ "Hostname": "a\u{9b}b\u{202e}\u{1b}\u{e0041}\n" });
        let shown = sanitised_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(shown.contains("a\\u009bb\\u202e\\u001b\\udb40\\udc41\\n"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    proptest! {
        #[test]
        fn nothing_unsafe_passes(text in any::<String>()) {
            prop_assert!(!sanitised(&text).chars().any(is_unsafe));
            prop_assert!(!sanitised_lines(&text).chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'));
            let json = serde_json::to_string(&text).unwrap();
            let shown = sanitised_json(&json);
            prop_assert!(!shown.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        }

        #[test]
        fn harmless_text_is_untouched(text in "[ -~äöüßéñ日本語]*") {
            prop_assert_eq!(sanitised(&text), text.as_str());
        }
    }
}
