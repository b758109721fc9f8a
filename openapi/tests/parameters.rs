//! What the documents say of each parameter is what is checked: texts within the documented schema are accepted, and
//! texts outside it are refused, for every parameter of every action. Where a schema cannot say the whole rule, the
//! parameter stands in `EXPLAINED`, with the reason.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use domain::actions::Product;
use openapi::documents::{all_parameters, document};
use openapi::parameters::Row;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use regex_lite::Regex;
use serde_json::Value;

/// A rule that no schema can say.
struct Explained {
    /// The parameters, as `Action.Parameter` or `*.Parameter`.
    parameters: &'static [&'static str],
    /// Why the schema does not say it.
    why: &'static str,
    /// Whether a text that fits the schema breaks this rule, written apart from the check; `None` where any text may.
    breaks: Option<fn(&str) -> bool>,
}

const EXPLAINED: &[Explained] = &[
    Explained {
        parameters: &["*.StartTime", "*.EndTime", "*.StartedAfter", "*.StartedBefore"],
        why: "a pattern knows no months of 30 days and no leap years",
        breaks: Some(|text| !is_in_the_calendar(text)),
    },
    Explained {
        parameters: &["SetInstanceRecordConfig.RecordStorageTarget"],
        why: "the ARN and the bucket name the same account, which is the caller's; the prefix is counted in bytes",
        breaks: Some(|text| {
            let parts: Vec<_> = text.splitn(5, ':').collect();
            let (bucket, prefix) = parts[4].split_once('/').unwrap_or((parts[4], ""));
            bucket.split('-').nth(2) != Some(parts[3]) || prefix.len() > 254
        }),
    },
    Explained {
        parameters: &["SetInstanceRecordConfig.NoticeText"],
        why: "a notice can be seen, and has no characters that hide or turn it round, of which there are many",
        breaks: Some(|text| text.chars().all(char::is_whitespace) || text.contains(hides_or_turns)),
    },
    Explained {
        parameters: &[
            "CreatePolicy.PolicyDocument",
            "CreatePolicyVersion.PolicyDocument",
            "CreateRole.AssumeRolePolicyDocument",
            "UpdateRole.NewAssumeRolePolicyDocument",
            "AssumeRole.Policy",
            "SimulatePolicy.SessionPolicy",
            "SimulatePolicy.TrustPolicy",
        ],
        why: "the grammar of policies is that of a JSON document, which docs/policies.md describes",
        breaks: None,
    },
    Explained {
        parameters: &[
            "SimulatePolicy.Actions",
            "SimulatePolicy.Resources",
            "SimulatePolicy.PolicyDocuments",
            "SimulatePolicy.ControlPolicies",
            "SimulatePolicy.Context",
            "SimulatePolicy.Contexts",
            "*.Tag",
            "*.TagKeys",
            "*.ResourceNames",
            "SetInstanceRecordConfig.RecordedPrincipals",
        ],
        why: "the parameter is a JSON text in a form, and the schema is that of the text",
        breaks: None,
    },
];

/// What else can refuse a call whose parameters fit the document, beside policies and the state of things; the tests
/// that call a server accept these codes (tests/schema/explained.json).
fn explained(action: &str, row: &Row) -> Option<&'static Explained> {
    let names = [format!("{action}.{}", row.name), format!("*.{}", row.name)];
    EXPLAINED.iter().find(|explained| names.iter().any(|name| explained.parameters.contains(&name.as_str())))
}

/// As Unicode has them: what is formatting (Cf) and is refused in a terminal, separators of lines, and tags.
fn hides_or_turns(character: char) -> bool {
    let ranges = [
        (0xad, 0xad),
        (0x61c, 0x61c),
        (0x180e, 0x180e),
        (0x200b, 0x200f),
        (0x2028, 0x202e),
        (0x2060, 0x206f),
        (0xfeff, 0xfeff),
        (0xfff9, 0xfffb),
        (0xe0000, 0xe0fff),
    ];
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(character)))
}

fn is_in_the_calendar(text: &str) -> bool {
    let number = |from: usize, to: usize| text[from..to].parse::<u32>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    day <= match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The schema of a parameter as the document has it.
struct Documented {
    schema: Value,
    pattern: Option<Regex>,
}

impl Documented {
    /// Whether a text fits, as any client with the document would decide.
    fn accepts(&self, text: &str) -> bool {
        let schema = &self.schema;
        match schema["type"].as_str().unwrap() {
            "boolean" => {
                let is = |word: bool| text.eq_ignore_ascii_case(if word { "true" } else { "false" });
                let allowed = [true, false].into_iter().filter(|word| in_enum(schema, &Value::from(*word)));
                allowed.into_iter().any(is)
            }
            "integer" => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                let (least, most) = range(schema);
                is_number
                    && text.parse::<i128>().is_ok_and(|number| (least.into()..=most.into()).contains(&number))
            }
            "string" => {
                // Descriptions are counted in bytes, as their description says.
                let length = if in_bytes(schema) { text.len() } else { text.chars().count() };
                let bound = |name: &str| schema[name].as_u64().map(|bound| usize::try_from(bound).unwrap());
                bound("minLength").is_none_or(|least| least <= length)
                    && bound("maxLength").is_none_or(|most| length <= most)
                    && in_enum(schema, &Value::from(text))
                    && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
            }
            other => panic!("{other}"),
        }
    }

    /// Texts that fit, and texts that nearly do.
    fn texts(&self) -> BoxedStrategy<String> {
        let schema = &self.schema;
        match schema["type"].as_str().unwrap() {
            "boolean" => "(true|false|True|FALSE)".boxed(),
            "integer" => {
                let (least, most) = range(schema);
                prop_oneof![
                    4 => least..=most,
                    1 => Just(least),
                    1 => Just(most),
                    1 => Just(least - 1),
                    1 => Just(most + 1),
                    1 => any::<i64>(),
                ]
                .prop_map(|number| number.to_string())
                .boxed()
            }
            _ => self.strings(),
        }
    }

    fn strings(&self) -> BoxedStrategy<String> {
        if let Some(words) = self.schema["enum"].as_array() {
            let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
            return proptest::sample::select(words).boxed();
        }
        if let Some(pattern) = self.schema["pattern"].as_str() {
            let unanchored = pattern.trim_start_matches('^').trim_end_matches('$');
            return string_regex(unanchored).unwrap().boxed();
        }
        let most = usize::try_from(self.schema["maxLength"].as_u64().unwrap_or(40)).unwrap();
        let letters = |count: std::ops::RangeInclusive<usize>| {
            proptest::collection::vec(any::<char>(), count).prop_map(String::from_iter)
        };
        prop_oneof![4 => letters(0..=40.min(most)), 1 => letters(most..=most), 1 => letters(most + 1..=most + 1)]
            .boxed()
    }
}

fn in_bytes(schema: &Value) -> bool {
    schema["x-length-in-bytes"] == true
}

fn in_enum(schema: &Value, value: &Value) -> bool {
    schema["enum"].as_array().is_none_or(|values| values.contains(value))
}

fn range(schema: &Value) -> (i64, i64) {
    (schema["minimum"].as_i64().unwrap(), schema["maximum"].as_i64().unwrap())
}

/// A text with one change: a character more, less, or another one, or another case.
fn changed(text: &str, place: usize, change: u8, character: char) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let place = if characters.is_empty() { 0 } else { place % characters.len() };
    match change % 6 {
        0 => characters.insert(place, character),
        1 if !characters.is_empty() => drop(characters.remove(place)),
        2 if !characters.is_empty() => characters[place] = character,
        3 => characters.push(character),
        4 => characters = text.to_uppercase().chars().collect(),
        _ => characters.extend(text.chars()),
    }
    characters.into_iter().collect()
}

fn near() -> impl Strategy<Value = char> {
    prop_oneof![
        2 => proptest::sample::select(" \n\t\0\u{7f}\u{85}\u{a0}é７*?/\\.:@-_=+'\"[]{}0aAzZ9~".chars().collect::<Vec<_>>()),
        1 => any::<char>(),
    ]
}

/// Every parameter of every action with its schema, which is that of the whole document.
fn parameters() -> Vec<(String, Row, Documented)> {
    let documents: BTreeMap<_, _> = Product::ALL
        .iter()
        .map(|product| (product.version(), serde_json::to_value(document(*product)).unwrap()))
        .collect();
    let mut all = Vec::new();
    for (entry, rows) in all_parameters() {
        let operation =
            &documents[entry.product.version()]["paths"][format!("/#Action={}", entry.name)]["post"];
        let request = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
        for row in rows {
            let schema = request["properties"][row.name].clone();
            assert!(schema.is_object(), "{} of {} is in no document", row.name, entry.name);
            let required = request["required"].as_array();
            let is_required = required.is_some_and(|names| names.contains(&Value::from(row.name)));
            assert_eq!(is_required, row.mandatory, "{} {}", entry.name, row.name);
            let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(pattern).unwrap());
            all.push((entry.name.to_owned(), row, Documented { schema, pattern }));
        }
    }
    assert!(all.len() > 150, "{}", all.len());
    all
}

#[test]
fn what_fits_the_document_is_accepted_and_what_does_not_is_refused() {
    let config = || ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut failures = Vec::new();
    for (action, row, documented) in parameters() {
        let explained = explained(&action, &row);
        let texts = (documented.texts(), any::<usize>(), any::<u8>(), near(), any::<bool>());
        let outcome = TestRunner::new(config()).run(&texts, |(text, place, change, character, as_it_is)| {
            let text = if as_it_is { text } else { changed(&text, place, change, character) };
            // An empty text is no value, whatever the parameter.
            prop_assume!(!text.is_empty());
            let fits = documented.accepts(&text);
            let checked = (row.check)(&text);
            let breaks_another_rule = fits
                && explained.is_some_and(|explained| explained.breaks.is_none_or(|breaks| breaks(&text)));
            match (fits, &checked) {
                (true, Err(why)) if !breaks_another_rule => {
                    prop_assert!(false, "{text:?} fits, and is refused: {why}");
                }
                (true, Ok(()))
                    if breaks_another_rule
                        && explained.is_some_and(|explained| explained.breaks.is_some()) =>
                {
                    prop_assert!(false, "{text:?} breaks a rule that is explained, and is accepted");
                }
                (false, Ok(())) => prop_assert!(false, "{text:?} does not fit, and is accepted"),
                _ => {}
            }
            Ok(())
        });
        if let Err(error) = outcome {
            failures.push(format!("{action} {}: {error}\n{}", row.name, documented.schema));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn each_side_of_a_limit_is_tried() {
    for (action, row, documented) in parameters() {
        let schema = &documented.schema;
        let accepts = |text: &str| (row.check)(text).is_ok();
        let name = format!("{action} {}", row.name);
        if schema["type"] == "integer" {
            let (least, most) = range(schema);
            assert!(accepts(&least.to_string()) && accepts(&most.to_string()), "{name}");
            assert!(!accepts(&(least - 1).to_string()) && !accepts(&(most + 1).to_string()), "{name}");
        }
        if let Some(words) = schema["enum"].as_array() {
            for word in words.iter().filter_map(Value::as_str) {
                let cases = [word.to_lowercase(), word.to_uppercase()];
                let others = cases.into_iter().chain([format!("{word}x"), format!(" {word}")]);
                assert!(accepts(word), "{name}: {word}");
                for other in others.filter(|other| other != word) {
                    assert!(!accepts(&other), "{name}: {other}");
                }
            }
        }
        let bound = |name: &str| schema[name].as_u64().map(|bound| usize::try_from(bound).unwrap());
        let lengths = [bound("minLength"), bound("maxLength")].into_iter().flatten();
        for length in lengths.flat_map(|length| [length.saturating_sub(1), length, length + 1]) {
            for character in ["a", "0", "1", "A", "é", " "] {
                let text = character.repeat(length);
                let fits = documented.accepts(&text);
                // What fits may break a rule that no schema can say; what does not fit is refused in any case.
                let may_be_refused = fits && explained(&action, &row).is_some();
                if !text.is_empty() && !may_be_refused {
                    assert_eq!(accepts(&text), fits, "{name}: {length} times {character:?}");
                }
            }
        }
    }
}

#[test]
fn every_parameter_says_its_rule_or_is_known_to_have_none() {
    let without_rules: BTreeSet<String> = parameters()
        .into_iter()
        .filter(|(_, _, documented)| {
            let schema = documented.schema.as_object().unwrap();
            let says = ["pattern", "maxLength", "enum", "maximum", "contentMediaType"];
            schema["type"] == "string" && !says.iter().any(|rule| schema.contains_key(*rule))
        })
        .map(|(action, row, _)| format!("{action}.{}", row.name))
        .collect();
    // A document to be looked at may be anything; a sealed message has only a meaning for the deployment.
    assert_eq!(
        without_rules.iter().map(String::as_str).collect::<Vec<_>>(),
        ["DecodeDiagnosticMessage.EncodedDiagnosticMessage", "ValidatePolicy.PolicyDocument"]
    );
}

#[test]
fn examples_are_accepted_and_every_mandatory_parameter_has_one() {
    for (action, row, documented) in parameters() {
        let name = format!("{action} {}", row.name);
        for value in [&row.example, &row.default].into_iter().flatten() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(documented.accepts(&text), "{name}: {text}");
            assert_eq!((row.check)(&text).map_err(|error| error.to_string()), Ok(()), "{name}: {text}");
        }
        assert!(!row.mandatory || row.example.is_some(), "{name} has no example");
    }
}

#[test]
fn what_is_explained_is_about_parameters_that_exist() {
    let all = parameters();
    for Explained { parameters, why, .. } in EXPLAINED {
        for named in *parameters {
            let (action, parameter) = named.split_once('.').unwrap();
            let found =
                all.iter().any(|(of, row, _)| row.name == parameter && (action == "*" || action == of));
            assert!(found, "{named}: {why}");
        }
    }
}
