//! The file of settings: TOML, flat, each key at most once.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::{Key, SETTING_KEYS};
use crate::failure::Failure;

/// A value that stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileValue {
    pub(super) key: &'static Key,
    pub(super) value: String,
    pub(super) line: usize,
}

/// Reads the file.
///
/// # Errors
/// It cannot be read, is no TOML, or holds a key that is no setting; with the line.
pub(super) fn read(path: &Path) -> Result<Vec<FileValue>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("the settings file {} cannot be read: {error}", path.display()))
    })?;
    parse(&text).map_err(|(line, why)| Failure::usage(format!("{} line {line}: {why}", path.display())))
}

fn parse(text: &str) -> Result<Vec<FileValue>, (usize, String)> {
    let line_of = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let table = DeTable::parse(text)
        .map_err(|error| (line_of(error.span().map_or(0, |span| span.start)), error.message().to_owned()))?;
    let mut values = Vec::new();
    for (name, value) in table.get_ref() {
        let line = line_of(name.span().start);
        let name: &str = name.get_ref();
        let Some(key) = SETTING_KEYS.iter().find(|key| key.name == name) else {
            return Err((line, unknown(name)));
        };
        let value = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(switch) => switch.to_string(),
            // As it stands there, without what it may hold for readers, such as 16_384. One that is not decimal is
            // refused with what is allowed.
            DeValue::Integer(number) if key.is_number => number.to_string(),
            other => {
                let whole = match other {
                    DeValue::Float(number) if key.is_number => whole_number(number.as_str()),
                    _ => None,
                };
                if let Some(value) = whole {
                    values.push(FileValue { key, value, line });
                    continue;
                }
                let kind = other.type_str();
                let written = if key.is_number { "a whole number" } else { "a string in quotes" };
                return Err((
                    line,
                    format!("{name} is written as {written}; here stands a value of the type {kind}"),
                ));
            }
        };
        values.push(FileValue { key, value, line });
    }
    Ok(values)
}

/// The whole number that is written with a fraction of zero or with an exponent, such as 1000.0 or 1e3.
fn whole_number(text: &str) -> Option<String> {
    let number: f64 = text.parse().ok()?;
    // Numbers beyond are no settings; below it, each whole number is exact.
    let is_whole = number.is_finite() && number.fract() == 0.0 && number.abs() < 1e15;
    is_whole.then(|| format!("{number:.0}"))
}

fn unknown(name: &str) -> String {
    let known: Vec<_> = SETTING_KEYS.iter().map(|key| key.name).collect();
    format!("unknown key \"{name}\"; the keys are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_with_their_lines() {
        let values = parse("# a comment\nlisten = \"127.0.0.1:1\"\n\nwith-local-agent = true\n").unwrap();
        let shown: Vec<_> = values.iter().map(|v| (v.key.name, v.value.as_str(), v.line)).collect();
        assert_eq!(shown, [("listen", "127.0.0.1:1", 2), ("with-local-agent", "true", 4)]);
    }

    #[test]
    fn numbers_are_written_with_quotes_or_without() {
        let text = "connections = 16_384\naddress-rate = 0\nprincipal-burst = \"7\"\n";
        let mut values = parse(text).unwrap();
        values.sort_by_key(|value| value.line);
        let shown: Vec<_> = values.iter().map(|v| (v.key.name, v.value.as_str())).collect();
        assert_eq!(shown, [("connections", "16384"), ("address-rate", "0"), ("principal-burst", "7")]);
        let fractions = parse("address-rate = 1000.0\nprincipal-rate = 2e2\n").unwrap();
        let mut shown: Vec<_> = fractions.iter().map(|v| (v.key.name, v.value.as_str())).collect();
        shown.sort_unstable();
        assert_eq!(shown, [("address-rate", "1000"), ("principal-rate", "200")]);
        for odd in ["inf", "nan", "1e300", "0.5"] {
            assert!(parse(&format!("address-rate = {odd}\n")).is_err(), "{odd}");
        }
        let (line, why) = parse("\naddress-rate = 0.5\n").unwrap_err();
        assert_eq!((line, why.starts_with("address-rate is written as a whole number;")), (2, true), "{why}");
        let (_, why) = parse("root-account-id = 1000000000000001\n").unwrap_err();
        assert!(why.starts_with("root-account-id is written as a string in quotes;"), "{why}");
    }

    #[test]
    fn what_is_not_a_setting_is_named_with_its_line() {
        let (line, why) = parse("listen = \"a\"\nlisten-on = \"b\"\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(why.contains("unknown key \"listen-on\"; the keys are data-dir, listen,"), "{why}");
        assert_eq!(parse("[server]\nlisten = \"a\"\n").unwrap_err().0, 1);
        assert_eq!(parse("\nlisten = 5\n").unwrap_err().0, 2);
        assert_eq!(parse("listen = \"a\"\nlisten = \"b\"\n").unwrap_err().0, 2);
        assert_eq!(parse("region = \"a\"\nlisten = nonsense\n").unwrap_err().0, 2);
    }
}
