//! `docs/policies.md` says of each action what it is asked on, names every condition key and every ready-made policy.
//! `UPDATE_PAGE=1 cargo test --test policy_page` writes the table of actions anew.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and is told by the environment"
)]

use std::path::Path;

use domain::actions::{CATALOGUE, CatalogueEntry, Product};
use domain::system_policies;
use domain::vocabulary::{CONDITION_KEYS, Form, asked_on};

const HEAD: &str = "| action | asked on |\n|---|---|\n";

#[test]
fn the_page_for_authors_says_what_the_program_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(HEAD).unwrap();
    let end = rest.find("\n\n").unwrap() + 1;
    let (table, after) = rest.split_at(end);
    if std::env::var_os("UPDATE_PAGE").is_some() {
        std::fs::write(path, [before, HEAD, &actions(), after].concat()).unwrap();
        return;
    }
    assert_eq!(table, actions(), "UPDATE_PAGE=1 writes the table of actions anew");
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
    assert!(page.contains(&format!("After {steps} steps it answers `unknown`")));
    for policy in system_policies::ALL {
        assert!(page.contains(&format!("`{}`", policy.name)), "docs/policies.md lacks {}", policy.name);
    }
}

/// The rows of the actions of the wire, by product.
fn actions() -> String {
    let of = |product| CATALOGUE.iter().filter(move |entry| entry.product == product);
    Product::ALL.iter().copied().flat_map(of).filter_map(row).collect()
}

fn row(entry: &CatalogueEntry) -> Option<String> {
    let forms = asked_on(entry)?.alternatives.iter().map(|forms| {
        let names: Vec<&str> = forms.iter().copied().map(name).collect();
        names.join(" and ")
    });
    let forms = forms.collect::<Vec<_>>().join(" or ");
    Some(format!("| `{}` | {forms} |\n", entry.ram_action()))
}

fn name(form: Form) -> &'static str {
    match form {
        Form::Everything => "`*`",
        other => other.in_words(),
    }
}
