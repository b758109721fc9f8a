//! The RPC wire, from outside: the real server, a real SQLite database, real HTTP.

mod actions;
mod authentication;
mod documents;
mod hostile;
mod http;
mod policies;
mod service;
mod shapes;
mod signing;
