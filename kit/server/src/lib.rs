//! A control plane in the test's own process: the real server on a real database, real HTTP, objects in a folder, and a
//! clock that stands still until a test moves it. Also a client that signs its calls, and what an administrator does.
//!
//! Only test code depends on this crate. The tests of the RPC protocol start their servers with it and sign their calls
//! themselves, so that one signer is written independently of the verifier.
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
