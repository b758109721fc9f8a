//! Steps that changes of policies and of their versions have in common.

use domain::actions::Action;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{
    IdentityRefused, NewPolicy, Policy, PolicyCreated, PolicyName, check_policy_document,
};
use domain::system_policies::{self, SystemPolicy};
use domain::{AccountId, Timestamp};
use sea_orm::DatabaseTransaction;

use super::Scope;
use crate::StoreError;
use crate::rows::policy_rows;

/// Refuses entities that the grant does not name.
pub(super) fn admits<A: Action>(granted: &Granted<A>, things: &[IdentityResource]) -> Result<(), StoreError> {
    let scope = Scope::of(granted);
    things.iter().try_for_each(|thing| scope.admits_identity(thing))
}

/// Checks that a document may be stored.
pub(super) fn checked(document: &str) -> Result<(), StoreError> {
    check_policy_document(document).map_err(StoreError::InvalidPolicy)
}

/// Makes a policy if there is room for another one; the account is locked.
pub(super) async fn insert(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    new: NewPolicy,
    now: Timestamp,
) -> Result<Policy, StoreError> {
    let present = policy_rows::find(transaction, account, &new.name).await?;
    let standing = policy_rows::count(transaction, account).await?;
    let PolicyCreated { policy, version } = new.create(present.as_ref(), standing, now)?;
    policy_rows::insert(transaction, account, &policy).await?;
    policy_rows::insert_version(transaction, account, &policy.name, &version).await?;
    Ok(policy)
}

pub(super) fn system_policy(name: &PolicyName) -> Result<&'static SystemPolicy, StoreError> {
    let found = system_policies::find(name.as_str());
    found.ok_or_else(|| IdentityRefused::NoSystemPolicy { name: name.to_string() }.into())
}
