//! Reads the server's replies. If a member is missing, the error names it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;

/// A text at the top of a reply.
///
/// # Errors
/// It is not there.
pub(crate) fn text<'a>(action: &str, reply: &'a Value, member: &str) -> Result<&'a str, Failure> {
    reply.get(member).and_then(Value::as_str).ok_or_else(|| lacks(action, member))
}

/// The list in a reply's Root.
///
/// # Errors
/// It is not there.
pub(crate) fn list(action: &str, reply: &Value, member: &str) -> Result<Vec<Value>, Failure> {
    let list = reply.get("Root").and_then(|root| root.get(member)).and_then(Value::as_array);
    list.cloned().ok_or_else(|| lacks(action, &format!("Root.{member}")))
}

/// An item of a list as its wire struct.
///
/// # Errors
/// It has another shape.
pub(crate) fn read<T: DeserializeOwned>(action: &str, item: Value) -> Result<T, Failure> {
    serde_json::from_value(item).map_err(|error| {
        Failure::failed(format!("{action}: the server's reply has an unexpected shape: {error}"))
    })
}

fn lacks(action: &str, member: &str) -> Failure {
    Failure::failed(format!("{action}: the server's reply has no {member}"))
}
