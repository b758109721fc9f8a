//! Which database, and how it is connected to.

use std::fmt;

/// The address of a database: `sqlite:<path>`, `sqlite::memory:` or `postgres://...`. Its `Debug` and `Display` hide
/// the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// The address is of no database that this program can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the database URL must be sqlite:<file> or postgres://<user>:<password>@<host>/<database>: {why}")]
pub struct InvalidDatabaseUrl {
    why: &'static str,
}

impl DatabaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`InvalidDatabaseUrl`].
    pub fn parse(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        todo!()
    }

    /// The SQLite database in this file, which is made when it is not there.
    #[must_use]
    pub fn sqlite_file(path: &std::path::Path) -> Self {
        todo!()
    }

    /// Whether it is SQLite.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        todo!()
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

pub(crate) struct Connections;
