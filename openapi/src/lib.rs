//! The wire: request and reply structs, the table of error codes, and the OpenAPI documents made from them.

mod command_lines;
pub mod documents;
pub mod error_codes;
pub mod lists;
pub mod operations;
pub mod parameter_types;
pub mod parameters;
pub mod policy_tools;
pub mod ram;
pub mod replies;
pub mod sts;
pub mod workbench;

pub use error_codes::{ErrorCode, WireError};
pub use operations::Operation;
