//! The actions of STS, one file each.

mod assume_role;
mod get_caller_identity;
