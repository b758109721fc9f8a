//! Agents and replay against a running control plane: SQLite in a temporary folder, objects in another, real HTTP,
//! real WebSockets, and an agent that is implemented here with only the wire structs and the recording crate.

// If a helper cannot continue, the test has failed.
#![allow(clippy::unwrap_used)]

mod address_limit;
mod audit;
mod audit_refusals;
mod bus;
mod bus_agent;
mod claims;
mod clocks;
mod continuity;
mod deciding;
mod delivery;
mod enrolment;
mod files;
mod hostile;
mod internal;
mod ledger;
mod limits;
mod link;
mod proof;
mod recording_agent;
mod removal;
mod replay;
mod session_settings;
mod shares;
mod statuses;
mod storage_targets;
mod streams;
mod succession;
mod uploads;
mod viewer;
