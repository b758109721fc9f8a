//! The line of `hansard call` that makes a call, for each operation of a document. Swagger UI cannot sign requests, so
//! that this is how a reader tries one out. The values are those of the parameters' examples; what an example needs
//! besides stands here.

use domain::parameter::Shape;
use serde_json::Value;

use crate::parameters::Row;

/// Values for one action: in place of a parameter's example, or of a parameter that may be omitted but without which
/// the call shows little.
const OF_ACTIONS: &[(&str, &str, &str)] = &[
    ("SetInstanceRecordConfig", "InstanceId", "*"),
    ("GetInstanceRecordConfig", "InstanceId", "*"),
    ("VerifyAgentRecordings", "InstanceId", "i-bp1example"),
    ("SimulatePolicy", "StoredPrincipal", "user/ana"),
    ("GetUser", "UserName", "ana"),
    ("UpdateUser", "NewDisplayName", "Ana Example"),
    ("UpdateGroup", "NewComments", "They operate the instances."),
    ("UpdateRole", "NewDescription", "Watches recordings."),
    ("UpdateLoginProfile", "PasswordResetRequired", "true"),
    ("UpdateAccessKey", "UserName", "ana"),
    ("UpdateAccessKey", "Status", "Inactive"),
    ("DeleteAccessKey", "UserName", "ana"),
    ("CreateAccessKey", "UserName", "ana"),
    ("ListAccessKeys", "UserName", "ana"),
    ("GetAccessKeyLastUsed", "UserName", "ana"),
    ("GetUserMFAInfo", "UserName", "ana"),
    ("SetPasswordPolicy", "MinimumPasswordLength", "14"),
];

/// Values of mandatory parameters whose schema has no example.
const OF_PARAMETERS: &[(&str, &str)] = &[
    (
        "AssumeRolePolicyDocument",
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"RAM":["acs:ram::1609982529000000:root"]}}]}"#,
    ),
    (
        "PolicyDocument",
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:List*","Resource":"*"}]}"#,
    ),
    ("EncodedDiagnosticMessage", "TheMessageOfTheDenial"),
    ("GroupName", "operators"),
    ("NewDescription", "Lists recordings."),
    ("Password", "Correct-Horse-7"),
    ("PolicyName", "read-only"),
    ("PolicyType", "Custom"),
    ("RoleName", "auditor"),
    ("UserName", "ana"),
];

/// What an operation's description says: how to make the call. Markdown.
pub(crate) fn description(action: &str, parameters: &[Row]) -> String {
    let line = command_line(action, parameters);
    format!("With the command line, which signs the call:\n\n```sh\n{line}\n```")
}

/// The line. A mandatory parameter without any value, which a test finds, stands for itself.
fn command_line(action: &str, parameters: &[Row]) -> String {
    let mut words = vec!["hansard call".to_owned(), action.to_owned()];
    let helps = |row: &&Row| OF_ACTIONS.iter().any(|(of, name, _)| *of == action && *name == row.name);
    let mandatory = parameters.iter().filter(|row| row.mandatory);
    for row in mandatory.chain(parameters.iter().filter(|row| !row.mandatory).filter(helps)) {
        let value = value_of(action, row).unwrap_or_else(|| row.name.to_owned());
        // `hansard call` takes a value that begins with `@` for the name of a file.
        let escape = if value.starts_with('@') { "@" } else { "" };
        words.push(quoted(&format!("{}={escape}{value}", row.name)));
    }
    words.join(" ")
}

fn value_of(action: &str, row: &Row) -> Option<String> {
    let of_action = OF_ACTIONS.iter().find(|(of, name, _)| *of == action && *name == row.name);
    if let Some((.., value)) = of_action {
        return Some((*value).to_owned());
    }
    if let Some(example) = &row.example {
        return Some(match example {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
    }
    let of_parameter = OF_PARAMETERS.iter().find(|(name, _)| *name == row.name);
    of_parameter
        .map(|(_, value)| (*value).to_owned())
        .or_else(|| (row.shape == Shape::Flag).then(|| "true".to_owned()))
}

/// One word of a shell: quoted where a shell would split or change it.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_@%+=:,./-".contains(character);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use domain::actions::Product;
    use domain::parameter::TextShape;

    use super::*;
    use crate::documents::document;

    fn lines() -> Vec<String> {
        let documents =
            Product::ALL.iter().copied().map(|product| serde_json::to_value(document(product)).unwrap());
        let line = |item: &Value| {
            let description = item["post"]["description"].as_str().unwrap();
            let (_, fenced) = description.split_once("```sh\n").unwrap();
            fenced.strip_suffix("\n```").unwrap().to_owned()
        };
        documents
            .flat_map(|document| {
                document["paths"].as_object().unwrap().values().map(line).collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn lines_have_what_is_mandatory_and_what_is_helpful() {
        let lines = lines();
        for expected in [
            "hansard call SetInstanceRecordConfig Enabled=true 'InstanceId=*'",
            "hansard call GetCallerIdentity",
            "hansard call CreateUser UserName=ana",
            "hansard call UpdateUser UserName=ana 'NewDisplayName=Ana Example'",
            "hansard call AttachPolicyToUser PolicyType=Custom PolicyName=read-only UserName=ana",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:#?}");
        }
        assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:#?}");
    }

    #[test]
    fn each_mandatory_parameter_has_a_value() {
        for line in lines() {
            for (name, value) in line.split(' ').filter_map(|word| word.split_once('=')) {
                assert_ne!(name, value, "{line}: give {name} an example, in its schema or in this file");
            }
        }
    }

    #[test]
    fn each_row_belongs_to_a_parameter() {
        for (action, parameter, _) in OF_ACTIONS {
            let named =
                Product::ALL.iter().filter_map(|product| crate::documents::parameters_of(*product, action));
            assert!(named.flatten().any(|name| name == *parameter), "{action} has no {parameter}");
        }
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        let row = |example: Option<&str>| Row {
            name: "A",
            about: "",
            mandatory: true,
            example: example.map(Value::from),
            default: None,
            shape: TextShape::default().into(),
            breaks: &[],
            check: |_| Ok(()),
        };
        for (example, expected) in [
            ("plain-1.2:3/4", "hansard call Do A=plain-1.2:3/4"),
            ("it's $HOME", r"hansard call Do 'A=it'\''s $HOME'"),
            ("@file", "hansard call Do A=@@file"),
            ("", "hansard call Do A="),
        ] {
            assert_eq!(command_line("Do", &[row(Some(example))]), expected);
        }
        assert_eq!(command_line("Do", &[row(None)]), "hansard call Do A=A");
    }
}
