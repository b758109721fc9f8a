//! The committed document is the compiled one. After a change of the wire run
//! `UPDATE_OPENAPI=1 cargo test -p openapi --test committed` and commit the difference.

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ecs-workbench-2022-02-20.json");

#[test]
#[allow(clippy::disallowed_methods, reason = "a test program's own switch, not a setting of the product")]
fn the_committed_document_is_the_compiled_one() {
    let compiled = openapi::documents::workbench_text();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(COMMITTED, &compiled).expect("the committed document can be written");
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    if let Some((number, (was, is))) =
        committed.lines().zip(compiled.lines()).enumerate().find(|(_, (a, b))| a != b)
    {
        panic!(
            "{COMMITTED} differs from line {} on:\n  committed: {was}\n  compiled:  {is}\n\
             UPDATE_OPENAPI=1 cargo test -p openapi --test committed writes it anew",
            number + 1
        );
    }
    assert!(committed == compiled, "{COMMITTED} has another length; UPDATE_OPENAPI=1 writes it anew");
}
