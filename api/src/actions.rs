//! The actions of the wire, one file each: what the call is about, what it does, and how it fails.

mod create_agent_join_token;
mod delete_agent;
mod get_instance_record_config;
mod list_agents;
mod list_audit_events;
mod list_instance_records;
mod ram;
mod set_instance_record_config;
mod simulate_policy;
mod sts;
mod validate_policy;
mod verify_agent_recordings;
mod view_instance_records;

use domain::actions::{self as catalogue, Product};
use domain::gate::Resource;
use domain::record_config::InstanceSelector;
use domain::{InstanceId, InvalidIdentifier, Timestamp};
use openapi::error_codes::{ErrorCode, WireError};
use persistence::{PageRequest, StoreError};

use crate::dispatch::{Call, Registered};
use crate::errors::ActionError;

macro_rules! registry {
    ($($action:ident)*) => {
        /// Every action of the wire, as dispatch calls it.
        pub(crate) const REGISTRY: &[Registered] = &[ $( Registered::new::<catalogue::$action>() ),* ];
    };
}

domain::wire_actions!(registry);

/// Finds an action: version first, then the name (DECISIONS G1), and only in the catalogue.
pub(crate) fn find(
    version: Result<&str, WireError>,
    action: Result<&str, &WireError>,
) -> Result<&'static Registered, WireError> {
    let version = version?;
    if Product::of_version(version).is_none() {
        return Err(ErrorCode::InvalidVersion.into());
    }
    let entry = catalogue::find(version, action.map_err(Clone::clone)?).ok_or(ErrorCode::ActionNotFound)?;
    let registered = REGISTRY.iter().find(|registered| registered.entry == *entry);
    registered.ok_or_else(|| ErrorCode::ActionNotFound.into())
}

/// Reads an InstanceId that names one instance.
fn one_instance(text: &str) -> Result<InstanceId, WireError> {
    InstanceId::parse(text).map_err(|error| invalid("InstanceId", &error))
}

/// Reads an InstanceId that may be `*`.
fn selector(text: &str) -> Result<InstanceSelector, WireError> {
    InstanceSelector::parse(text)
        .map_err(|error| WireError::invalid("InstanceId", format_args!("it is *, or {}", rule(&error))))
}

/// One instance or all of them, as policies are asked about them.
async fn selected(call: &Call<'_>, selector: &InstanceSelector) -> Result<Resource, ActionError> {
    match selector {
        InstanceSelector::One(instance) => call.instance(instance.clone()).await,
        InstanceSelector::All => Ok(Resource::AllInstances { region: call.hansard.settings.region.clone() }),
    }
}

/// The instance that a list's filter names; `None` when it names none or all of them.
fn only_instance(text: Option<&str>) -> Result<Option<InstanceId>, WireError> {
    Ok(match text.map(selector).transpose()? {
        Some(InstanceSelector::One(instance)) => Some(instance),
        Some(InstanceSelector::All) | None => None,
    })
}

/// The resource of the instance that a filter names, or of no particular one.
async fn filtered(call: &Call<'_>, only: Option<&InstanceId>) -> Result<Resource, ActionError> {
    match only {
        Some(instance) => call.instance(instance.clone()).await,
        None => Ok(Resource::Everything),
    }
}

fn invalid(parameter: &'static str, error: &InvalidIdentifier) -> WireError {
    WireError::invalid(parameter, format_args!("it is {}: {}", error.kind(), rule(error)))
}

fn rule(error: &InvalidIdentifier) -> &'static str {
    let allowed = error.allowed();
    allowed.strip_prefix("it is ").unwrap_or(allowed)
}

/// A time among the parameters.
fn time(parameter: &'static str, text: &str) -> Result<Timestamp, WireError> {
    Timestamp::parse_rfc3339(text)
        .map_err(|_| WireError::invalid(parameter, "it must be a time in UTC such as 2023-11-16T02:59:39Z"))
}

/// The wire's form of a time.
fn wire_time(at: Timestamp) -> String {
    at.to_rfc3339_seconds()
}

/// A list's own refusals.
fn list_refused(error: StoreError) -> ActionError {
    match error {
        StoreError::InvalidPageToken => {
            WireError::invalid("NextToken", "it must be the NextToken of an earlier reply to the same list")
                .into()
        }
        other => other.into(),
    }
}

/// The wire's counts are 32 bits wide.
fn wire_count(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The page that is wanted. The first page is read as the beginning of the whole list, so that its reply can say where
/// the next one begins.
fn page(
    number: Option<i32>,
    size: Option<i32>,
    next_token: Option<String>,
) -> Result<PageRequest, WireError> {
    let whole = |parameter, value: Option<i32>, default| match value {
        None => Ok(default),
        Some(value) => u32::try_from(value)
            .map_err(|_| WireError::invalid(parameter, "it must be a whole number from 1")),
    };
    let number = whole("PageNumber", number, 1)?;
    let size = whole("PageSize", size, openapi::workbench::DEFAULT_PAGE_SIZE)?;
    match (number, next_token) {
        (1, token) => Ok(PageRequest::After { token, size }),
        (_, None) => Ok(PageRequest::Number { number, size }),
        (_, Some(_)) => Err(WireError::invalid(
            "NextToken",
            "it goes on from an earlier page, so PageNumber is left out with it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use domain::actions::{CATALOGUE, Door};

    use super::*;

    #[test]
    fn a_page_is_asked_for_by_number_or_by_token() {
        let token = || Some("t".to_owned());
        assert_eq!(page(None, None, None), Ok(PageRequest::After { token: None, size: 10 }));
        assert_eq!(page(Some(1), Some(3), token()), Ok(PageRequest::After { token: token(), size: 3 }));
        assert_eq!(page(Some(2), Some(3), None), Ok(PageRequest::Number { number: 2, size: 3 }));
        assert_eq!(page(Some(2), None, token()).unwrap_err().code_text(), "InvalidNextToken");
    }

    #[test]
    fn a_bad_instance_is_named_and_ruled() {
        let error = one_instance("nodash").unwrap_err();
        assert_eq!(error.code_text(), "InvalidInstanceId");
        assert!(error.message().contains("it is an instance id: 1 to 8 lower-case letters"), "{error}");
        assert!(one_instance("*").is_err());
        assert!(selector("*").is_ok() && selector("i-abc").is_ok());
        assert!(selector("").unwrap_err().message().contains("it is *, or 1 to 8"));
    }

    #[test]
    fn every_action_of_the_wire_is_registered() {
        for entry in CATALOGUE.iter().filter(|entry| entry.door == Door::Wire) {
            let found = find(Ok(entry.product.version()), Ok(entry.name));
            assert!(found.is_ok_and(|found| found.entry == *entry), "{}", entry.name);
        }
    }

    #[test]
    fn what_is_not_in_the_catalogue_cannot_be_reached() {
        for registered in REGISTRY {
            let entry = registered.entry;
            let row = catalogue::find(entry.product.version(), entry.name);
            assert_eq!(row.expect("a registered action has its row").door, Door::Wire);
        }
        let refused = |version, action| find(Ok(version), Ok(action)).err().map(|error| error.code());
        let workbench = Product::Workbench.version();
        for entry in CATALOGUE.iter().filter(|entry| entry.door != Door::Wire) {
            let code = refused(entry.product.version(), entry.name);
            assert_eq!(code, Some(ErrorCode::ActionNotFound), "{}", entry.name);
        }
        for other in ["", "LoginInstance", "listagents", "ListAgents ", "Nothing"] {
            assert_eq!(refused(workbench, other), Some(ErrorCode::ActionNotFound), "{other:?}");
        }
        assert_eq!(refused(Product::Ram.version(), "ListAgents"), Some(ErrorCode::ActionNotFound));
        assert_eq!(refused("2015-05-02", "ListAgents"), Some(ErrorCode::InvalidVersion));
        assert_eq!(refused("", "Nothing"), Some(ErrorCode::InvalidVersion));
    }

    #[test]
    fn a_missing_version_is_reported_before_a_missing_action() {
        let error = find(Err(WireError::missing("Version")), Err(&WireError::missing("Action"))).err();
        assert_eq!(error.map(|error| error.code_text()).as_deref(), Some("MissingVersion"));
    }
}
