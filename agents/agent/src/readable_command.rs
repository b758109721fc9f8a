//! A command as the readers of a recording see it: as text of limited length, which says where it was cut.
//!
//! Both sides cut: the person's side, so that its request fits into a line, and the agent, because it cannot know which
//! program asks. With that limit the longest request there can be makes a `start.json` that every control plane takes.

use std::borrow::Cow;

/// How much of a command is kept.
const LONGEST_COMMAND_BYTES: usize = 32 * 1024;
/// What `start.json` takes for a word besides its text: a line of its own, indented, with quotes and a comma.
const BYTES_AROUND_A_WORD: usize = 8;
/// Kept free for the marks, so that what was cut is not cut again.
const ROOM_FOR_MARKS: usize = 64;
/// Ends a word that was cut.
const CUT: &str = "...";

/// The words of a command, cut to what is kept: the last word that has room ends with `...`, and one more says how many
/// words were left out behind it.
pub(crate) fn readable_command<'a>(
    words: impl ExactSizeIterator<Item = Cow<'a, str>> + Clone,
) -> Vec<String> {
    let takes = |word: &str| word.len() + BYTES_AROUND_A_WORD;
    if words.clone().map(|word| takes(&word)).sum::<usize>() <= LONGEST_COMMAND_BYTES {
        return words.map(Cow::into_owned).collect();
    }
    let all = words.len();
    let mut left = LONGEST_COMMAND_BYTES - ROOM_FOR_MARKS;
    let mut readable = Vec::new();
    for word in words {
        if takes(&word) > left {
            let end = word.floor_char_boundary(left.saturating_sub(BYTES_AROUND_A_WORD));
            readable.push(format!("{}{CUT}", &word[..end]));
            break;
        }
        left -= takes(&word);
        readable.push(word.into_owned());
    }
    let left_out = all - readable.len();
    if left_out > 0 {
        readable.push(format!("{CUT} (words left out: {left_out})"));
    }
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(words: &[&str]) -> Vec<String> {
        readable_command(words.iter().map(|word| Cow::Borrowed(*word)))
    }

    /// It is within the limit, also after it was cut once more.
    fn is_short(words: &[String]) {
        let bytes: usize = words.iter().map(|word| word.len() + BYTES_AROUND_A_WORD).sum();
        assert!(bytes <= LONGEST_COMMAND_BYTES, "{bytes}");
        assert_eq!(readable(&words.iter().map(String::as_str).collect::<Vec<_>>()), words);
    }

    #[test]
    fn a_long_word_is_cut_and_what_follows_is_counted() {
        assert_eq!(readable(&["ls", "-l", ""]), ["ls", "-l", ""]);
        let long = "ü".repeat(LONGEST_COMMAND_BYTES);
        let words = readable(&["echo", &long]);
        assert_eq!(words.len(), 2);
        assert!(words[1].ends_with("ü..."));
        is_short(&words);
        let words = readable(&["echo", &long, "x", "y"]);
        assert_eq!((words.len(), words[2].as_str()), (3, "... (words left out: 2)"));
        is_short(&words);
    }

    #[test]
    fn many_words_are_cut_although_they_are_short() {
        for word in ["", "x"] {
            let words = readable(&vec![word; 100_000]);
            let left_out = 100_000 - (words.len() - 1);
            let marks = ["...".to_owned(), format!("... (words left out: {left_out})")];
            assert_eq!(words[words.len() - 2..], marks);
            is_short(&words);
        }
    }
}
