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

pub(crate) use list_instance_records::ledger_list;

use domain::actions::{self as catalogue, Product};
use domain::gate::Resource;
use domain::record_config::InstanceSelector;
use domain::{InstanceId, Timestamp};
use openapi::error_codes::{ErrorCode, WireError};
use openapi::parameter_types::{NextToken, PageNumber, PageSize};
use persistence::{PageRequest, StoreError};

use crate::dispatch::{Call, Deferred, Registered};
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
    let product = Product::of_version(version?).ok_or(ErrorCode::InvalidVersion)?;
    let name = action.map_err(Clone::clone)?;
    // The registry is made of the catalogue's rows of the wire.
    let mut registered = REGISTRY.iter();
    let found =
        registered.find(|registered| registered.entry.name == name && registered.entry.product == product);
    found.ok_or_else(|| ErrorCode::ActionNotFound.into())
}

/// One instance or all of them, as policies are asked about them.
async fn selected(call: &Call<'_>, selector: &InstanceSelector) -> Result<Resource, ActionError> {
    match selector {
        InstanceSelector::One(instance) => call.instance(instance.clone()).await,
        InstanceSelector::All => Ok(Resource::AllInstances { region: call.hansard.settings.region.clone() }),
    }
}

/// The instance that a list's filter names; `None` when it names none or all of them.
fn only_instance(named: Option<Deferred<InstanceSelector>>) -> Result<Option<InstanceId>, WireError> {
    Ok(match named.transpose()? {
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
    number: Option<PageNumber>,
    size: Option<PageSize>,
    next_token: Option<NextToken>,
) -> Result<PageRequest, WireError> {
    let number = number.map_or(1, PageNumber::get);
    let size = size.map_or(openapi::workbench::DEFAULT_PAGE_SIZE, PageSize::get);
    match (number, next_token.map(String::from)) {
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
    use domain::parameter::Parameter as _;

    use super::*;

    #[test]
    fn a_page_is_asked_for_by_number_or_by_token() {
        let token = || Some("t".to_owned());
        let page = |number, size, token: Option<&str>| {
            page(number, size, token.map(|token| NextToken::read(token).unwrap()))
        };
        let number = |text| Some(PageNumber::read(text).unwrap());
        let three = Some(PageSize::read("3").unwrap());
        assert_eq!(page(None, None, None), Ok(PageRequest::After { token: None, size: 10 }));
        assert_eq!(page(number("1"), three, Some("t")), Ok(PageRequest::After { token: token(), size: 3 }));
        assert_eq!(page(number("2"), three, None), Ok(PageRequest::Number { number: 2, size: 3 }));
        assert_eq!(page(number("2"), None, Some("t")).unwrap_err().code_text(), "InvalidNextToken");
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
