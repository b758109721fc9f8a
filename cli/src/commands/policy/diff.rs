//! `hansard policy diff A B`

use std::path::Path;
use std::sync::Arc;

use policies::{Difference, Direction, DocumentKind, Gap, PolicyDocument, PolicySet, Verdict, diff};
use recording::sanitise::sanitised_lines;
use serde_json::{Map, Value, json};

use super::files;
use crate::arguments::{DiffArguments, Output};
use crate::failure::{Failure, exit_code};
use crate::terminal;

/// Runs the command and gives its exit code.
///
/// # Errors
/// A document cannot be read or is refused.
pub(super) fn run(arguments: &DiffArguments, output: Output) -> Result<u8, Failure> {
    let kind = arguments.kind.into();
    let (a, b) = (set(&arguments.a, kind)?, set(&arguments.b, kind)?);
    let difference = diff(&a, &b, &domain::vocabulary::vocabulary());
    match output {
        Output::Json => terminal::print_json(&as_json(&difference))?,
        Output::Table => {
            let names = format!("A is {}, B is {}\n", files::name(&arguments.a), files::name(&arguments.b));
            terminal::print(&sanitised_lines(&(names + &difference.to_string())))?;
        }
    }
    Ok(exit_code_of(&difference))
}

fn set(path: &Path, kind: DocumentKind) -> Result<PolicySet, Failure> {
    let draft = files::draft(path)?;
    match PolicyDocument::parse(&draft.text, kind) {
        Ok(document) => Ok(PolicySet::new(vec![(draft.name.into(), Arc::new(document))])),
        Err(refused) => Err(Failure::usage(format!("{}: {refused}", draft.name))),
    }
}

/// A difference that was found counts, whatever else is unknown.
fn exit_code_of(difference: &Difference) -> u8 {
    let directions = [&difference.only_b, &difference.only_a];
    if directions.iter().any(|direction| !direction.gaps.is_empty()) {
        exit_code::DIFFERENT
    } else if directions.iter().any(|direction| matches!(direction.verdict, Verdict::Unknown { .. })) {
        exit_code::UNKNOWN
    } else {
        0
    }
}

fn as_json(difference: &Difference) -> Value {
    json!({
        "OnlyB": direction(&difference.only_b),
        "OnlyA": direction(&difference.only_a),
        "ExitCode": exit_code_of(difference),
    })
}

fn direction(direction: &Direction) -> Value {
    let mut value = json!({
        "Verdict": match direction.verdict {
            Verdict::Nothing => "Nothing",
            Verdict::Something => "Something",
            Verdict::Unknown { .. } => "Unknown",
        },
        "Gaps": direction.gaps.iter().map(gap).collect::<Vec<_>>(),
        "Bounds": direction.bounds,
    });
    if let Verdict::Unknown { why } = &direction.verdict {
        value["Why"] = json!(why);
    }
    value
}

fn gap(gap: &Gap) -> Value {
    let keys = gap.witness.condition_keys.iter().map(|(key, value)| (key.clone(), json!(value)));
    json!({
        "AllowedBy": gap.allowed_by.to_string(),
        "Refused": gap.refused.to_string(),
        "Request": {
            "Principal": gap.witness.principal,
            "Action": gap.witness.action,
            "Resource": gap.witness.resource,
            "Context": keys.collect::<Map<_, _>>(),
        },
        "DependsOn": gap.depends_on,
    })
}
