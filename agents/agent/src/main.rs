//! agents/agent
fn main() {}
