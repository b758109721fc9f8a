//! A control plane in the test's own process: the real server on a real database, real HTTP, objects in a folder, and a
//! clock that stands still until a test moves it. Beside it a client that signs, and what an administrator does.
//!
//! Test code alone names this crate. The tests of the RPC wire start their servers by it and sign their calls by
//! themselves, so that one signer is written apart from the verifier.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "test code: an unwrap is a check")]

mod administration;
mod client;
mod key;
mod running;
mod site;

pub use client::Answer;
pub use key::Key;
pub use running::Running;
pub use site::{Site, listen_for_replicas};
