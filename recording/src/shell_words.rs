//! A command's words on one line, so that a shell reads the same words when the line is pasted.

use std::fmt::Write as _;

use crate::sanitise::is_unsafe;

/// The words with a space between them, each quoted where a shell would read it otherwise.
#[must_use]
pub fn shell_line<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> String {
    let mut line = String::new();
    for word in words {
        push_word(&mut line, word.as_ref());
    }
    line
}

/// Adds a word to a line of words. What does not belong on a line or could drive a terminal is escaped (`$'\n'`), as bash,
/// zsh and ksh read it.
pub fn push_word(line: &mut String, word: &str) {
    let is_first = line.is_empty();
    if !is_first {
        line.push(' ');
    }
    let is_plain = |c: char| c.is_alphanumeric() || "_-+=./:,@%^".contains(c);
    // At the beginning of a line these would be an assignment or a job.
    let means_else = is_first && (word.contains('=') || word.starts_with('%')) || word.starts_with('=');
    if word.chars().any(is_unsafe) {
        push_escaped(line, word);
    } else if !word.is_empty() && !means_else && word.chars().all(is_plain) {
        line.push_str(word);
    } else {
        line.push('\'');
        line.push_str(&word.replace('\'', r"'\''"));
        line.push('\'');
    }
}

fn push_escaped(line: &mut String, word: &str) {
    line.push_str("$'");
    for character in word.chars() {
        match character {
            '\'' | '\\' => line.extend(['\\', character]),
            '\n' | '\r' | '\t' => line.extend(character.escape_default()),
            // All digits, so that none of what follows is taken for one.
            '\0'..='\x1f' | '\x7f' => push_code(line, format_args!("x{:02x}", u32::from(character))),
            _ if is_unsafe(character) && character <= '\u{ffff}' => {
                push_code(line, format_args!("u{:04x}", u32::from(character)));
            }
            _ if is_unsafe(character) => push_code(line, format_args!("U{:08x}", u32::from(character))),
            _ => line.push(character),
        }
    }
    line.push('\'');
}

fn push_code(line: &mut String, code: std::fmt::Arguments<'_>) {
    line.push('\\');
    line.write_fmt(code).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::sanitise::sanitised;

    #[test]
    fn words_keep_their_bounds() {
        assert_eq!(shell_line(["ls", "-l", "/tmp"]), "ls -l /tmp");
        assert_eq!(shell_line(["sh", "-c", "echo 'a b'", ""]), r"sh -c 'echo '\''a b'\''' ''");
        assert_eq!(shell_line(["grep", "ä", "$HOME", "~", "a=b"]), "grep ä '$HOME' '~' a=b");
        assert_eq!(shell_line(["a=b", "%1", "=ls"]), "'a=b' %1 '=ls'");
        assert_eq!(
            shell_line(["printf", "it's\n\u{1b}[2J\u{202e}\u{e0041}1"]),
            r"printf $'it\'s\n\x1b[2J\u202e\U000e00411'"
        );
        assert_eq!(shell_line::<&str>([]), "");
    }

    /// The arguments of `printf` as bash reads this line; `None` where there is no bash.
    fn read_by_bash(line: &str) -> Option<Vec<String>> {
        // The locale says what `\u` makes.
        let read = Command::new("bash")
            .args(["-c", &format!("printf '%s\\0' {line}")])
            .env("LC_ALL", "C.UTF-8")
            .output()
            .ok()?;
        let text = String::from_utf8(read.stdout).unwrap();
        Some(text.split_terminator('\0').map(str::to_owned).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn a_shell_reads_the_same_words(words in proptest::collection::vec("([ -~]|[\u{1}-\u{1f}]|[äß日\u{7f}\u{85}\u{ad}\u{202e}\u{200d}\u{301}\u{e0041}]){0,8}", 1..5)) {
            let line = shell_line(&words);
            prop_assert_eq!(sanitised(&line), line.as_str(), "it can be shown as it is");
            if let Some(read) = read_by_bash(&line) {
                prop_assert_eq!(read, words);
            }
        }
    }
}
