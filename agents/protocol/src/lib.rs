//! agents/protocol
