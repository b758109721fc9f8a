//! Transfers as they look on the wire, made by hand and by the real programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed, in its helpers too")]

mod generated;
mod git_and_rsync;
mod real_scp;
mod real_sftp;
mod relay;
mod scp;
mod sftp;
mod wire;
