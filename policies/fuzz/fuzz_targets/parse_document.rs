//! Any bytes as a document of any kind. What is read can be written canonically, once and for all, and means the same.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use policies::{DocumentKind, PolicyDocument, PolicySet, Verdict, Vocabulary, diff, format};
use policies_fuzz::{KINDS, alone, decisions};

/// Comparing exactly takes its time, so longer documents are compared by asking them.
const COMPARED_BYTES: usize = 600;

fuzz_target!(|text: &[u8]| {
    for kind in KINDS {
        match PolicyDocument::parse(text, kind) {
            Ok(document) => means_the_same_when_formatted(text, document),
            Err(refused) => {
                assert!(refused.line >= 1 && refused.column >= 1 && !refused.message.is_empty());
                assert_eq!(format(text, kind).expect_err("what is refused has no form"), refused);
            }
        }
    }
});

fn means_the_same_when_formatted(text: &[u8], document: PolicyDocument) {
    let kind = document.kind();
    let formatted = format(text, kind).expect("what is read has a form");
    let again = PolicyDocument::parse(formatted.as_bytes(), kind).expect("the form is read");
    assert_eq!(format(formatted.as_bytes(), kind).expect("it has a form"), formatted);
    assert_eq!(again.statement_count(), document.statement_count());
    if kind == DocumentKind::Identity && text.len() <= COMPARED_BYTES {
        let set = |text: &[u8]| {
            let document = PolicyDocument::parse(text, kind).expect("it was read before");
            PolicySet::new(vec![(Arc::from("compared"), Arc::new(document))])
        };
        let difference = diff(&set(text), &set(formatted.as_bytes()), &Vocabulary::new());
        for side in [&difference.only_a, &difference.only_b] {
            assert!(!matches!(side.verdict, Verdict::Something), "{difference}\n{formatted}");
        }
    }
    assert_eq!(decisions(&alone(document)), decisions(&alone(again)), "{formatted}");
}
