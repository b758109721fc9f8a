//! Compiles the JSON tree to statements. Every known element is listed by name; any other element is refused.
//!
//! INVARIANT: whatever cannot be read leaves a fault. Reading continues after a fault, so that an author sees all of
//! them at once; but a document with any fault is refused as a whole, and the first fault is the reason for the
//! refusal.

use crate::action::{ActionPattern, Actions};
use crate::conditions::{Conditions, KeyTest};
use crate::invalid::{Fault, Path, Reason};
use crate::json::{self, MAX_DEPTH, Member, Node, Value};
use crate::keys;
use crate::operators::{self, Operator};
use crate::principal::{PrincipalKind, PrincipalPattern, Principals};
use crate::resource::{ResourcePattern, Resources};
use crate::statement::{DocumentKind, Effect, Statement};
use crate::values::ValueType;

/// The result of reading a text.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The JSON tree; None if the text is not JSON.
    pub(crate) root: Option<Node>,
    /// The statements in their order; `None` for a statement that could not be read as a whole.
    pub(crate) statements: Vec<Option<Statement>>,
    /// Everything that is wrong, in the order in which it was found.
    pub(crate) faults: Vec<Fault>,
}

/// Reads a document that has to be correct as a whole.
pub(crate) fn read(text: &str, kind: DocumentKind) -> Result<Box<[Statement]>, Fault> {
    let reading = read_all(text, kind);
    if let Some(first) = reading.faults.into_iter().next() {
        return Err(first);
    }
    // By the invariant, no statement is missing here. If one were, it would vanish silently, so this is checked
    // anyway.
    match reading.statements.into_iter().collect::<Option<Box<[Statement]>>>() {
        Some(statements) if !statements.is_empty() => Ok(statements),
        _ => {
            let message = "the document has a statement that cannot be read; check it";
            Err(Fault::new(Reason::MissingElement, 0, String::new(), message))
        }
    }
}

/// Reads a document and continues after each fault.
pub(crate) fn read_all(text: &str, kind: DocumentKind) -> Reading {
    let mut faults = Vec::new();
    match json::read(text, MAX_DEPTH, &mut faults) {
        Err(fault) => {
            faults.push(fault);
            Reading { root: None, statements: Vec::new(), faults }
        }
        Ok(root) => {
            let mut reader = Reader { kind, faults };
            let statements = reader.document(&root).unwrap_or_default();
            Reading { root: Some(root), statements, faults: reader.faults }
        }
    }
}

struct Reader {
    kind: DocumentKind,
    faults: Vec<Fault>,
}

/// The elements that a statement may have; each is set if the statement has it.
#[derive(Default)]
struct Elements<'a> {
    effect: Option<&'a Node>,
    action: Option<&'a Member>,
    resource: Option<&'a Member>,
    principal: Option<&'a Node>,
    condition: Option<&'a Node>,
}

impl Reader {
    /// Returns what was read, or records the fault.
    fn keep<T>(&mut self, read: Result<T, Fault>) -> Option<T> {
        read.map_err(|fault| self.faults.push(fault)).ok()
    }

    /// Records a fault.
    fn refuse<T>(&mut self, fault: Fault) -> Option<T> {
        self.faults.push(fault);
        None
    }

    fn document(&mut self, root: &Node) -> Option<Vec<Option<Statement>>> {
        let path = Path::default();
        let members =
            self.keep(object(root, &path, "a policy", "{\"Version\": \"1\", \"Statement\": [...]}"))?;
        let mut version = None;
        let mut statement = None;
        for member in members {
            match &*member.name {
                "Version" => version = Some(&member.value),
                "Statement" => statement = Some(&member.value),
                _ => self.faults.push(unknown_element(member, &path, &["Version", "Statement"])),
            }
        }
        match version {
            Some(version) => self.version(version, &path),
            None => self.faults.push(missing(root, &path, "Version", "add \"Version\": \"1\"")),
        }
        let Some(statement) = statement else {
            return self.refuse(missing(root, &path, "Statement", "add a list with at least one statement"));
        };
        let path = path.child("Statement");
        match &statement.value {
            // A single value is equivalent to a list of one entry wherever a list is allowed.
            Value::Object(_) => Some(vec![self.statement(statement, &path)]),
            Value::List(entries) if entries.is_empty() => self.refuse(fault(
                Reason::EmptyList,
                statement,
                &path,
                "Statement is empty; add at least one statement",
            )),
            Value::List(entries) => Some(
                entries
                    .iter()
                    .enumerate()
                    .map(|(index, entry)| self.statement(entry, &path.child(index.to_string())))
                    .collect(),
            ),
            _ => self.refuse(mismatch(statement, &path, "Statement", "a list of statements")),
        }
    }

    fn version(&mut self, version: &Node, path: &Path) {
        let path = path.child("Version");
        match &version.value {
            Value::Text(text) if text == "1" => {}
            Value::Text(text) => {
                let message = format!("Version is {text:?}; RAM has only the version \"1\"");
                self.faults.push(fault(Reason::InvalidVersion, version, &path, message));
            }
            _ => self.faults.push(mismatch(version, &path, "Version", "the string \"1\", in quotes")),
        }
    }

    fn statement(&mut self, node: &Node, path: &Path) -> Option<Statement> {
        let elements = self.elements(node, path)?;
        let effect = match elements.effect {
            Some(effect) => self.effect(effect, &path.child("Effect")),
            None => self.refuse(missing(
                node,
                path,
                "Effect",
                "add \"Effect\": \"Allow\" or \"Effect\": \"Deny\"",
            )),
        };
        let actions = match elements.action {
            Some(action) => self.actions(action, &path.child(&*action.name)),
            None => self.refuse(missing(node, path, "Action", "add Action or NotAction")),
        };
        let about = if self.kind == DocumentKind::Trust {
            match elements.principal {
                Some(principal) => {
                    self.principals(principal, &path.child("Principal")).map(|read| (None, Some(read)))
                }
                None => self.refuse(missing(
                    node,
                    path,
                    "Principal",
                    "add whom the role trusts, such as {\"RAM\": \"acs:ram::<account-id>:root\"}",
                )),
            }
        } else {
            match elements.resource {
                Some(resource) => {
                    self.resources(resource, &path.child(&*resource.name)).map(|read| (Some(read), None))
                }
                None => self.refuse(missing(
                    node,
                    path,
                    "Resource",
                    "add Resource, with * for every resource, or NotResource",
                )),
            }
        };
        let conditions = match elements.condition {
            Some(condition) => self.conditions(condition, &path.child("Condition")),
            None => Some(Conditions::default()),
        };
        let (resources, principals) = about?;
        Some(Statement { effect: effect?, actions: actions?, resources, principals, conditions: conditions? })
    }

    fn elements<'a>(&mut self, node: &'a Node, path: &Path) -> Option<Elements<'a>> {
        const KNOWN: [&str; 7] =
            ["Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "Condition"];
        const FORM: &str = "{\"Effect\": ..., \"Action\": ..., \"Resource\": ...}";
        let members = self.keep(object(node, path, "a statement", FORM))?;
        let mut elements = Elements::default();
        for member in members {
            let refusal = |reason, message: String| named_fault(reason, member, path, message);
            let pair = match &*member.name {
                "Effect" => {
                    elements.effect = Some(&member.value);
                    continue;
                }
                "Condition" => {
                    elements.condition = Some(&member.value);
                    continue;
                }
                "Principal" if self.kind == DocumentKind::Trust => {
                    elements.principal = Some(&member.value);
                    continue;
                }
                "Principal" => {
                    let message = "Principal belongs into the trust policy of a role; this policy applies to whom it is attached; remove it";
                    self.faults.push(refusal(Reason::ElementNotAllowedHere, message.to_owned()));
                    continue;
                }
                "Resource" | "NotResource" if self.kind == DocumentKind::Trust => {
                    let message = format!(
                        "{} does not belong into a trust policy, which is about its own role; remove it",
                        member.name
                    );
                    self.faults.push(refusal(Reason::ElementNotAllowedHere, message));
                    continue;
                }
                "Action" | "NotAction" => &mut elements.action,
                "Resource" | "NotResource" => &mut elements.resource,
                _ => {
                    self.faults.push(unknown_element(member, path, &KNOWN));
                    continue;
                }
            };
            match pair {
                Some(first) => {
                    let message =
                        format!("{} and {} exclude each other; keep one of them", first.name, member.name);
                    self.faults.push(refusal(Reason::ConflictingElements, message));
                }
                None => *pair = Some(member),
            }
        }
        Some(elements)
    }

    fn effect(&mut self, node: &Node, path: &Path) -> Option<Effect> {
        match &node.value {
            Value::Text(text) if text == "Allow" => Some(Effect::Allow),
            Value::Text(text) if text == "Deny" => Some(Effect::Deny),
            Value::Text(text) => {
                let message = format!("Effect is {text:?}; write exactly \"Allow\" or \"Deny\"");
                self.refuse(fault(Reason::InvalidEffect, node, path, message))
            }
            _ => self.refuse(mismatch(node, path, "Effect", "\"Allow\" or \"Deny\"")),
        }
    }

    fn actions(&mut self, member: &Member, path: &Path) -> Option<Actions> {
        let entries = self.strings(&member.value, path, &member.name)?;
        let patterns = self.each(&entries, |entry| {
            ActionPattern::parse(entry.text)
                .map_err(|message| Fault::new(Reason::InvalidAction, entry.at, entry.pointer(path), message))
        })?;
        Some(Actions { negated: member.name == "NotAction", patterns, spelled: spelled(&entries) })
    }

    fn resources(&mut self, member: &Member, path: &Path) -> Option<Resources> {
        let entries = self.strings(&member.value, path, &member.name)?;
        let patterns = self.each(&entries, |entry| {
            ResourcePattern::parse(entry.text)
                .map_err(|error| Fault::new(error.reason, entry.at, entry.pointer(path), error.to_string()))
        })?;
        Some(Resources { negated: member.name == "NotResource", patterns, spelled: spelled(&entries) })
    }

    fn principals(&mut self, node: &Node, path: &Path) -> Option<Principals> {
        const FORM: &str = "{\"RAM\": ...}, {\"Service\": ...} or {\"Federated\": ...}";
        if matches!(&node.value, Value::Text(text) if text == "*") {
            let message = format!("a role must not trust everybody; write {FORM}");
            return self.refuse(fault(Reason::InvalidPrincipal, node, path, message));
        }
        let members = self.keep(object(node, path, "Principal", FORM))?;
        if members.is_empty() {
            let message = format!("Principal names nobody; write {FORM}");
            return self.refuse(fault(Reason::InvalidPrincipal, node, path, message));
        }
        let (mut patterns, mut texts) = (Vec::new(), Vec::new());
        let mut whole = true;
        for member in members {
            let Some(kind) = PrincipalKind::named(&member.name) else {
                self.faults.push(unknown_element(member, path, &["RAM", "Service", "Federated"]));
                whole = false;
                continue;
            };
            let path = path.child(&*member.name);
            let read = self.strings(&member.value, &path, &member.name).and_then(|entries| {
                texts.extend(spelled(&entries));
                self.each::<_, Vec<_>>(&entries, |entry| {
                    PrincipalPattern::parse(kind, entry.text).map_err(|message| {
                        Fault::new(Reason::InvalidPrincipal, entry.at, entry.pointer(&path), message)
                    })
                })
            });
            match read {
                Some(read) => patterns.extend(read),
                None => whole = false,
            }
        }
        whole.then(|| Principals { patterns: patterns.into(), spelled: texts.into() })
    }

    /// An empty block is accepted as no condition, because the vendor's own editor writes it.
    fn conditions(&mut self, node: &Node, path: &Path) -> Option<Conditions> {
        let operators = self.keep(object(node, path, "Condition", "{operator: {key: values}}"))?;
        let mut tests = Vec::new();
        let mut whole = true;
        for member in operators {
            match self.operator(member, path) {
                Some(read) => tests.extend(read),
                None => whole = false,
            }
        }
        whole.then(|| Conditions::new(tests))
    }

    fn operator(&mut self, member: &Member, path: &Path) -> Option<Vec<KeyTest>> {
        let Some(operator) = operators::named(&member.name) else {
            let message = format!(
                "RAM has no condition operator {:?}; {}",
                member.name,
                operators::hint_for_unknown(&member.name)
            );
            return self.refuse(named_fault(Reason::InvalidConditionOperator, member, path, message));
        };
        let path = path.child(&*member.name);
        let keys = self.keep(object(&member.value, &path, operator.name, "{key: values}"))?;
        if keys.is_empty() {
            let message = format!("{} has no key; add one or remove the operator", operator.name);
            return self.refuse(fault(Reason::EmptyCondition, &member.value, &path, message));
        }
        let mut tests = Vec::new();
        let mut whole = true;
        for (index, key) in keys.iter().enumerate() {
            let checked = self.keep(check_key(key, &keys[..index], &path));
            match checked.and_then(|()| self.test(operator, key, &path.child(&*key.name))) {
                Some(test) => tests.push(test),
                None => whole = false,
            }
        }
        whole.then_some(tests)
    }

    fn test(&mut self, operator: &'static Operator, key: &Member, path: &Path) -> Option<KeyTest> {
        let entries = self.strings(&key.value, path, &key.name)?;
        if operator.value_type == ValueType::Boolean && entries.len() > 1 {
            let message = "Bool takes one value only; keep \"true\" or \"false\"";
            return self.refuse(fault(Reason::MultipleBooleanValues, &key.value, path, message));
        }
        let values: Vec<&str> = entries.iter().map(|entry| entry.text).collect();
        let unreadable = |entry: &Entry<'_>| {
            let form = match operator.value_type {
                ValueType::Text => "text",
                ValueType::Number => "a decimal number such as 10 or -2.5",
                ValueType::Instant => "a date and time with offset such as 2026-03-01T17:00:00+08:00",
                ValueType::Boolean => "true or false",
                ValueType::Address => "an address or block such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32",
            };
            let message = format!("{} cannot read {:?}; write {form}", operator.name, entry.text);
            Fault::new(Reason::InvalidConditionValue, entry.at, entry.pointer(path), message)
        };
        match KeyTest::new(operator, &key.name, &values) {
            Ok(test) => Some(test),
            Err(first) => {
                // `first` is the index of the first unreadable value; the others are found by a test of each value on
                // its own.
                for (entry, value) in entries.iter().zip(&values).skip(first) {
                    if KeyTest::new(operator, &key.name, &[*value]).is_err() {
                        self.faults.push(unreadable(entry));
                    }
                }
                None
            }
        }
    }

    /// Compiles every entry. All faults are recorded; if there is one, the result is `None`.
    fn each<'a, T, List: FromIterator<T>>(
        &mut self,
        entries: &[Entry<'a>],
        compile: impl Fn(&Entry<'a>) -> Result<T, Fault>,
    ) -> Option<List> {
        let compiled: Vec<Option<T>> = entries.iter().map(|entry| self.keep(compile(entry))).collect();
        compiled.into_iter().collect()
    }

    fn strings<'a>(&mut self, node: &'a Node, path: &Path, element: &str) -> Option<Vec<Entry<'a>>> {
        match &node.value {
            Value::Text(text) => Some(vec![Entry { text, at: node.at, index: None }]),
            Value::List(entries) if entries.is_empty() => {
                let message = format!("the list of {element} is empty; add an entry");
                self.refuse(fault(Reason::EmptyList, node, path, message))
            }
            Value::List(entries) => {
                let texts: Vec<Option<Entry<'a>>> = entries
                    .iter()
                    .enumerate()
                    .map(|(index, entry)| match &entry.value {
                        Value::Text(text) => Some(Entry { text, at: entry.at, index: Some(index) }),
                        _ => {
                            let path = path.child(index.to_string());
                            self.refuse(mismatch(entry, &path, element, "a string in quotes"))
                        }
                    })
                    .collect();
                texts.into_iter().collect()
            }
            _ => self.refuse(mismatch(node, path, element, "a string in quotes, or a list of them")),
        }
    }
}

fn check_key(key: &Member, earlier: &[Member], path: &Path) -> Result<(), Fault> {
    let name = &*key.name;
    let refuse = |reason, message: String| Err(named_fault(reason, key, path, message));
    let well_formed = name.split_once(':').is_some_and(|(service, rest)| {
        let code = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        // Blanks are allowed in the name of a tag and nowhere else.
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
            "nobody publishes the key {name:?}, so it would be a silent hole; the acs: keys are {}",
            keys::all()
        );
        return refuse(Reason::UnknownConditionKey, message);
    }
    Ok(())
}

/// One string of an element that takes a string or a list of strings.
pub(crate) struct Entry<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
    /// Its index in the list; `None` for a single string.
    pub(crate) index: Option<usize>,
}

impl Entry<'_> {
    pub(crate) fn pointer(&self, element: &Path) -> String {
        match self.index {
            Some(index) => element.child(index.to_string()).pointer(),
            None => element.pointer(),
        }
    }
}

fn spelled(entries: &[Entry<'_>]) -> Box<[Box<str>]> {
    entries.iter().map(|entry| entry.text.into()).collect()
}

fn object<'a>(node: &'a Node, path: &Path, what: &str, form: &str) -> Result<&'a [Member], Fault> {
    match &node.value {
        Value::Object(members) => Ok(members),
        _ => Err(mismatch(node, path, what, &format!("an object, {form}"))),
    }
}

fn fault(reason: Reason, node: &Node, path: &Path, message: impl Into<String>) -> Fault {
    Fault::new(reason, node.at, path.pointer(), message)
}

/// A fault located at the name of a member.
fn named_fault(reason: Reason, member: &Member, path: &Path, message: String) -> Fault {
    Fault::new(reason, member.at, path.child(&*member.name).pointer(), message)
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
    named_fault(Reason::UnknownElement, member, path, message)
}
