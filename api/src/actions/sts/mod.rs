//! The actions of STS, one file each.

mod assume_role;
mod get_caller_identity;

use domain::actions as catalogue;

use crate::dispatch::Registered;

/// All of them.
pub(super) const ALL: &[Registered] =
    &[Registered::new::<catalogue::AssumeRole>(), Registered::new::<catalogue::GetCallerIdentity>()];
