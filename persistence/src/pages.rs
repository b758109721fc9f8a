//! Translates a page request to a slice of a query, and makes the tokens by which a list continues.
//!
//! A token holds the place after which to continue, and a digest of the query, so that it is refused for another query.
//! It is not a credential: what is read stays within the caller's grant.

use aws_lc_rs::digest::{SHA256, digest};

use crate::{PageRequest, StoreError};

const VERSION: u8 = 1;
const DIGEST_BYTES: usize = 8;
const HEAD_BYTES: usize = 1 + DIGEST_BYTES + 8;

/// A place in a list that is ordered by a time, then by an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) at: i64,
    pub(crate) id: String,
}

/// The slice of a list to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) after: Option<Cursor>,
    pub(crate) offset: u64,
    /// One more than the page takes, to see whether something follows.
    pub(crate) limit: u64,
}

impl Slice {
    /// `question` is everything that decides what the list holds.
    pub(crate) fn of(page: &PageRequest, question: &str) -> Result<Self, StoreError> {
        let limit = u64::from(page.size()) + 1;
        match page {
            PageRequest::Number { number, size } => {
                let offset = u64::from(number.saturating_sub(1)) * u64::from(*size);
                Ok(Self { after: None, offset, limit })
            }
            PageRequest::After { token, .. } => {
                let after = token.as_deref().map(|token| read_token(token, question)).transpose()?;
                Ok(Self { after, offset: 0, limit })
            }
        }
    }

    /// Cuts what was read to the page's size; returns whether something follows.
    pub(crate) fn cut<T>(&self, read: &mut Vec<T>) -> bool {
        let size = usize::try_from(self.limit - 1).unwrap_or(usize::MAX);
        let more = read.len() > size;
        read.truncate(size);
        more
    }
}

/// The token that continues after this place.
pub(crate) fn next_token(question: &str, cursor: &Cursor) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&question_digest(question));
    bytes.extend_from_slice(&cursor.at.to_be_bytes());
    bytes.extend_from_slice(cursor.id.as_bytes());
    hex::encode(bytes)
}

/// The place after which the token continues.
pub(crate) fn read_token(token: &str, question: &str) -> Result<Cursor, StoreError> {
    let bytes = hex::decode(token).map_err(|_| StoreError::InvalidPageToken)?;
    let (head, id) = bytes.split_at_checked(HEAD_BYTES).ok_or(StoreError::InvalidPageToken)?;
    let (digest, at) = head[1..].split_at(DIGEST_BYTES);
    let id_is_plausible = (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    if head[0] != VERSION || digest != question_digest(question) || !id_is_plausible {
        return Err(StoreError::InvalidPageToken);
    }
    let at = at.try_into().map(i64::from_be_bytes).map_err(|_| StoreError::InvalidPageToken)?;
    let id = String::from_utf8(id.to_vec()).map_err(|_| StoreError::InvalidPageToken)?;
    Ok(Cursor { at, id })
}

fn question_digest(question: &str) -> [u8; DIGEST_BYTES] {
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(&digest(&SHA256, question.as_bytes()).as_ref()[..DIGEST_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_on_where_it_was_made_and_nowhere_else() {
        let cursor = Cursor { at: -5, id: "ab".repeat(16) };
        let token = next_token("question", &cursor);
        let page = |token: &str| PageRequest::After { token: Some(token.to_owned()), size: 10 };
        assert_eq!(Slice::of(&page(&token), "question").unwrap().after, Some(cursor));
        assert!(matches!(Slice::of(&page(&token), "other"), Err(StoreError::InvalidPageToken)));
        for length in 0..HEAD_BYTES * 2 + 1 {
            assert!(Slice::of(&page(&token[..length]), "question").is_err(), "cut at {length}");
        }
        for bad in ["x", "é", "00", &"00".repeat(40), &format!("{token}00"), &token.replacen('1', "2", 1)] {
            assert!(Slice::of(&page(bad), "question").is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_page_number_does_not_overflow() {
        let slice = Slice::of(&PageRequest::Number { number: u32::MAX, size: u32::MAX }, "").unwrap();
        assert_eq!(slice.offset, u64::from(u32::MAX - 1) * u64::from(u32::MAX));
        assert_eq!(Slice::of(&PageRequest::Number { number: 0, size: 1 }, "").unwrap().offset, 0);
    }
}
