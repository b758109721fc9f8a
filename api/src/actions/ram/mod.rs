//! The actions of RAM, by thing, one file each.

mod access_keys;
mod account;
mod attachments;
mod decode_diagnostic_message;
mod groups;
mod login_profiles;
pub(super) mod paging;
mod policies;
mod roles;
mod tags;
mod users;

use domain::actions::ReadsIdentity;
use domain::gate::{Granted, IdentityResource, Resource};
use domain::identity::{GroupName, InvalidName, KeyOwner, UserName};
use domain::password::{Password, PasswordHash};
use domain::principal::Principal;
use openapi::error_codes::WireError;

use crate::dispatch::{Call, Deferred, Located};
use crate::errors::ActionError;

fn broken(parameter: &'static str, error: &InvalidName) -> WireError {
    WireError::breaking(parameter, error.broken, format_args!("it must be {}", error.rule))
}

/// One thing of the identity store, as what a call is about.
fn about(thing: IdentityResource) -> Located {
    Resource::Identity(vec![thing]).into()
}

/// The user that a call names. A user who names none means itself.
fn caller_or(caller: &Principal, user_name: Option<Deferred<UserName>>) -> Result<UserName, WireError> {
    match (user_name, caller) {
        (Some(user_name), _) => user_name,
        (None, Principal::User { user_name, .. }) => Ok(user_name.clone()),
        (None, _) => Err(WireError::missing("UserName")),
    }
}

/// The owner of the access keys that a call is about. A call that names no user means the caller.
fn key_owner(caller: &Principal, user_name: Option<Deferred<UserName>>) -> Result<KeyOwner, WireError> {
    match (user_name, caller) {
        (None, Principal::Account { .. }) => Ok(KeyOwner::Root),
        (user_name, _) => caller_or(caller, user_name).map(KeyOwner::User),
    }
}

/// A user and a group, both of which a call about a membership is about.
pub(crate) struct Membership {
    user: UserName,
    group: GroupName,
}

impl Membership {
    fn read(user: Deferred<UserName>, group: Deferred<GroupName>) -> Result<Self, WireError> {
        Ok(Self { user: user?, group: group? })
    }

    fn located(&self) -> Located {
        let user = IdentityResource::User(self.user.clone());
        Resource::Identity(vec![user, IdentityResource::Group(self.group.clone())]).into()
    }
}

/// A new password that is as the account's policy wants it, hashed.
async fn chosen<A: ReadsIdentity>(
    call: &Call<'_>,
    granted: &Granted<A>,
    password: Password,
) -> Result<PasswordHash, ActionError> {
    let settings = call.store.account_settings(granted).await?;
    password.meets(settings.password_policy).map_err(|weak| broken("Password", &weak))?;
    hashed(call, password).await
}

/// The hash of a new password. By design it takes much time and memory, so that only a few are computed at once, where
/// blocking is allowed.
async fn hashed(call: &Call<'_>, password: Password) -> Result<PasswordHash, ActionError> {
    let hashed = call.hansard.work.hashing.run(move || password.hash()).await;
    hashed.map_err(|error| ActionError::unexpected("a password could not be hashed", error))
}
