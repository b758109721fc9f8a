//! The store: one transaction for each decision, and reads that stay inside their grant.

mod agents;
mod apply;
mod audit;
mod before_principal;
mod configuration;
mod identity;
mod recordings;
mod revisions;
mod sweep;

use std::sync::Arc;

use domain::server_keys::ServerKeys;

pub use apply::Change;
pub use before_principal::NonceClaim;

use crate::database::Connections;
use crate::{DatabaseUrl, StoreError};

/// The database. Cloning it is cheap; all clones share their connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Connections,
    keys: Arc<ServerKeys>,
    audit: audit::AuditWriter,
    revisions: revisions::Revisions,
}

impl Store {
    /// Connects and brings the schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn connect(url: DatabaseUrl, keys: Arc<ServerKeys>) -> Result<Self, StoreError> {
        todo!()
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }
}
