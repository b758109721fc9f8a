//! Agents and replay against a running control plane: SQLite in a temporary folder, objects in another, real HTTP, real
//! WebSockets, and an agent that is written here from the wire structs and the recording crate alone.

mod delivery;
mod enrolment;
mod link;
mod proof;
mod recording_agent;
mod replay;
mod running;
mod statuses;
mod uploads;
mod viewer;
