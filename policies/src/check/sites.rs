//! The places in the text of the parts of a compiled statement.

use crate::invalid::Path;
use crate::json::{Node, Value};

/// A place in the text.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) at: usize,
    pub(super) pointer: String,
}

/// An element that takes a string or a list of strings.
#[derive(Debug)]
pub(super) struct ElementSites {
    /// The name of the element.
    pub(super) name: Site,
    /// Its entries, in their order.
    pub(super) entries: Vec<Site>,
}

/// The parts of a statement that compiled. Its lists have the same order as those of the compiled form.
#[derive(Debug)]
pub(super) struct StatementSites {
    pub(super) whole: Site,
    pub(super) actions: ElementSites,
    /// None in a trust policy.
    pub(super) resources: Option<ElementSites>,
    /// The Condition, if there is one.
    pub(super) condition: Option<Site>,
    pub(super) conditions: Vec<ElementSites>,
}

/// The nodes of the statements, with their paths.
pub(super) fn statements(root: &Node) -> Vec<(&Node, Path)> {
    let path = Path::default().child("Statement");
    match member(root, "Statement").map(|(_, value)| value) {
        Some(statement) => match &statement.value {
            Value::List(entries) => entries
                .iter()
                .enumerate()
                .map(|(index, entry)| (entry, path.child(index.to_string())))
                .collect(),
            _ => vec![(statement, path)],
        },
        None => Vec::new(),
    }
}

impl StatementSites {
    /// `None` if the node lacks a part of a statement; this does not happen for one that compiled.
    pub(super) fn of(node: &Node, path: &Path) -> Option<Self> {
        Some(Self {
            whole: Site { at: node.at, pointer: path.pointer() },
            actions: element(node, path, ["Action", "NotAction"])?,
            resources: element(node, path, ["Resource", "NotResource"]),
            condition: member(node, "Condition")
                .map(|(at, _)| Site { at, pointer: path.child("Condition").pointer() }),
            conditions: conditions(node, path),
        })
    }
}

fn element(node: &Node, path: &Path, names: [&str; 2]) -> Option<ElementSites> {
    names.iter().find_map(|name| member(node, name).map(|(at, value)| list(at, value, &path.child(*name))))
}

fn conditions(node: &Node, path: &Path) -> Vec<ElementSites> {
    let path = path.child("Condition");
    let members = |node: &Node| match &node.value {
        Value::Object(members) => {
            members.iter().map(|member| (member.name.clone(), member.at)).collect::<Vec<_>>()
        }
        _ => Vec::new(),
    };
    let Some((_, block)) = member(node, "Condition") else { return Vec::new() };
    let mut sites = Vec::new();
    for (operator, _) in members(block) {
        let Some((_, keys)) = member(block, &operator) else { continue };
        let path = path.child(&*operator);
        for (key, at) in members(keys) {
            if let Some((_, values)) = member(keys, &key) {
                sites.push(list(at, values, &path.child(&*key)));
            }
        }
    }
    sites
}

fn list(at: usize, value: &Node, path: &Path) -> ElementSites {
    let entries = match &value.value {
        Value::List(entries) => entries
            .iter()
            .enumerate()
            .map(|(index, entry)| Site { at: entry.at, pointer: path.child(index.to_string()).pointer() })
            .collect(),
        _ => vec![Site { at: value.at, pointer: path.pointer() }],
    };
    ElementSites { name: Site { at, pointer: path.pointer() }, entries }
}

fn member<'a>(node: &'a Node, name: &str) -> Option<(usize, &'a Node)> {
    match &node.value {
        Value::Object(members) => {
            members.iter().find(|member| member.name == name).map(|member| (member.at, &member.value))
        }
        _ => None,
    }
}
