//! The words of a plain simple command: one that every shell reads alike, and of which nothing is expanded.

/// A word, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) bytes: Vec<u8>,
    /// Some of it was quoted.
    pub(super) is_quoted: bool,
}

/// The words; `None` where the text is not plain: it has a character that means something to a shell outside of quotes, a
/// quotation that expands something or does not end, or a line break. A tilde alone, or before a slash, at the beginning of a
/// word is the home, where that is known: every shell puts it there, and nothing of what it puts there is read again.
pub(super) fn plain_words(text: &[u8], home: Option<&[u8]>) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if matches!(byte, b' ' | b'\t') {
            words.extend(word.take());
            continue;
        }
        let is_first = word.is_none();
        let word = word.get_or_insert(Word { bytes: Vec::new(), is_quoted: false });
        match byte {
            b'\'' => {
                word.is_quoted = true;
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        0 => return None,
                        quoted => word.bytes.push(quoted),
                    }
                }
            }
            b'"' => {
                word.is_quoted = true;
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        // These mean something there, too, or would be read differently by some shell.
                        0 | b'$' | b'`' | b'\\' | b'!' => return None,
                        quoted => word.bytes.push(quoted),
                    }
                }
            }
            b'\\' => {
                word.is_quoted = true;
                match bytes.next()? {
                    0 | b'\n' | b'\r' => return None,
                    escaped => word.bytes.push(escaped),
                }
            }
            b'~' if is_first => {
                if !matches!(bytes.peek(), None | Some(b'/' | b' ' | b'\t')) {
                    return None;
                }
                word.bytes.extend_from_slice(home?);
            }
            // zsh looks for a program there.
            b'=' if is_first => return None,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | 0x80..=0xff => word.bytes.push(byte),
            b'_' | b'-' | b'+' | b'=' | b'.' | b'/' | b':' | b',' | b'@' | b'%' => word.bytes.push(byte),
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}
