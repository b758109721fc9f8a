//! Bytes as a terminal reads them: UTF-8, with a character that is split across events joined again.

/// Decodes pieces of a byte stream. Invalid bytes become U+FFFD, as in any terminal.
#[derive(Debug, Default)]
pub(super) struct Utf8Stream {
    carried: Vec<u8>,
}

impl Utf8Stream {
    /// Whether no character is unfinished.
    pub(super) fn is_whole(&self) -> bool {
        self.carried.is_empty()
    }

    /// The text of this piece, with what the piece before left over.
    pub(super) fn decode(&mut self, piece: &[u8]) -> String {
        let joined;
        let mut rest = if self.carried.is_empty() {
            piece
        } else {
            joined = [std::mem::take(&mut self.carried).as_slice(), piece].concat();
            joined.as_slice()
        };
        let mut text = String::with_capacity(rest.len());
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        Some(length) => {
                            text.push('\u{fffd}');
                            rest = &after[length..];
                        }
                        None => {
                            self.carried = after.to_vec();
                            return text;
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_split_character_is_joined() {
        let mut stream = Utf8Stream::default();
        let bytes = "a日b".as_bytes();
        let text: String = bytes.chunks(1).map(|piece| stream.decode(piece)).collect();
        assert_eq!(text, "a日b");
        assert_eq!(stream.decode(&[0xe6, 0x97]), "");
        assert_eq!(stream.decode(b"x"), "\u{fffd}x");
        assert_eq!(stream.decode(&[0xff]), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn pieces_decode_as_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 1usize..7) {
            let mut stream = Utf8Stream::default();
            let text: String = bytes.chunks(cut).map(|piece| stream.decode(piece)).collect();
            let whole = String::from_utf8_lossy(&bytes);
            // What is still carried at the end is one unfinished character, which the whole shows as U+FFFD.
            let whole_but_one = whole.strip_suffix('\u{fffd}');
            prop_assert!(text == whole || Some(text.as_str()) == whole_but_one);
        }
    }
}
