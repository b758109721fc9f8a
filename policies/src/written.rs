//! Contexts as a person writes them: a JSON object of keys, each with a string or a list of strings.

use crate::context::{Context, ContextValue};
use crate::invalid::{Fault, InvalidPolicy, Path, Reason};
use crate::json::{self, MAX_DEPTH, Node, Value};
use crate::simulate::NamedContext;

impl Context {
    /// Reads `{"acs:SourceIp": "10.0.0.1", "acs:MFAPresent": "true"}`. A key with a list has several values. A bare
    /// number, `true` or `false` is read as its spelling.
    ///
    /// # Errors
    /// Refuses text that is not JSON, a key that occurs twice, and other values; the error has the position.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidPolicy> {
        let read = || context(&read(text)?, &Path::default(), "the context");
        read().map_err(|fault| fault.in_text(text))
    }
}

impl NamedContext {
    /// Reads an object of contexts by name: `{"office": {"acs:SourceIp": "10.0.0.1"}, "elsewhere": {}}`.
    ///
    /// # Errors
    /// As [`Context::from_json`].
    pub fn all_from_json(text: &[u8]) -> Result<Vec<Self>, InvalidPolicy> {
        let read = || {
            let root = read(text)?;
            let Value::Object(members) = &root.value else {
                let message = format!(
                    "the contexts are {}; write an object of contexts, each with its name",
                    root.type_name()
                );
                return Err(Fault::new(Reason::DataTypeMismatch, root.at, String::new(), message));
            };
            let named = members.iter().map(|member| {
                let what = format!("the context {}", member.name);
                let context = context(&member.value, &Path::default().child(&*member.name), &what)?;
                Ok(Self { name: member.name.clone(), context })
            });
            named.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(|fault| fault.in_text(text))
    }
}

fn read(text: &[u8]) -> Result<Node, Fault> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let message = "the text is not UTF-8 from here on; save it as UTF-8";
        Fault::new(Reason::NotUtf8, error.valid_up_to(), String::new(), message)
    })?;
    let mut duplicates = Vec::new();
    let root = json::read(text, MAX_DEPTH, &mut duplicates)?;
    match duplicates.into_iter().next() {
        Some(duplicate) => Err(duplicate),
        None => Ok(root),
    }
}

/// Reads the context that is at `path`; `what` is its name in messages.
pub(crate) fn context(node: &Node, path: &Path, what: &str) -> Result<Context, Fault> {
    let mismatch = |node: &Node, path: &Path, message: String| {
        Fault::new(Reason::DataTypeMismatch, node.at, path.pointer(), message)
    };
    let Value::Object(members) = &node.value else {
        let message = format!("{what} is {}; write an object of strings", node.type_name());
        return Err(mismatch(node, path, message));
    };
    let mut context = Context::new();
    for member in members {
        let path = path.child(&*member.name);
        let one = |node: &Node| match &node.value {
            Value::Text(text) => Ok(ContextValue::from(&**text)),
            Value::Number(spelled) => Ok(ContextValue::from(&**spelled)),
            Value::Boolean(value) => Ok(ContextValue::from(*value)),
            Value::Null | Value::List(_) | Value::Object(_) => {
                let message = format!("{} of {what} is {}; write a string", member.name, node.type_name());
                Err(mismatch(node, &path, message))
            }
        };
        let values = match &member.value.value {
            Value::List(entries) => entries.iter().map(one).collect::<Result<Vec<_>, _>>()?,
            _ => vec![one(&member.value)?],
        };
        context.insert_all(&member.name, values);
    }
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(context: &Context, key: &str) -> Vec<String> {
        context.values(key).iter().map(|value| value.text().to_owned()).collect()
    }

    #[test]
    fn keys_have_strings_or_lists_of_them() {
        let context =
            Context::from_json(br#"{"a:k": ["x", "y"], "a:n": 3, "a:b": true, "a:e": []}"#).unwrap();
        assert_eq!(values(&context, "A:K"), ["x", "y"]);
        assert_eq!(
            (values(&context, "a:n"), values(&context, "a:b")),
            (vec!["3".into()], vec!["true".into()])
        );
        assert!(values(&context, "a:e").is_empty());
    }

    #[test]
    fn contexts_stand_under_their_names() {
        let named = NamedContext::all_from_json(br#"{"office": {"a:k": "x"}, "elsewhere": {}}"#).unwrap();
        let names: Vec<&str> = named.iter().map(|context| context.name.as_str()).collect();
        assert_eq!(names, ["office", "elsewhere"]);
        assert_eq!(values(&named[0].context, "a:k"), ["x"]);
    }

    #[test]
    fn a_malformed_context_is_refused_with_its_place() {
        for (text, says) in [
            (&b"[]"[..], "line 1, column 1: the context is a list; write an object of strings"),
            (b"{\"a:k\":\n {}}", "line 2, column 2, /a:k: a:k of the context is an object; write a string"),
            (b"{\"a\": \"1\", \"a\": \"2\"}", "/a: "),
            (b"\xff", "the text is not UTF-8"),
            (b"{", "the text ends"),
        ] {
            let refused = Context::from_json(text).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        let refused = NamedContext::all_from_json(br#"{"x": {"a:k": null}}"#).unwrap_err().to_string();
        assert_eq!(refused, "line 1, column 15, /x/a:k: a:k of the context x is null; write a string");
        assert!(NamedContext::all_from_json(b"3").is_err());
    }
}
