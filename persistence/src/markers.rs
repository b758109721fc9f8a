//! Lists that are ordered by a name and continue by a marker, like those of the identity store.
//!
//! A marker holds the name after which to continue, and a digest of the query. It is not a credential: what is read
//! stays within the caller's grant.

use crate::StoreError;
use crate::pages::{Cursor, next_token, read_token};

/// The part of a list ordered by a name that is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerRequest {
    /// The marker of the previous page; `None` is the beginning.
    pub marker: Option<String>,
    /// How many entries are requested.
    pub max_items: u32,
}

/// A part of a list that is ordered by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerPage<T> {
    /// The entries, by name.
    pub items: Vec<T>,
    /// The marker for the next page; `None` when nothing follows.
    pub marker: Option<String>,
}

/// The slice of a list to read: at most `limit` entries whose names come after `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameSlice {
    question: String,
    pub(crate) after: Option<String>,
    /// One more than the page takes, to see whether something follows.
    pub(crate) limit: u64,
}

impl NameSlice {
    /// `question` is everything that decides what the list holds.
    pub(crate) fn of(page: &MarkerRequest, question: impl Into<String>) -> Result<Self, StoreError> {
        let question = question.into();
        let after = match &page.marker {
            Some(marker) => Some(read_token(marker, &question).map_err(|_| StoreError::InvalidMarker)?.id),
            None => None,
        };
        Ok(Self { question, after, limit: u64::from(page.max_items) + 1 })
    }

    /// Makes a page of what was read. `name` is what the list is ordered by: 1 to 128 visible ASCII characters.
    pub(crate) fn page<T>(&self, mut items: Vec<T>, name: impl Fn(&T) -> String) -> MarkerPage<T> {
        let size = usize::try_from(self.limit - 1).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let last = items.last().filter(|_| more);
        let marker = last.map(|last| next_token(&self.question, &Cursor { at: 0, id: name(last) }));
        MarkerPage { items, marker }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(marker: Option<String>, question: &str) -> Result<NameSlice, StoreError> {
        NameSlice::of(&MarkerRequest { marker, max_items: 2 }, question)
    }

    #[test]
    fn a_list_goes_on_after_the_last_name_that_was_shown() {
        let first = slice(None, "users").unwrap();
        assert_eq!((first.after.as_deref(), first.limit), (None, 3));
        let page = first.page(vec!["ana", "bo", "cy"], ToString::to_string);
        assert_eq!(page.items, ["ana", "bo"]);
        let next = slice(page.marker.clone(), "users").unwrap();
        assert_eq!(next.after.as_deref(), Some("bo"));
        assert_eq!(next.page(vec!["cy"], ToString::to_string).marker, None);
        assert!(matches!(slice(page.marker, "groups"), Err(StoreError::InvalidMarker)));
        assert!(matches!(slice(Some("bo".to_owned()), "users"), Err(StoreError::InvalidMarker)));
    }
}
