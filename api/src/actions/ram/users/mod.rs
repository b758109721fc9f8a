//! Users.

mod create_user;
mod delete_user;
mod get_user;
mod list_users;
mod update_user;
