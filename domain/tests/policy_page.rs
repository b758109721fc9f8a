//! `docs/policies.md` says of each action what it is asked on, names every condition key and every ready-made policy.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use domain::actions::{CATALOGUE, Door};
use domain::system_policies;
use domain::vocabulary::{CONDITION_KEYS, Form, asked_on};

#[test]
fn the_page_for_authors_says_what_the_program_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies.md");
    let page = std::fs::read_to_string(path).unwrap();
    for entry in CATALOGUE.iter().filter(|entry| entry.door == Door::Wire) {
        let forms = asked_on(entry).unwrap().alternatives.iter().map(|forms| {
            let names: Vec<&str> = forms.iter().copied().map(name).collect();
            names.join(" and ")
        });
        let row = format!("| `{}` | {} |", entry.ram_action(), forms.collect::<Vec<_>>().join(" or "));
        assert!(page.contains(&row), "docs/policies.md lacks the row: {row}");
    }
    // No row is left of an action that went.
    let table = page.split_once("| action | asked on |\n|---|---|\n").unwrap().1;
    let rows = table.lines().take_while(|line| line.starts_with('|')).count();
    assert_eq!(rows, CATALOGUE.iter().filter(|entry| entry.door == Door::Wire).count());
    let table = page.split_once("| key | value | set by |\n|---|---|---|\n").unwrap().1;
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    for key in CONDITION_KEYS {
        let begins = format!("| `{}{}` | ", key.name, if key.name.ends_with('/') { "<key>" } else { "" });
        let ends = format!(" | {} |", key.set_by.in_words());
        let found = rows.iter().any(|row| row.starts_with(&begins) && row.ends_with(&ends));
        assert!(found, "docs/policies.md lacks the row {begins}...{ends}");
    }
    assert_eq!(rows.len(), CONDITION_KEYS.len());
    let steps = "10,000,000";
    assert_eq!(steps.replace(',', ""), policies::MAX_DIFFERENCE_STEPS.to_string());
    assert!(page.contains(&format!("Past {steps} steps it says `unknown`")));
    for policy in system_policies::ALL {
        assert!(page.contains(&format!("`{}`", policy.name)), "docs/policies.md lacks {}", policy.name);
    }
}

fn name(form: Form) -> &'static str {
    match form {
        Form::Everything => "`*`",
        other => other.in_words(),
    }
}
