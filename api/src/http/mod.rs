//! HTTP as it stands below every door: the connection, and what each request carries, whatever it asks for.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod connection;
pub(crate) mod lazily;
pub(crate) mod request;
pub(crate) mod shared_bytes;
pub(crate) mod trusted_proxies;
