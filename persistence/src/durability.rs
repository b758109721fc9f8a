//! Whether a commit survives a failure of the machine. What is committed is evidence, and a caller who was answered relies
//! on it.

use std::fmt;

use crate::dialect::Dialect;
use crate::{StoreError, dialect};
use sea_orm::ConnectionTrait;

/// A setting of the database under which a commit can be lost after it was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossySetting {
    /// Its name, in the words of the database.
    pub name: &'static str,
    /// What it is.
    pub value: String,
    /// What it must be.
    pub must_be: &'static str,
}

impl fmt::Display for LossySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} and must be {}", self.name, self.value, self.must_be)
    }
}

/// The lossy settings of a database; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossySettings(Vec<LossySetting>);

impl fmt::Display for LossySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, setting) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{setting}")?;
        }
        Ok(())
    }
}

/// Whether a database is used whose commits can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It is refused.
    Demanded,
    /// It is used like any other.
    NotAsked,
}

impl Durability {
    /// Asks the database behind a connection that writes.
    pub(crate) async fn ask_of(self, writer: &impl ConnectionTrait) -> Result<(), StoreError> {
        match self {
            Self::NotAsked => Ok(()),
            Self::Demanded => match lossy_settings(writer).await? {
                None => Ok(()),
                Some(settings) => Err(StoreError::CommitsCanBeLost(settings)),
            },
        }
    }
}

/// The settings of a connection, and of the database behind it, under which commits can be lost.
pub(crate) async fn lossy_settings(
    writer: &impl ConnectionTrait,
) -> Result<Option<LossySettings>, StoreError> {
    let found = match Dialect::of(writer) {
        Dialect::Sqlite => dialect::sqlite::lossy_settings(writer).await,
        Dialect::Postgres => dialect::postgres::lossy_settings(writer).await,
        Dialect::MariaDb => dialect::mysql::lossy_settings(writer).await,
    };
    let found = found.map_err(StoreError::at("be asked whether its commits are durable"))?;
    Ok((!found.is_empty()).then_some(LossySettings(found)))
}
