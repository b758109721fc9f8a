//! From parameters, names and texts, to a typed request. Errors name the parameter as the wire spells it.

use std::collections::BTreeMap;
use std::fmt;

use domain::identity::BrokenRule;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use validator::Validate;

use crate::error_codes::{ErrorCode, WireError};

/// Reads a request struct from parameters and checks its shape. Parameters that the struct does not have are
/// ignored; one that is empty was not given.
///
/// # Errors
/// `Missing<Param>` or `Invalid<Param>`.
pub fn read<T: DeserializeOwned + Validate>(parameters: &BTreeMap<String, String>) -> Result<T, WireError> {
    let request = T::deserialize(Parameters(parameters)).map_err(|error| match error.parameter {
        Some(parameter) => WireError::invalid(parameter, error.rule),
        None if error.missing => WireError::missing(error.rule),
        None => WireError::with_message(ErrorCode::MalformedRequest, error.rule),
    })?;
    request.validate().map_err(|errors| first_broken_rule(&errors))?;
    Ok(request)
}

fn first_broken_rule(errors: &validator::ValidationErrors) -> WireError {
    let fields = errors.field_errors();
    // The map's order changes from run to run; the answer must not.
    let first = fields.into_iter().min_by(|(a, _), (b, _)| a.cmp(b));
    let Some((field, broken)) = first else { return ErrorCode::MalformedRequest.into() };
    let first = broken.first();
    let rule = first.and_then(|rule| rule.message.clone());
    let kind = first.map_or(BrokenRule::Value, |rule| kind_of_rule(&rule.code));
    let rule = rule.unwrap_or("it breaks a rule of this parameter".into());
    WireError::breaking(pascal_case(&field), kind, rule)
}

/// The kind of rule, where a struct names it: `code = "Length"`.
fn kind_of_rule(code: &str) -> BrokenRule {
    match code {
        "InvalidChars" => BrokenRule::Characters,
        "Length" => BrokenRule::Length,
        "Format" => BrokenRule::Format,
        "Range" => BrokenRule::Range,
        _ => BrokenRule::Value,
    }
}

/// `page_size` is `PageSize` on the wire.
fn pascal_case(field: &str) -> String {
    field
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .collect()
}

#[derive(Debug)]
struct ReadError {
    parameter: Option<&'static str>,
    missing: bool,
    rule: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self { parameter: None, missing: false, rule: message.to_string() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { parameter: None, missing: true, rule: field.to_owned() }
    }
}

/// All parameters of a call, read as a struct.
struct Parameters<'p>(&'p BTreeMap<String, String>);

impl<'de> de::Deserializer<'de> for Parameters<'_> {
    type Error = ReadError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_map(Fields { parameters: self.0, fields: fields.iter(), value: None })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ReadError> {
        Err(de::Error::custom("parameters are read as a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Fields<'p> {
    parameters: &'p BTreeMap<String, String>,
    fields: std::slice::Iter<'static, &'static str>,
    value: Option<(&'static str, &'p str)>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        for name in self.fields.by_ref() {
            // SDKs send what their caller left undefined as an empty text.
            if let Some(text) = self.parameters.get(*name).filter(|text| !text.is_empty()) {
                self.value = Some((name, text));
                let name: StrDeserializer<'_, ReadError> = (*name).into_deserializer();
                return seed.deserialize(name).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        let (name, text) =
            self.value.take().ok_or_else(|| -> ReadError { de::Error::custom("a value without a name") })?;
        seed.deserialize(Text(text)).map_err(|error| ReadError {
            parameter: Some(name),
            missing: false,
            rule: error.rule,
        })
    }
}

/// One parameter's text, read as what its field is.
struct Text<'p>(&'p str);

impl Text<'_> {
    /// Digits, with a minus sign where that makes sense; no plus sign, no spaces.
    fn whole_number(&self, least: i64, most: i64) -> Result<i64, ReadError> {
        let digits = self.0.strip_prefix('-');
        let (negative, digits) = (digits.is_some(), digits.unwrap_or(self.0));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(de::Error::custom("it must be a whole number"));
        }
        // What the field can hold is no rule of the parameter, and is not named.
        let number = self.0.parse::<i64>().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| {
            let way = if negative { "small" } else { "large" };
            de::Error::custom(format_args!("it must be a whole number, and this one is too {way}"))
        })
    }
}

impl<'de> de::Deserializer<'de> for Text<'_> {
    type Error = ReadError;

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.0.eq_ignore_ascii_case("true") {
            visitor.visit_bool(true)
        } else if self.0.eq_ignore_ascii_case("false") {
            visitor.visit_bool(false)
        } else {
            Err(de::Error::custom("it must be true or false"))
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_i64(self.whole_number(i32::MIN.into(), i32::MAX.into())?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_i64(self.whole_number(i64::MIN, i64::MAX)?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_str(self.0)
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::{ListInstanceRecordsRequest, SetInstanceRecordConfigRequest};

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn set(pairs: &[(&str, &str)]) -> Result<SetInstanceRecordConfigRequest, WireError> {
        read(&parameters(pairs))
    }

    #[test]
    fn what_sdks_send_is_read() {
        for spelling in ["True", "true", "TRUE"] {
            let asked =
                set(&[("Enabled", spelling), ("InstanceId", "*"), ("ExpirationDays", "7"), ("Action", "x")]);
            let asked = asked.unwrap();
            assert!(asked.enabled);
            assert_eq!((asked.instance_id.as_str(), asked.expiration_days), ("*", Some(7)));
            assert_eq!((asked.record_storage_target, asked.region_id), (None, None));
        }
        assert!(!set(&[("Enabled", "False"), ("InstanceId", "*")]).unwrap().enabled);
        assert!(read::<ListInstanceRecordsRequest>(&parameters(&[])).unwrap().page_size.is_none());
    }

    #[test]
    fn errors_name_the_parameter() {
        let code = |pairs: &[(&str, &str)]| set(pairs).unwrap_err().code_text();
        assert_eq!(code(&[("InstanceId", "*")]), "MissingEnabled");
        assert_eq!(code(&[("Enabled", "true")]), "MissingInstanceId");
        // An empty text is no value.
        assert_eq!(code(&[("Enabled", ""), ("InstanceId", "*")]), "MissingEnabled");
        assert_eq!(code(&[("Enabled", "true"), ("InstanceId", "")]), "MissingInstanceId");
        for bad in ["1", "yes", " true"] {
            assert_eq!(code(&[("Enabled", bad), ("InstanceId", "*")]), "InvalidEnabled", "{bad:?}");
        }
        for bad in
            ["7.0", "+7", " 7", "7 ", "0x7", "seven", "2147483648", "99999999999999999999", "-", "--1", "７"]
        {
            let code = code(&[("Enabled", "true"), ("InstanceId", "*"), ("ExpirationDays", bad)]);
            assert_eq!(code, "InvalidExpirationDays", "{bad:?}");
        }
        let message = set(&[("Enabled", "maybe"), ("InstanceId", "*")]).unwrap_err().message();
        assert_eq!(message, "The specified parameter Enabled is not valid: it must be true or false.");
    }

    #[test]
    fn an_empty_optional_parameter_was_not_given() {
        let given = [("Enabled", "true"), ("InstanceId", "*")];
        let empty = ["ExpirationDays", "RecordStorageTarget", "RegionId"].map(|name| (name, ""));
        assert_eq!(set(&[&given[..], &empty].concat()), set(&given));
        let empty = ["InstanceId", "PageNumber", "PageSize", "NextToken"].map(|name| (name, ""));
        let list = |pairs: &[(&str, &str)]| read::<ListInstanceRecordsRequest>(&parameters(pairs));
        assert_eq!(list(&empty), list(&[]));
    }

    #[test]
    fn names_are_case_sensitive() {
        assert_eq!(
            set(&[("enabled", "true"), ("InstanceId", "*")]).unwrap_err().code_text(),
            "MissingEnabled"
        );
    }

    #[test]
    fn rules_of_the_shape_are_checked() {
        let list = |name, value| read::<ListInstanceRecordsRequest>(&parameters(&[(name, value)]));
        for (name, value, code) in [
            ("PageNumber", "0", "InvalidPageNumber"),
            ("PageNumber", "-1", "InvalidPageNumber"),
            ("PageSize", "101", "InvalidPageSize"),
            ("PageSize", "0", "InvalidPageSize"),
        ] {
            assert_eq!(list(name, value).unwrap_err().code_text(), code);
        }
        assert_eq!(
            list("PageSize", "101").unwrap_err().message(),
            "The specified parameter PageSize is not valid: it must be a whole number from 1 to 100."
        );
        assert!(list("PageSize", "100").is_ok());
        let two = parameters(&[("PageSize", "0"), ("PageNumber", "0")]);
        for _ in 0..20 {
            assert_eq!(
                read::<ListInstanceRecordsRequest>(&two).unwrap_err().code_text(),
                "InvalidPageNumber"
            );
        }
    }

    #[test]
    fn an_invalid_number_is_reported_without_the_limits_of_its_type() {
        for text in ["7.5", "1e3", "+1", " 1", "-", "seven", "0x10"] {
            let refused =
                set(&[("Enabled", "true"), ("InstanceId", "*"), ("ExpirationDays", text)]).unwrap_err();
            assert_eq!(
                refused.message(),
                "The specified parameter ExpirationDays is not valid: it must be a whole number.",
                "{text}"
            );
        }
        for (text, way) in [
            ("2147483648", "large"),
            ("99999999999999999999", "large"),
            ("-2147483649", "small"),
            ("-99999999999999999999", "small"),
        ] {
            let refused = read::<ListInstanceRecordsRequest>(&parameters(&[("PageSize", text)])).unwrap_err();
            let expected = format!(
                "The specified parameter PageSize is not valid: it must be a whole number, and this one is too {way}."
            );
            assert_eq!(refused.message(), expected);
        }
    }
}
