//! The wire: request and reply structs, the table of error codes, and the OpenAPI documents made from them.

pub mod error_codes;
pub mod replies;

pub use error_codes::{ErrorCode, WireError};
