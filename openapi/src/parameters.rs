//! From parameters, names and texts, to a typed request, and what the documents say of them: both come from the types of
//! a request's fields. Errors name the parameter as the wire spells it.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use domain::identity::BrokenRule;
use domain::parameter::{Parameter, Refused, Shape};
pub(crate) use openapi_derive::Parameters;
use serde_json::Value;

use crate::error_codes::WireError;
use crate::lists::with_lists;

/// A parameter whose refusal waits until the action asks for it.
pub type Deferred<T> = Result<T, WireError>;

/// The parameters of an action. It is derived from the fields of a struct, each of which must be a [`Parameter`].
pub trait Parameters: Sized {
    /// What the action does.
    const ABOUT: &'static str;

    /// What the document says of each parameter, in the order of the fields.
    fn rows() -> Vec<Row>;

    /// Reads them, each with its own type. Parameters that the struct does not have are ignored; one that is empty was
    /// not given.
    ///
    /// # Errors
    /// `Missing<Param>` or `Invalid<Param>`.
    fn read(given: &Given<'_>) -> Result<Self, WireError>;
}

/// What the document says of a parameter, from its field and its type.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Whether it must be given.
    pub mandatory: bool,
    /// A value for whoever reads the document.
    pub example: Option<Value>,
    /// What it is when it is omitted.
    pub default: Option<Value>,
    /// The texts that it accepts.
    pub shape: Shape,
    /// The kinds of rules that a text can break.
    pub breaks: &'static [BrokenRule],
    /// How a text is checked when it is read.
    pub check: fn(&str) -> Result<(), Refused>,
}

/// Reads a request from the parameters of a call.
///
/// # Errors
/// `Missing<Param>` or `Invalid<Param>`.
pub fn read<T: Parameters>(parameters: &BTreeMap<String, String>) -> Result<T, WireError> {
    // Once, and only for a call that gives a list item by item: it may have as many items as its body holds.
    let rows = OnceCell::new();
    let is_known = |name: &str| rows.get_or_init(T::rows).iter().any(|row| row.name == name);
    T::read(&Given(&*with_lists(parameters, is_known)?))
}

/// The parameters of a call, as they arrived. There can be secrets among them, so that they cannot be printed.
pub struct Given<'p>(&'p BTreeMap<String, String>);

impl Given<'_> {
    /// What was given. SDKs send what their caller left undefined as an empty text.
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Refuses a call that leaves one of these out.
    pub(crate) fn require(&self, names: &[&'static str]) -> Result<(), WireError> {
        match names.iter().find(|name| self.text(name).is_none()) {
            Some(missing) => Err(WireError::missing(*missing)),
            None => Ok(()),
        }
    }

    /// Reads a parameter that must be given.
    pub(crate) fn mandatory<T: Parameter>(&self, name: &'static str) -> Deferred<T> {
        self.optional(name).unwrap_or_else(|| Err(WireError::missing(name)))
    }

    /// Reads a parameter that may be omitted.
    pub(crate) fn optional<T: Parameter>(&self, name: &'static str) -> Option<Deferred<T>> {
        let read = |text| T::read(text).map_err(|refused| refused_as(name, &refused));
        self.text(name).map(read)
    }
}

/// The refusal of a parameter.
#[must_use]
pub fn refused_as(name: &'static str, refused: &Refused) -> WireError {
    WireError::breaking(name, refused.broken, refused)
}

#[cfg(test)]
mod tests {
    use domain::expiration::ExpirationDays;
    use domain::record_config::InstanceSelector;

    use super::*;
    use crate::workbench::{ListInstanceRecordsRequest, SetInstanceRecordConfigRequest};

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// What the action learns when it asks for every parameter.
    fn set(pairs: &[(&str, &str)]) -> Result<SetInstanceRecordConfigRequest, WireError> {
        let asked: SetInstanceRecordConfigRequest = read(&parameters(pairs))?;
        asked.expiration_days.clone().transpose()?;
        Ok(asked)
    }

    #[test]
    fn what_sdks_send_is_read() {
        for spelling in ["True", "true", "TRUE"] {
            let asked =
                set(&[("Enabled", spelling), ("InstanceId", "*"), ("ExpirationDays", "7"), ("Action", "x")]);
            let asked = asked.unwrap();
            assert!(asked.enabled);
            let days = asked.expiration_days.map(|days| days.map(ExpirationDays::get));
            assert_eq!((asked.instance_id, days), (Ok(InstanceSelector::All), Some(Ok(7))));
            assert!(asked.record_storage_target.is_none() && asked.region_id.is_none());
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
    fn an_invalid_number_is_reported_with_its_range_and_without_the_limits_of_its_type() {
        for text in ["7.5", "1e3", "+1", " 1", "-", "seven", "0x10"] {
            let refused =
                set(&[("Enabled", "true"), ("InstanceId", "*"), ("ExpirationDays", text)]).unwrap_err();
            assert_eq!(
                refused.message(),
                "The specified parameter ExpirationDays is not valid: it must be a whole number from 1 to 3650.",
                "{text}"
            );
        }
        for text in ["0", "-1", "101", "2147483648", "-99999999999999999999", "99999999999999999999"] {
            let refused = read::<ListInstanceRecordsRequest>(&parameters(&[("PageSize", text)])).unwrap_err();
            assert_eq!(
                refused.message(),
                "The specified parameter PageSize is not valid: it must be a whole number from 1 to 100.",
                "{text}"
            );
        }
    }

    #[test]
    fn a_deferred_refusal_waits_until_it_is_asked_for() {
        let pairs = [("Enabled", "true"), ("InstanceId", "nodash"), ("ExpirationDays", "0")];
        let asked: SetInstanceRecordConfigRequest = read(&parameters(&pairs)).unwrap();
        assert_eq!(asked.instance_id.unwrap_err().code_text(), "InvalidInstanceId");
        assert_eq!(asked.expiration_days.unwrap().unwrap_err().code_text(), "InvalidExpirationDays");
    }
}
