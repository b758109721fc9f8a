//! The names and moments that the tests use.

use domain::{AccountId, InstanceId, Region, Timestamp};

/// The account of the vendor's signature vectors, so that those can also be sent to a server of the tests.
pub const ACCOUNT: &str = "1609982529000000";
/// The start of the tests' time, in epoch milliseconds.
pub const START: i64 = 1_700_000_000_000;
/// The length of a day in milliseconds.
pub const DAY: i64 = 86_400_000;

/// The moment this many milliseconds after [`START`].
#[must_use]
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

/// The account that most tests are about.
#[must_use]
pub fn account() -> AccountId {
    ACCOUNT.parse().unwrap()
}

/// Another account in the same deployment.
#[must_use]
pub fn other_account() -> AccountId {
    "1609982529000001".parse().unwrap()
}

/// The instance `i-NAME`.
#[must_use]
pub fn instance(name: &str) -> InstanceId {
    InstanceId::parse(&format!("i-{name}")).unwrap()
}

/// The region of every deployment of the tests.
#[must_use]
pub fn region() -> Region {
    "cn-hangzhou".parse().unwrap()
}
