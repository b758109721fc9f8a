use domain::identity::{AccountAlias, MinimumPasswordLength, UserName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DoneReply;
use super::rules::{NoHardExpiry, NoLoginAttempts, NoPasswordAge, NoReusePrevention};
use crate::operations::operations;
use crate::parameters::{Deferred, Parameters};

operations! {
    GetAccountAlias: AccountRequest => AccountAliasReply;
    SetAccountAlias: SetAccountAliasRequest => DoneReply, [EntityAlreadyExists];
    ClearAccountAlias: AccountRequest => DoneReply;
    GetPasswordPolicy: AccountRequest => PasswordPolicyReply;
    SetPasswordPolicy: SetPasswordPolicyRequest => PasswordPolicyReply;
    GetSecurityPreference: AccountRequest => SecurityPreferenceReply;
    ListVirtualMFADevices: AccountRequest => ListVirtualMFADevicesReply;
    GetUserMFAInfo: GetUserMFAInfoRequest => UserMFAInfoReply, [MissingParameter, EntityNotExist];
}

/// Asks about the account. There are no parameters.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct AccountRequest {}

/// The account's alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccountAliasReply {
    /// The call's id.
    pub request_id: String,
    /// The alias; empty when there is none.
    #[schema(example = "example-company")]
    pub account_alias: String,
}

/// Gives the account an alias.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct SetAccountAliasRequest {
    /// The alias: 3 to 63 lower-case letters and digits, with single hyphens between them. No two accounts of a deployment have the same.
    #[parameter(example = "example-company")]
    pub account_alias: Deferred<AccountAlias>,
}

/// Says what the passwords of users must be. It is asked whenever a password is chosen. What is omitted is as without a policy.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct SetPasswordPolicyRequest {
    /// The fewest characters.
    #[parameter(default = 8)]
    pub minimum_password_length: Option<MinimumPasswordLength>,
    /// Whether a lower-case letter is needed.
    #[parameter(default = false)]
    pub require_lowercase_characters: Option<bool>,
    /// Whether an upper-case letter is needed.
    #[parameter(default = false)]
    pub require_uppercase_characters: Option<bool>,
    /// Whether a digit is needed.
    #[parameter(default = false)]
    pub require_numbers: Option<bool>,
    /// Whether a character is needed that is neither a letter nor a digit.
    #[parameter(default = false)]
    pub require_symbols: Option<bool>,
    /// Refused unless it is false: passwords do not expire here.
    #[parameter(default = false)]
    pub hard_expiry: Option<NoHardExpiry>,
    /// Refused unless it is 0: passwords do not expire here.
    #[parameter(default = 0)]
    pub max_password_age: Option<NoPasswordAge>,
    /// Refused unless it is 0: earlier passwords are not kept.
    #[parameter(default = 0)]
    pub password_reuse_prevention: Option<NoReusePrevention>,
    /// Refused unless it is 0: there is no sign-in by password yet whose attempts could be counted. The vendor spells it so.
    #[parameter(default = 0)]
    pub max_login_attemps: Option<NoLoginAttempts>,
}

/// What the passwords of users must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PasswordPolicyReply {
    /// The call's id.
    pub request_id: String,
    /// What is in force.
    pub password_policy: PasswordPolicyItem,
}

/// A password policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PasswordPolicyItem {
    /// The fewest characters.
    #[schema(example = 8)]
    pub minimum_password_length: i32,
    /// Whether a lower-case letter is needed.
    pub require_lowercase_characters: bool,
    /// Whether an upper-case letter is needed.
    pub require_uppercase_characters: bool,
    /// Whether a digit is needed.
    pub require_numbers: bool,
    /// Whether a character is needed that is neither a letter nor a digit.
    pub require_symbols: bool,
    /// Always false: passwords do not expire here.
    pub hard_expiry: bool,
    /// Always 0: passwords do not expire here.
    pub max_password_age: i32,
    /// Always 0: earlier passwords are not kept.
    pub password_reuse_prevention: i32,
    /// Always 0: attempts to sign in are not counted. The vendor spells it so.
    pub max_login_attemps: i32,
}

/// What users may do for themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SecurityPreferenceReply {
    /// The call's id.
    pub request_id: String,
    /// What is in force.
    pub security_preference: SecurityPreference,
}

/// What users may do for themselves, without a policy that allows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SecurityPreference {
    /// About access keys.
    pub access_key_preference: AccessKeyPreference,
    /// About signing in.
    pub login_profile_preference: LoginProfilePreference,
    /// About second factors.
    #[serde(rename = "MFAPreference")]
    pub mfa_preference: MFAPreference,
    /// About public keys.
    pub public_key_preference: PublicKeyPreference,
}

/// What users may do with their access keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeyPreference {
    /// Always false: a user manages its own keys where a policy allows it.
    pub allow_user_to_manage_access_keys: bool,
}

/// How users sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct LoginProfilePreference {
    /// Always false: whoever may call UpdateLoginProfile changes a password.
    pub allow_user_to_change_password: bool,
    /// Always false: there are no second factors to be remembered.
    #[serde(rename = "EnableSaveMFATicket")]
    pub enable_save_mfa_ticket: bool,
    /// Always empty: no network is kept from signing in.
    pub login_network_masks: String,
    /// Always 0: there is no sign-in by password yet, so that no session lasts.
    pub login_session_duration: i32,
}

/// What users may do with their second factors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MFAPreference {
    /// Always false: there are none.
    #[serde(rename = "AllowUserToManageMFADevices")]
    pub allow_user_to_manage_mfa_devices: bool,
}

/// What users may do with their public keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PublicKeyPreference {
    /// Always false: there are none.
    pub allow_user_to_manage_public_keys: bool,
}

/// The virtual MFA devices of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListVirtualMFADevicesReply {
    /// The call's id.
    pub request_id: String,
    /// The devices.
    #[serde(rename = "VirtualMFADevices")]
    pub virtual_mfa_devices: VirtualMFADeviceList,
}

/// Virtual MFA devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct VirtualMFADeviceList {
    /// The devices: none, until there is a second factor.
    #[serde(rename = "VirtualMFADevice")]
    pub virtual_mfa_device: Vec<MFADevice>,
}

/// Asks for the MFA device of a user.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct GetUserMFAInfoRequest {
    /// The user; omitted by a user, it means the caller.
    #[parameter(example = "ana")]
    pub user_name: Option<Deferred<UserName>>,
}

/// The MFA device of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct UserMFAInfoReply {
    /// The call's id.
    pub request_id: String,
    /// The device.
    #[serde(rename = "MFADevice")]
    pub mfa_device: MFADevice,
}

/// An MFA device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct MFADevice {
    /// Its serial number.
    pub serial_number: String,
}
