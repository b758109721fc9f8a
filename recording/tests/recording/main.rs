//! The format as its users see it: what is captured plays back, and what is damaged is reported.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed, in its helpers too")]

mod damage;
mod document;
mod events;
mod expected;
mod generated;
mod leave;
mod ledger;
mod round_trip;
mod sealed;
mod streams;
mod verdicts;
