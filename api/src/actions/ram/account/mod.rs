//! What holds for an account as a whole, and second factors.

mod clear_account_alias;
mod get_account_alias;
mod get_password_policy;
mod get_security_preference;
mod get_user_mfa_info;
mod list_virtual_mfa_devices;
mod set_account_alias;
mod set_password_policy;
