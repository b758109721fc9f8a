//! `hansard call ACTION Name=Value...`: signs any action and prints its reply.

use std::path::Path;

use openapi::documents::parameters_of;
use openapi::lists::list_of;

use crate::arguments::CallArguments;
use crate::client::{Client, product_of};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::{policy_findings, terminal};

/// Runs the command.
///
/// # Errors
/// A parameter is malformed, or the call is refused.
pub(crate) async fn run(arguments: &CallArguments, environment: &Environment) -> Result<(), Failure> {
    let parameters = parameters(&arguments.parameters)?;
    for name in ignored(&arguments.action, &parameters) {
        terminal::note(&format!("warning: {} has no parameter {name}; it is ignored", arguments.action));
    }
    let client = Client::from_environment(environment)?;
    let reply = client.call(&arguments.action, &parameters).await?;
    terminal::print_json(&reply)?;
    // They are in the reply too, where they are easily overlooked.
    policy_findings::note(&policy_findings::of_reply(&reply));
    Ok(())
}

/// Parameters that any call may have: those of requests in the older form, and the region, which SDKs send.
const OF_ANY_CALL: [&str; 10] = [
    "AccessKeyId",
    "Action",
    "Format",
    "RegionId",
    "SecurityToken",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureVersion",
    "Timestamp",
    "Version",
];

/// The parameters that the server ignores, because the action does not have them.
fn ignored<'a>(action: &str, parameters: &'a [(String, String)]) -> Vec<&'a str> {
    let known = product_of(action).and_then(|product| parameters_of(product, action));
    // Of an unknown action the server says that there is none.
    let Some(known) = known else { return Vec::new() };
    let names = parameters.iter().map(|(name, _)| name.as_str());
    let is_known = |name: &str| known.iter().any(|known| known == name);
    names
        .filter(|name| !OF_ANY_CALL.contains(name) && !is_known(name))
        .filter(|name| !list_of(name).is_some_and(is_known))
        .collect()
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
    use clap::Parser as _;

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
    fn parameters_that_an_action_does_not_have_are_known_to_be_ignored() {
        let given = read(&["InstanceId=i-1", "Instanceid=i-1", "RegionId=cn-hangzhou", "Days=7"]).unwrap();
        assert_eq!(ignored("GetInstanceRecordConfig", &given), ["Instanceid", "Days"]);
        assert_eq!(ignored("GetUser", &read(&["UserName=ana"]).unwrap()), [""; 0]);
        let given = read(&["Tag.1.Key=a", "Tag.x.Key=a"]).unwrap();
        assert_eq!(ignored("CreateRole", &given), ["Tag.x.Key"]);
        assert_eq!(ignored("GetRole", &given), ["Tag.1.Key", "Tag.x.Key"]);
        assert_eq!(ignored("NoSuchAction", &given), [""; 0]);
    }

    /// A line's words, as the shell splits them.
    fn words_of(line: &str) -> Vec<String> {
        let script = format!("printf '%s\\0' {line}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{line}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn the_lines_of_the_documents_are_accepted_as_they_stand() {
        for product in domain::actions::Product::ALL.iter().copied() {
            let document = serde_json::to_value(openapi::documents::document(product)).unwrap();
            for operation in document["paths"].as_object().unwrap().values().map(|item| &item["post"]) {
                let (_, line) = operation["description"].as_str().unwrap().split_once("```sh\n").unwrap();
                let words = words_of(line.strip_suffix("\n```").unwrap());
                let arguments = crate::arguments::Arguments::try_parse_from(&words).unwrap();
                let crate::arguments::Command::Call(arguments) = arguments.command else { panic!("{line}") };
                assert_eq!(operation["operationId"], *arguments.action);
                let parameters = parameters(&arguments.parameters).unwrap();
                assert_eq!(ignored(&arguments.action, &parameters), [""; 0], "{line}");
            }
        }
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
