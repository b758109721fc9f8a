//! The operations of RAM, one file for each part.

mod access_keys;
mod groups;
mod login_profiles;
mod policies;
mod roles;
mod users;

use super::Builder;

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    users::operations(document);
    roles::operations(document);
    login_profiles::operations(document);
    access_keys::operations(document);
    groups::operations(document);
    policies::operations(document);
}
