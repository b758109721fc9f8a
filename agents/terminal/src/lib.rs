//! agents/terminal
