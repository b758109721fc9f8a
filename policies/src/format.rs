//! The formatter: one form for all documents that say the same in the same order.
//!
//! Elements come in the order in which the grammar names them, operators in the published order, keys by name. The
//! order of statements and of list entries is the author's and stays. A list of one string becomes the string, and
//! a single statement a list, as the vendor's own samples have it; an empty Condition goes. None of that has any
//! influence on decisions.

use crate::document::{PolicyDocument, check_text};
use crate::invalid::InvalidPolicy;
use crate::json::{self, MAX_DEPTH, Node, Value, quote};
use crate::operators::OPERATORS;
use crate::statement::DocumentKind;

/// A list stays on its line up to this column.
const WIDTH: usize = 100;

/// Formats a policy document. Formatting twice changes nothing more, and the result says what the original says.
///
/// White space counts towards the length of a document. One that would grow too long when indented is written
/// without any.
///
/// # Errors
/// Refuses what [`PolicyDocument::parse`] refuses: nobody knows what that would mean.
pub fn format(text: &[u8], kind: DocumentKind) -> Result<String, InvalidPolicy> {
    PolicyDocument::parse(text, kind)?;
    let read = check_text(text, kind).and_then(|text| json::read(text, MAX_DEPTH, &mut Vec::new()));
    let root = read.map_err(|fault| fault.in_text(text))?;
    let mut indented = String::new();
    canonical(&root, true).write(&mut indented, 0, 0);
    indented.push('\n');
    let fits = |text: &String| text.chars().count() <= kind.max_characters();
    // The brackets around a single statement may be what makes it too long; the bare form is no longer than what
    // was read.
    let shorter = || [canonical(&root, true).flat(&NARROW), canonical(&root, false).flat(&NARROW)];
    Ok(std::iter::once(indented).chain(shorter()).find(fits).unwrap_or_else(|| json::write(&root)))
}

/// A value in canonical order.
enum Piece {
    Text(String),
    List(Vec<Piece>),
    Object(Vec<(String, Piece)>),
}

/// How a value is written on one line: what follows a comma and a colon.
struct Spacing {
    comma: &'static str,
    colon: &'static str,
}

const NARROW: Spacing = Spacing { comma: ",", colon: ":" };
const SPACED: Spacing = Spacing { comma: ", ", colon: ": " };

impl Piece {
    fn flat(&self, spacing: &Spacing) -> String {
        match self {
            Self::Text(text) => quote(text),
            Self::List(entries) => {
                let entries: Vec<String> = entries.iter().map(|entry| entry.flat(spacing)).collect();
                format!("[{}]", entries.join(spacing.comma))
            }
            Self::Object(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("{}{}{}", quote(name), spacing.colon, value.flat(spacing)))
                    .collect();
                format!("{{{}}}", members.join(spacing.comma))
            }
        }
    }

    /// `depth` counts indentations, `column` what stands on the line already.
    fn write(&self, out: &mut String, depth: usize, column: usize) {
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        };
        match self {
            Self::Text(text) => out.push_str(&quote(text)),
            Self::List(entries) => {
                let flat = self.flat(&SPACED);
                let texts = entries.iter().all(|entry| matches!(entry, Self::Text(_)));
                if texts && column + flat.chars().count() < WIDTH {
                    return out.push_str(&flat);
                }
                out.push('[');
                for (place, entry) in entries.iter().enumerate() {
                    line(out, depth + 1);
                    entry.write(out, depth + 1, 2 * (depth + 1));
                    if place + 1 < entries.len() {
                        out.push(',');
                    }
                }
                line(out, depth);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (place, (name, value)) in members.iter().enumerate() {
                    line(out, depth + 1);
                    let name = format!("{}: ", quote(name));
                    out.push_str(&name);
                    value.write(out, depth + 1, 2 * (depth + 1) + name.chars().count());
                    if place + 1 < members.len() {
                        out.push(',');
                    }
                }
                line(out, depth);
                out.push('}');
            }
        }
    }
}

/// The document has been read as a policy before, so only strings, lists and objects come up.
fn canonical(root: &Node, statement_in_list: bool) -> Piece {
    let members =
        ordered(root, &rank(&["Version", "Statement"]), |member, value| match (member, &value.value) {
            ("Statement", Value::List(entries)) => {
                let mut statements: Vec<Piece> = entries.iter().map(statement).collect();
                match statements.pop() {
                    Some(only) if statements.is_empty() && !statement_in_list => only,
                    last => {
                        statements.extend(last);
                        Piece::List(statements)
                    }
                }
            }
            ("Statement", _) if statement_in_list => Piece::List(vec![statement(value)]),
            ("Statement", _) => statement(value),
            _ => strings(value),
        });
    Piece::Object(members)
}

fn statement(node: &Node) -> Piece {
    const ORDER: [&str; 7] =
        ["Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    let mut elements = ordered(node, &rank(&ORDER), |member, value| match member {
        "Principal" => {
            Piece::Object(ordered(value, &rank(&["RAM", "Service", "Federated"]), |_, names| strings(names)))
        }
        "Condition" => {
            let names: Vec<&str> = OPERATORS.iter().map(|operator| operator.name).collect();
            Piece::Object(ordered(value, &rank(&names), |_, keys| {
                let by_name = |name: &str| (0, name.to_ascii_lowercase());
                Piece::Object(ordered(keys, &by_name, |_, values| strings(values)))
            }))
        }
        _ => strings(value),
    });
    // An empty Condition is no condition.
    elements.retain(|(_, piece)| !matches!(piece, Piece::Object(members) if members.is_empty()));
    Piece::Object(elements)
}

/// The place of a name in a list of names.
fn rank(order: &[&str]) -> impl Fn(&str) -> (usize, String) {
    move |name| (order.iter().position(|known| *known == name).unwrap_or(order.len()), String::new())
}

fn ordered(
    node: &Node,
    place: &impl Fn(&str) -> (usize, String),
    piece: impl Fn(&str, &Node) -> Piece,
) -> Vec<(String, Piece)> {
    let Value::Object(members) = &node.value else { return Vec::new() };
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|member| place(&member.name));
    members.into_iter().map(|member| (member.name.clone(), piece(&member.name, &member.value))).collect()
}

fn strings(node: &Node) -> Piece {
    let text = |node: &Node| match &node.value {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    match &node.value {
        Value::List(entries) => match &**entries {
            [only] => Piece::Text(text(only)),
            entries => Piece::List(entries.iter().map(|entry| Piece::Text(text(entry))).collect()),
        },
        _ => Piece::Text(text(node)),
    }
}
