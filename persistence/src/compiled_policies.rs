//! A cache of compiled policies across calls, so that a call costs no parsing.
//!
//! INVARIANT: a cached value is found by the whole text of a document, never by its name or by time. The rows are read
//! at every call. A text that was changed, detached or deleted is therefore no longer looked up from the very next call
//! on, and a new text cannot be mistaken for an old one (DECISIONS I5).

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use policies::{DocumentKind, InvalidPolicy, PolicyDocument, PolicySet};

use crate::generations::{Kept, lock};

/// Documents with the names under which a call refers to them.
pub(crate) type NamedDocuments = Vec<(Arc<str>, Arc<PolicyDocument>)>;

/// How many bytes of memory the cached documents take at most; the cached sets may take as much again.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// The kind and the whole text of a document.
type Text = (DocumentKind, Box<str>);

/// Compiled documents by their text, and sets by the documents in them.
pub(crate) struct CompiledPolicies {
    documents: Mutex<Kept<Text, Arc<PolicyDocument>>>,
    sets: Mutex<Kept<Same, PolicySet>>,
}

impl CompiledPolicies {
    pub(crate) fn new() -> Self {
        Self::within(KEPT_BYTES)
    }

    fn within(bytes: usize) -> Self {
        Self { documents: Mutex::new(Kept::within(bytes)), sets: Mutex::new(Kept::within(bytes)) }
    }

    /// The document of a text.
    ///
    /// # Errors
    /// Those of [`PolicyDocument::parse`], each time anew.
    pub(crate) fn document(
        &self,
        text: String,
        kind: DocumentKind,
    ) -> Result<Arc<PolicyDocument>, InvalidPolicy> {
        let key = (kind, text.into_boxed_str());
        if let Some(kept) = lock(&self.documents).get(&key) {
            return Ok(kept);
        }
        // Parsed without the lock. Two calls may both parse it; both then use the result that is stored first.
        let parsed = Arc::new(PolicyDocument::parse(key.1.as_bytes(), kind)?);
        let bytes = parsed.memory() + key.1.len();
        let (document, discarded) = lock(&self.documents).keep(key, parsed, bytes);
        // Dropped without the lock as well.
        drop(discarded);
        Ok(document)
    }

    /// The set of these documents, in this order and under these names.
    pub(crate) fn set(&self, documents: NamedDocuments) -> PolicySet {
        let key = Same(documents);
        if let Some(kept) = lock(&self.sets).get(&key) {
            return kept;
        }
        let set = PolicySet::new(key.0.clone());
        // A set keeps its documents alive, even when they are no longer cached on their own.
        let documents = key.0.iter().map(|(name, document)| name.len() + document.memory());
        let bytes = set.memory() + size_of_val(&*key.0) + documents.sum::<usize>();
        let (set, discarded) = lock(&self.sets).keep(key, set, bytes);
        drop(discarded);
        set
    }
}

/// The very same documents, compared by their addresses in memory: as long as this value is kept, they stay at these
/// addresses.
struct Same(NamedDocuments);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        let same = |((name, document), (other_name, other)): (&(_, _), &(_, _))| {
            name == other_name && Arc::ptr_eq(document, other)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Eq for Same {}

impl Hash for Same {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.len().hash(state);
        for (name, document) in &self.0 {
            name.hash(state);
            Arc::as_ptr(document).hash(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use policies::{Context, Layers, Request, evaluate};

    use super::*;

    fn text(effect: &str, action: &str) -> String {
        format!(
            r#"{{"Version": "1", "Statement": [{{"Effect": "{effect}", "Action": "{action}", "Resource": "*"}}]}}"#
        )
    }

    fn identity(kept: &CompiledPolicies, text: &str) -> Arc<PolicyDocument> {
        kept.document(text.to_owned(), DocumentKind::Identity).unwrap()
    }

    fn bytes<Key: Eq + Hash, Value: Clone>(kept: &Mutex<Kept<Key, Value>>) -> usize {
        lock(kept).checked_bytes()
    }

    #[test]
    fn the_same_text_is_the_same_document_and_any_other_is_another() {
        let kept = CompiledPolicies::new();
        let allow = text("Allow", "a:b");
        let first = identity(&kept, &allow);
        assert!(Arc::ptr_eq(&first, &identity(&kept, &allow)));
        // A blank, a letter, the case of a letter, the order of elements: each of these makes a different document.
        for other in [
            format!("{allow} "),
            allow.replace("a:b", "a:c"),
            allow.replace("a:b", "a:B"),
            allow.replace("Allow", "Deny"),
        ] {
            let other = identity(&kept, &other);
            assert!(!Arc::ptr_eq(&first, &other));
        }
        let session = kept.document(allow.clone(), DocumentKind::Session).unwrap();
        assert_eq!((first.kind(), session.kind()), (DocumentKind::Identity, DocumentKind::Session));
        assert!(!Arc::ptr_eq(&first, &session));
        assert!(Arc::ptr_eq(&first, &identity(&kept, &allow)));
    }

    #[test]
    fn a_text_that_is_refused_is_refused_each_time() {
        let kept = CompiledPolicies::new();
        for _ in 0..2 {
            assert!(kept.document("{}".to_owned(), DocumentKind::Identity).is_err());
        }
        assert_eq!(bytes(&kept.documents), 0);
    }

    #[test]
    fn a_set_is_the_same_for_the_same_names_and_documents_only() {
        let kept = CompiledPolicies::new();
        let (allow, deny) = (identity(&kept, &text("Allow", "*")), identity(&kept, &text("Deny", "*")));
        let (one, two): (Arc<str>, Arc<str>) = (Arc::from("one"), Arc::from("two"));
        let named =
            |name: &Arc<str>, document: &Arc<PolicyDocument>| (Arc::clone(name), Arc::clone(document));
        let lists = [
            vec![],
            vec![named(&one, &allow)],
            vec![named(&two, &allow)],
            vec![named(&one, &deny)],
            vec![named(&one, &allow), named(&two, &deny)],
            vec![named(&two, &deny), named(&one, &allow)],
            vec![named(&one, &allow), named(&two, &allow)],
        ];
        let decide = |set: &PolicySet| {
            let layers = Layers { identity: set.clone(), ..Layers::default() };
            let context = Context::new();
            let request = Request { principal: "nobody", action: "a:b", resource: "*", context: &context };
            evaluate(&layers, &request)
        };
        for _ in 0..2 {
            for list in &lists {
                assert_eq!(decide(&kept.set(list.clone())), decide(&PolicySet::new(list.clone())));
            }
        }
        assert_eq!(lock(&kept.sets).lengths()[0], lists.len());
        // A different text with the same meaning is a different document, and its set a different set.
        let blank = identity(&kept, &(text("Allow", "*") + " "));
        kept.set(vec![named(&one, &blank)]);
        assert_eq!(lock(&kept.sets).lengths()[0], lists.len() + 1);
    }

    #[test]
    fn no_more_is_kept_than_the_limit_and_what_is_used_stays() {
        let limit = 64 * 1024;
        let kept = CompiledPolicies::within(limit);
        let often = text("Allow", "often:*");
        let first = identity(&kept, &often);
        let mut seen = HashSet::new();
        for number in 0..500 {
            let other = identity(&kept, &text("Allow", &format!("a:b{number}")));
            kept.set(vec![(Arc::from("policy"), Arc::clone(&other))]);
            assert!(bytes(&kept.documents) <= limit && bytes(&kept.sets) <= limit, "after {number}");
            assert!(Arc::ptr_eq(&first, &identity(&kept, &often)), "what is asked for stays, after {number}");
            seen.insert(Arc::as_ptr(&other));
        }
        let left = {
            let documents = lock(&kept.documents);
            documents.lengths().iter().sum::<usize>()
        };
        assert!((10..300).contains(&left), "{left} documents are left of 501");
        // A document that was not looked up again is gone: only this test still holds it.
        let rare = text("Allow", "rare:*");
        let rarely = identity(&kept, &rare);
        for number in 0..500 {
            identity(&kept, &text("Deny", &format!("a:b{number}")));
        }
        assert_eq!(Arc::strong_count(&rarely), 1);
        assert!(!Arc::ptr_eq(&rarely, &identity(&kept, &rare)));
    }

    #[test]
    fn what_is_larger_than_the_room_is_made_and_not_kept() {
        let kept = CompiledPolicies::within(1_000);
        let large = text("Allow", &"a:*".replace('*', &"long*".repeat(100)));
        let document = identity(&kept, &large);
        assert_eq!(document.statement_count(), 1);
        assert_eq!(kept.set(vec![(Arc::from("large"), document)]).policies().len(), 1);
        assert_eq!((bytes(&kept.documents), bytes(&kept.sets)), (0, 0));
    }

    #[test]
    fn many_at_once_get_what_they_asked_for() {
        let kept = CompiledPolicies::within(32 * 1024);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let kept = &kept;
                scope.spawn(move || {
                    for number in 0..400 {
                        let effect = if number % 2 == 0 { "Allow" } else { "Deny" };
                        let document =
                            identity(kept, &text(effect, &format!("a:b{}", (number + thread) % 60)));
                        let set = kept.set(vec![(Arc::from("policy"), document)]);
                        let layers = Layers { identity: set, ..Layers::default() };
                        let context = Context::new();
                        let action = format!("a:b{}", (number + thread) % 60);
                        let request = Request {
                            principal: "nobody",
                            action: &action,
                            resource: "*",
                            context: &context,
                        };
                        assert_eq!(evaluate(&layers, &request).is_allow(), effect == "Allow");
                    }
                });
            }
        });
        assert!(bytes(&kept.documents) <= 32 * 1024 && bytes(&kept.sets) <= 32 * 1024);
    }
}
