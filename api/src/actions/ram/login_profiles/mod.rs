//! Passwords of the console.

mod create_login_profile;
mod delete_login_profile;
mod get_login_profile;
mod update_login_profile;
