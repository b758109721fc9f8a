//! The committed documents are the compiled ones. After a change of the wire run
//! `UPDATE_OPENAPI=1 cargo test -p openapi --test committed` and commit the difference.

use domain::actions::Product;
use openapi::documents::{document_text, file_name};

#[test]
#[allow(clippy::disallowed_methods, reason = "a test program's own switch, not a setting of the product")]
fn the_committed_documents_are_the_compiled_ones() {
    for product in Product::ALL.iter().copied() {
        let path = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), file_name(product));
        let compiled = document_text(product);
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(&path, &compiled).expect("the committed document can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some((number, (was, is))) =
            committed.lines().zip(compiled.lines()).enumerate().find(|(_, (a, b))| a != b)
        {
            panic!(
                "{path} differs from line {} on:\n  committed: {was}\n  compiled:  {is}\n\
                 UPDATE_OPENAPI=1 cargo test -p openapi --test committed writes it anew",
                number + 1
            );
        }
        assert!(committed == compiled, "{path} has another length; UPDATE_OPENAPI=1 writes it anew");
    }
}
