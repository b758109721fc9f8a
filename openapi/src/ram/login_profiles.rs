use std::fmt;

use domain::identity::UserName;
use domain::password::Password;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DoneReply;
use crate::operations::operations;
use crate::parameters::{Deferred, Parameters};

operations! {
    CreateLoginProfile: CreateLoginProfileRequest => LoginProfileReply, [EntityNotExist, EntityAlreadyExists];
    GetLoginProfile: GetLoginProfileRequest => LoginProfileReply, [EntityNotExist];
    UpdateLoginProfile: UpdateLoginProfileRequest => DoneReply, [EntityNotExist];
    DeleteLoginProfile: DeleteLoginProfileRequest => DoneReply, [EntityNotExist];
}

/// Gives a user a password for the console.
#[derive(Clone, PartialEq, Eq, Parameters)]
pub struct CreateLoginProfileRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
    /// The password: 8 to 32 characters, none of them a control character.
    #[parameter(example = "correct-horse-9")]
    pub password: Deferred<Password>,
    /// Whether the next sign-in has to choose another password.
    pub password_reset_required: Option<bool>,
    /// Whether signing in needs a second factor.
    #[parameter(name = "MFABindRequired")]
    pub mfa_bind_required: Option<bool>,
}

/// Asks how a user signs in to the console.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetLoginProfileRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
}

/// Changes how a user signs in to the console. What is omitted stays as it is.
#[derive(Clone, PartialEq, Eq, Parameters)]
pub struct UpdateLoginProfileRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
    /// The new password: 8 to 32 characters, none of them a control character.
    #[parameter(example = "correct-horse-9")]
    pub password: Option<Deferred<Password>>,
    /// Whether the next sign-in has to choose another password.
    pub password_reset_required: Option<bool>,
    /// Whether signing in needs a second factor.
    #[parameter(name = "MFABindRequired")]
    pub mfa_bind_required: Option<bool>,
}

/// Removes a user's password for the console.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct DeleteLoginProfileRequest {
    /// The user.
    #[parameter(example = "ana")]
    pub user_name: Deferred<UserName>,
}

/// How a user signs in to the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct LoginProfileReply {
    /// The call's id.
    pub request_id: String,
    /// The login profile.
    pub login_profile: LoginProfileItem,
}

/// How a user signs in to the console; its password is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct LoginProfileItem {
    /// The user.
    #[schema(example = "ana")]
    pub user_name: String,
    /// Whether the next sign-in has to choose another password.
    pub password_reset_required: bool,
    /// Whether signing in needs a second factor.
    #[serde(rename = "MFABindRequired")]
    pub mfa_bind_required: bool,
    /// When it was created.
    #[schema(example = "2023-04-10T12:41:28Z")]
    pub create_date: String,
}

impl fmt::Debug for CreateLoginProfileRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateLoginProfileRequest")
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UpdateLoginProfileRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpdateLoginProfileRequest")
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        let user_name = || Ok("ana".parse().unwrap());
        let create = CreateLoginProfileRequest {
            user_name: user_name(),
            password: Ok("correct horse".parse().unwrap()),
            password_reset_required: None,
            mfa_bind_required: None,
        };
        let update = UpdateLoginProfileRequest {
            user_name: user_name(),
            password: Some(Ok("correct horse".parse().unwrap())),
            password_reset_required: None,
            mfa_bind_required: None,
        };
        let printed = format!("{create:?} {update:?}");
        assert!(printed.contains("ana") && !printed.contains("horse"), "{printed}");
    }
}
