//! What callers can take of the server: connections, memory for what they send, calls, turns of work, rows of the audit.

pub(crate) mod connections;
pub(crate) mod in_flight;
pub(crate) mod network;
pub(crate) mod room;
mod stranger_body;
pub(crate) mod tally;
pub(crate) mod throttle;
pub(crate) mod turns;
pub(crate) mod unproven;
