//! The actions of RAM, one file each.

mod create_role;
mod decode_diagnostic_message;
mod delete_role;
mod get_role;
mod get_user;
mod list_roles;
mod list_users;
pub(super) mod paging;
mod update_role;

use domain::actions as catalogue;
use domain::identity::{InvalidName, UserName};
use domain::principal::Principal;
use openapi::error_codes::{ErrorCode, WireError};

use crate::dispatch::{Call, Registered};

/// Users, their access keys and passwords, groups and who is in them.
pub(super) const USERS: &[Registered] =
    &[Registered::new::<catalogue::GetUser>(), Registered::new::<catalogue::ListUsers>()];

/// Roles, and why something was denied.
pub(super) const ROLES: &[Registered] = &[
    Registered::new::<catalogue::CreateRole>(),
    Registered::new::<catalogue::GetRole>(),
    Registered::new::<catalogue::UpdateRole>(),
    Registered::new::<catalogue::ListRoles>(),
    Registered::new::<catalogue::DeleteRole>(),
    Registered::new::<catalogue::DecodeDiagnosticMessage>(),
];

/// `InvalidParameter.<Param>`; `rule` says what is allowed.
pub(super) fn invalid(parameter: &'static str, rule: impl std::fmt::Display) -> WireError {
    let message = format!("The specified parameter {parameter} is not valid: {rule}.");
    WireError::about(ErrorCode::InvalidRamParameter, parameter, message)
}

/// Reads a name or an id.
pub(super) fn name<T: std::str::FromStr<Err = InvalidName>>(
    parameter: &'static str,
    text: &str,
) -> Result<T, WireError> {
    text.parse().map_err(|error: InvalidName| invalid(parameter, format_args!("it is {}", error.rule)))
}

/// The user that a call names; a user that names none means itself.
fn caller_or(call: &Call<'_>, user_name: Option<&str>) -> Result<UserName, WireError> {
    match (user_name, &call.principal) {
        (Some(user_name), _) => name("UserName", user_name),
        (None, Principal::User { user_name, .. }) => Ok(user_name.clone()),
        (None, _) => Err(WireError::missing("UserName")),
    }
}
