//! From the JSON tree to compiled statements. Every element is named exactly; anything else is refused.

use crate::action::{ActionPattern, Actions};
use crate::conditions::{Conditions, KeyTest};
use crate::document::{DocumentKind, Effect, Statement};
use crate::invalid::{Fault, Path, Reason};
use crate::json::{self, Member, Node, Value};
use crate::keys;
use crate::operators::{self, Operator};
use crate::principal::{PrincipalKind, PrincipalPattern};
use crate::resource::{ResourcePattern, Resources};
use crate::values::ValueType;

type Found<T> = Result<T, Fault>;

pub(crate) fn read(text: &str, kind: DocumentKind) -> Found<Box<[Statement]>> {
    let root = json::read(text)?;
    let path = Path::default();
    let members = object(&root, &path, "a policy", "{\"Version\": \"1\", \"Statement\": [...]}")?;
    let mut version = None;
    let mut statement = None;
    for member in members {
        match &*member.name {
            "Version" => version = Some(&member.value),
            "Statement" => statement = Some(&member.value),
            _ => return Err(unknown_element(member, &path, &["Version", "Statement"])),
        }
    }
    check_version(version.ok_or_else(|| missing(&root, &path, "Version", "add \"Version\": \"1\""))?, &path)?;
    let statement = statement
        .ok_or_else(|| missing(&root, &path, "Statement", "add a list with at least one statement"))?;
    let path = path.child("Statement");
    match &statement.value {
        // A single value equals a one-element list wherever a list is allowed.
        Value::Object(_) => Ok(Box::new([read_statement(statement, &path, kind)?])),
        Value::List(entries) if entries.is_empty() => {
            Err(fault(Reason::EmptyList, statement, &path, "Statement is empty; add at least one statement"))
        }
        Value::List(entries) => entries
            .iter()
            .enumerate()
            .map(|(index, entry)| read_statement(entry, &path.child(index.to_string()), kind))
            .collect(),
        _ => Err(mismatch(statement, &path, "Statement", "a list of statements")),
    }
}

fn check_version(version: &Node, path: &Path) -> Found<()> {
    let path = path.child("Version");
    match &version.value {
        Value::Text(text) if text == "1" => Ok(()),
        Value::Text(text) => {
            let message = format!("Version is {text:?}; RAM has only the version \"1\"");
            Err(fault(Reason::InvalidVersion, version, &path, message))
        }
        _ => Err(mismatch(version, &path, "Version", "the string \"1\", in quotes")),
    }
}

/// The elements that a statement may have, and those that it has.
#[derive(Default)]
struct Elements<'a> {
    effect: Option<&'a Node>,
    action: Option<&'a Member>,
    resource: Option<&'a Member>,
    principal: Option<&'a Node>,
    condition: Option<&'a Node>,
}

fn read_statement(node: &Node, path: &Path, kind: DocumentKind) -> Found<Statement> {
    let elements = elements(node, path, kind)?;
    let effect = elements
        .effect
        .ok_or_else(|| missing(node, path, "Effect", "add \"Effect\": \"Allow\" or \"Effect\": \"Deny\""))?;
    let effect = read_effect(effect, &path.child("Effect"))?;
    let action = elements.action.ok_or_else(|| missing(node, path, "Action", "add Action or NotAction"))?;
    let actions = read_actions(action, &path.child(&*action.name))?;
    let (resources, principals) = if kind == DocumentKind::Trust {
        let principal = elements.principal.ok_or_else(|| {
            missing(
                node,
                path,
                "Principal",
                "add whom the role trusts, such as {\"RAM\": \"acs:ram::<account-id>:root\"}",
            )
        })?;
        (None, Some(read_principals(principal, &path.child("Principal"))?))
    } else {
        let resource = elements.resource.ok_or_else(|| {
            missing(node, path, "Resource", "add Resource, with * for every resource, or NotResource")
        })?;
        (Some(read_resources(resource, &path.child(&*resource.name))?), None)
    };
    let conditions = match elements.condition {
        Some(condition) => read_conditions(condition, &path.child("Condition"))?,
        None => Conditions::default(),
    };
    Ok(Statement { effect, actions, resources, principals, conditions })
}

fn elements<'a>(node: &'a Node, path: &Path, kind: DocumentKind) -> Found<Elements<'a>> {
    const KNOWN: [&str; 7] =
        ["Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "Condition"];
    let mut elements = Elements::default();
    for member in object(node, path, "a statement", "{\"Effect\": ..., \"Action\": ..., \"Resource\": ...}")?
    {
        let refuse = |reason, message: String| {
            Err(Fault::new(reason, member.at, path.child(&*member.name).pointer(), message))
        };
        let pair = match &*member.name {
            "Effect" => {
                elements.effect = Some(&member.value);
                continue;
            }
            "Condition" => {
                elements.condition = Some(&member.value);
                continue;
            }
            "Principal" if kind == DocumentKind::Trust => {
                elements.principal = Some(&member.value);
                continue;
            }
            "Principal" => {
                let message = "Principal belongs into the trust policy of a role; this policy applies to whom it is attached; remove it";
                return refuse(Reason::ElementNotAllowedHere, message.to_owned());
            }
            "Resource" | "NotResource" if kind == DocumentKind::Trust => {
                let message = format!(
                    "{} does not belong into a trust policy, which is about its own role; remove it",
                    member.name
                );
                return refuse(Reason::ElementNotAllowedHere, message);
            }
            "Action" | "NotAction" => &mut elements.action,
            "Resource" | "NotResource" => &mut elements.resource,
            _ => return Err(unknown_element(member, path, &KNOWN)),
        };
        if let Some(first) = pair {
            let message = format!("{} and {} exclude each other; keep one of them", first.name, member.name);
            return refuse(Reason::ConflictingElements, message);
        }
        *pair = Some(member);
    }
    Ok(elements)
}

fn read_effect(node: &Node, path: &Path) -> Found<Effect> {
    match &node.value {
        Value::Text(text) if text == "Allow" => Ok(Effect::Allow),
        Value::Text(text) if text == "Deny" => Ok(Effect::Deny),
        Value::Text(text) => {
            let message = format!("Effect is {text:?}; write exactly \"Allow\" or \"Deny\"");
            Err(fault(Reason::InvalidEffect, node, path, message))
        }
        _ => Err(mismatch(node, path, "Effect", "\"Allow\" or \"Deny\"")),
    }
}

fn read_actions(member: &Member, path: &Path) -> Found<Actions> {
    let patterns = strings(&member.value, path, &member.name)?
        .into_iter()
        .map(|entry| {
            ActionPattern::parse(entry.text)
                .map_err(|message| Fault::new(Reason::InvalidAction, entry.at, entry.pointer(path), message))
        })
        .collect::<Found<_>>()?;
    Ok(Actions { negated: member.name == "NotAction", patterns })
}

fn read_resources(member: &Member, path: &Path) -> Found<Resources> {
    let patterns = strings(&member.value, path, &member.name)?
        .into_iter()
        .map(|entry| {
            ResourcePattern::parse(entry.text)
                .map_err(|error| Fault::new(error.reason, entry.at, entry.pointer(path), error.to_string()))
        })
        .collect::<Found<_>>()?;
    Ok(Resources { negated: member.name == "NotResource", patterns })
}

fn read_principals(node: &Node, path: &Path) -> Found<Box<[PrincipalPattern]>> {
    const FORM: &str = "{\"RAM\": ...}, {\"Service\": ...} or {\"Federated\": ...}";
    if matches!(&node.value, Value::Text(text) if text == "*") {
        let message = format!("a role must not trust everybody; write {FORM}");
        return Err(fault(Reason::InvalidPrincipal, node, path, message));
    }
    let mut patterns = Vec::new();
    for member in object(node, path, "Principal", FORM)? {
        let Some(kind) = PrincipalKind::named(&member.name) else {
            return Err(unknown_element(member, path, &["RAM", "Service", "Federated"]));
        };
        let path = path.child(&*member.name);
        for entry in strings(&member.value, &path, &member.name)? {
            let pattern = PrincipalPattern::parse(kind, entry.text).map_err(|message| {
                Fault::new(Reason::InvalidPrincipal, entry.at, entry.pointer(&path), message)
            })?;
            patterns.push(pattern);
        }
    }
    if patterns.is_empty() {
        return Err(fault(
            Reason::InvalidPrincipal,
            node,
            path,
            format!("Principal names nobody; write {FORM}"),
        ));
    }
    Ok(patterns.into())
}

fn read_conditions(node: &Node, path: &Path) -> Found<Conditions> {
    const FORM: &str = "{operator: {key: values}}";
    let operators = object(node, path, "Condition", FORM)?;
    if operators.is_empty() {
        let message =
            "Condition is empty, so the statement would hold without condition; fill it or remove it";
        return Err(fault(Reason::EmptyCondition, node, path, message));
    }
    let mut tests = Vec::new();
    for member in operators {
        let path = path.child(&*member.name);
        let Some(operator) = operators::named(&member.name) else {
            let message = format!(
                "RAM has no condition operator {:?}; {}",
                member.name,
                operators::hint_for_unknown(&member.name)
            );
            return Err(Fault::new(Reason::InvalidConditionOperator, member.at, path.pointer(), message));
        };
        let keys = object(&member.value, &path, operator.name, "{key: values}")?;
        if keys.is_empty() {
            let message = format!("{} has no key; add one or remove the operator", operator.name);
            return Err(fault(Reason::EmptyCondition, &member.value, &path, message));
        }
        for (index, key) in keys.iter().enumerate() {
            check_key(key, &keys[..index], &path)?;
            tests.push(read_test(operator, key, &path.child(&*key.name))?);
        }
    }
    Ok(Conditions::new(tests))
}

fn check_key(key: &Member, earlier: &[Member], path: &Path) -> Found<()> {
    let name = &*key.name;
    let refuse = |reason, message| Err(Fault::new(reason, key.at, path.child(name).pointer(), message));
    let well_formed = name.split_once(':').is_some_and(|(service, rest)| {
        let code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        // Blanks are fine in the name of a tag and nowhere else.
        let plain = rest.split_once('/').map_or(rest, |(name, _)| name);
        !service.is_empty()
            && service.chars().all(code)
            && !plain.is_empty()
            && !plain.contains(char::is_whitespace)
    });
    if !well_formed {
        let message =
            format!("{name:?} is not a condition key; write <ram-code>:<name>, such as acs:SourceIp");
        return refuse(Reason::InvalidConditionKey, message);
    }
    if let Some(twin) = earlier.iter().find(|other| other.name.eq_ignore_ascii_case(name)) {
        let message = format!(
            "{name:?} and {:?} are the same key, since case does not count; keep one of them",
            twin.name
        );
        return refuse(Reason::DuplicateConditionKey, message);
    }
    let ours = name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("acs:"));
    if ours && keys::about(name).is_none() {
        let message = format!(
            "nothing ever sets the key {name:?}, so it would be a silent hole; the acs: keys are {}",
            keys::all()
        );
        return refuse(Reason::UnknownConditionKey, message);
    }
    Ok(())
}

fn read_test(operator: &Operator, key: &Member, path: &Path) -> Found<KeyTest> {
    let entries = strings(&key.value, path, &key.name)?;
    if operator.value_type == ValueType::Boolean && entries.len() > 1 {
        let message = "Bool takes one value only; keep \"true\" or \"false\"";
        return Err(fault(Reason::MultipleBooleanValues, &key.value, path, message));
    }
    let values: Vec<&str> = entries.iter().map(|entry| entry.text).collect();
    KeyTest::new(operator, &key.name, &values).map_err(|index| {
        let entry = &entries[index];
        let form = match operator.value_type {
            ValueType::Text => "text",
            ValueType::Number => "a decimal number such as 10 or -2.5",
            ValueType::Instant => "a date and time with offset such as 2026-03-01T17:00:00+08:00",
            ValueType::Boolean => "true or false",
            ValueType::Address => "an address or block such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32",
        };
        let message = format!("{} cannot read {:?}; write {form}", operator.name, entry.text);
        Fault::new(Reason::InvalidConditionValue, entry.at, entry.pointer(path), message)
    })
}

/// One string of an element that takes a string or a list of strings.
struct Entry<'a> {
    text: &'a str,
    at: usize,
    /// Its place in the list; None for a single string.
    index: Option<usize>,
}

impl Entry<'_> {
    fn pointer(&self, element: &Path) -> String {
        match self.index {
            Some(index) => element.child(index.to_string()).pointer(),
            None => element.pointer(),
        }
    }
}

fn strings<'a>(node: &'a Node, path: &Path, element: &str) -> Found<Vec<Entry<'a>>> {
    let wanted = "a string in quotes, or a list of them";
    match &node.value {
        Value::Text(text) => Ok(vec![Entry { text, at: node.at, index: None }]),
        Value::List(entries) if entries.is_empty() => {
            let message = format!("the list of {element} is empty; add an entry");
            Err(fault(Reason::EmptyList, node, path, message))
        }
        Value::List(entries) => entries
            .iter()
            .enumerate()
            .map(|(index, entry)| match &entry.value {
                Value::Text(text) => Ok(Entry { text, at: entry.at, index: Some(index) }),
                _ => Err(mismatch(entry, &path.child(index.to_string()), element, "a string in quotes")),
            })
            .collect(),
        _ => Err(mismatch(node, path, element, wanted)),
    }
}

fn object<'a>(node: &'a Node, path: &Path, what: &str, form: &str) -> Found<&'a [Member]> {
    match &node.value {
        Value::Object(members) => Ok(members),
        _ => Err(mismatch(node, path, what, &format!("an object, {form}"))),
    }
}

fn fault(reason: Reason, node: &Node, path: &Path, message: impl Into<String>) -> Fault {
    Fault::new(reason, node.at, path.pointer(), message)
}

fn mismatch(node: &Node, path: &Path, what: &str, wanted: &str) -> Fault {
    let message = format!("{what} is {}; write {wanted}", node.type_name());
    fault(Reason::DataTypeMismatch, node, path, message)
}

fn missing(node: &Node, path: &Path, element: &str, mend: &str) -> Fault {
    fault(Reason::MissingElement, node, path, format!("{element} is missing; {mend}"))
}

fn unknown_element(member: &Member, path: &Path, known: &[&str]) -> Fault {
    let name = &*member.name;
    let hint = if let Some(meant) = known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        format!("element names are exact; write {meant}")
    } else {
        match name {
            "Sid" | "Id" => "that one is from AWS; remove it".to_owned(),
            "NotPrincipal" => "that one is from AWS; name the principals that are meant".to_owned(),
            "AWS" => "that one is from AWS; write RAM".to_owned(),
            "Comment" => "a policy has no comments; remove it".to_owned(),
            _ => format!("the elements here are {}", known.join(", ")),
        }
    };
    let message = format!("RAM has no element {name:?}; {hint}");
    Fault::new(Reason::UnknownElement, member.at, path.child(name).pointer(), message)
}
