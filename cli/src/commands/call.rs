//! `hansard call ACTION Name=Value...`: signs any action and prints its reply.

use std::path::Path;

use crate::arguments::CallArguments;
use crate::client::Client;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::{policy_findings, terminal};

/// Runs the command.
///
/// # Errors
/// A parameter is malformed, or the call is refused.
pub(crate) async fn run(arguments: &CallArguments, environment: &Environment) -> Result<(), Failure> {
    let parameters = parameters(&arguments.parameters)?;
    let client = Client::from_environment(environment)?;
    let reply = client.call(&arguments.action, &parameters).await?;
    terminal::print_json(&reply)?;
    // They are in the reply too, where they are easily overlooked.
    policy_findings::note(&policy_findings::of_reply(&reply));
    Ok(())
}

fn parameters(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for text in texts {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Failure::usage(format!("\"{text}\" is not a parameter; write Name=Value")))?;
        if parameters.iter().any(|(given, _)| given == name) {
            return Err(Failure::usage(format!("the parameter {name} is given twice")));
        }
        parameters.push((name.to_owned(), value_of(name, value)?));
    }
    Ok(parameters)
}

/// The value itself, the text of `@FILE`, or what follows the first of two `@`.
fn value_of(name: &str, value: &str) -> Result<String, Failure> {
    match value.strip_prefix('@') {
        Some(literal) if literal.starts_with('@') => Ok(literal.to_owned()),
        Some(file) => std::fs::read_to_string(Path::new(file)).map_err(|error| {
            Failure::usage(format!("the file {file} of the parameter {name} cannot be read: {error}"))
        }),
        None => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Vec<(String, String)>, Failure> {
        parameters(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn values_come_from_the_command_line_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("value");
        std::fs::write(&file, "from = a file").unwrap();
        let from_file = format!("C=@{}", file.display());
        let given = read(&["A=1=2", "B=", &from_file, "D=@@x"]).unwrap();
        let expected = [("A", "1=2"), ("B", ""), ("C", "from = a file"), ("D", "@x")];
        assert_eq!(given, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn malformed_parameters_are_named() {
        for (texts, expected) in [
            (&["InstanceId"][..], "\"InstanceId\" is not a parameter"),
            (&["=x"][..], "\"=x\" is not a parameter"),
            (&["A=1", "A=2"][..], "A is given twice"),
            (&["A=@/nowhere/at/all"][..], "the file /nowhere/at/all of the parameter A cannot be read"),
        ] {
            let failure = read(texts).unwrap_err();
            assert!(failure.message().contains(expected), "{failure}");
            assert_eq!(failure.exit_code(), 2);
        }
    }
}
