//! The agents' links.

mod registry;

pub(crate) use registry::{LinkClosed, Links, OpenLink};
