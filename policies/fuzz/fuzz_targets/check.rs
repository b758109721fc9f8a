//! The linter on any bytes: an Error exactly where the reader refuses, and every place inside the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use policies::{PolicyDocument, Severity, Vocabulary, check};
use policies_fuzz::{KINDS, vocabulary};

fuzz_target!(|text: &[u8]| {
    let lines = text.split(|byte| *byte == b'\n').count();
    for vocabulary in [Vocabulary::new(), vocabulary()] {
        for kind in KINDS {
            let findings = check(text, kind, &vocabulary);
            let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
            assert_eq!(refused, PolicyDocument::parse(text, kind).is_err(), "{findings:#?}");
            for finding in &findings {
                assert!((1..=lines).contains(&finding.line) && finding.column >= 1, "{finding}");
                assert!(!finding.message.is_empty() && !finding.mend.is_empty(), "{finding}");
            }
        }
    }
});
