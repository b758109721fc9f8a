//! The operations of RAM, one file for each part.

mod roles;
mod users;

use super::Builder;

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    users::operations(document);
    roles::operations(document);
}
