//! A command on one line, as lists show it.

use recording::shell_words::push_word;

/// How many characters of a command lists show. The whole command is in the recording's `start.json`.
const MOST_CHARACTERS: usize = 200;

/// The words as a shell would read them, cut to 200 characters; what was cut is marked by `…`.
#[must_use]
pub fn displayed_command(words: &[String]) -> String {
    let mut line = String::new();
    for word in words {
        push_word(&mut line, word);
        if line.chars().nth(MOST_CHARACTERS).is_some() {
            break;
        }
    }
    if line.chars().nth(MOST_CHARACTERS).is_some() {
        line = line.chars().take(MOST_CHARACTERS - 1).collect();
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn displayed(words: &[&str]) -> String {
        displayed_command(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn words_keep_their_bounds() {
        assert_eq!(displayed(&["ls", "-l", "/tmp"]), "ls -l /tmp");
        assert_eq!(displayed(&["sh", "-c", "echo 'a b'", ""]), r"sh -c 'echo '\''a b'\''' ''");
        assert_eq!(displayed(&["grep", "ä", "$HOME"]), "grep ä '$HOME'");
        assert_eq!(displayed(&[]), "");
    }

    #[test]
    fn a_long_command_is_cut() {
        let line = displayed(&["echo", &"ü".repeat(300)]);
        assert_eq!(line.chars().count(), 200);
        assert!(line.starts_with("echo ü") && line.ends_with("ü…"));
        let exact = displayed(&["x".repeat(200).as_str()]);
        assert_eq!(exact, "x".repeat(200));
    }
}
