//! Patterns as sshd and shells write them: `*` stands for any text and `?` for one character.

/// Whether a pattern matches a whole text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last star was, and how much of the text it stood for.
    let mut star = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(letter) if *letter == b'?' || *letter == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((star_at, stood_for)) = star else { return false };
                star = Some((star_at, stood_for + 1));
                at = star_at + 1;
                seen = stood_for + 1;
            }
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("*", ""),
            ("LC_*", "LC_ALL"),
            ("LC_*", "LC_"),
            ("L?NG", "LANG"),
            ("*_*V", "BASH_ENV"),
            ("a**b", "ab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("LC_*", "LANG"), ("", "x"), ("?", ""), ("*.conf", "x.conf~"), ("LC_*X", "LC_XY")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
