//! The operations of RAM.

use super::Builder;

/// All of them.
pub(super) fn operations(_document: &mut Builder) {}
