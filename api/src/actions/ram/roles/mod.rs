//! Roles.

mod create_role;
mod delete_role;
mod get_role;
mod list_roles;
mod update_role;
