//! Nonces are only appended on SQLite, in the order of their numbers: the index by their random hashes was most of what a
//! call wrote, and is kept in memory instead (`nonces`). What was claimed before stays claimed.

use sea_orm_migration::prelude::*;

use crate::dialect::Dialect;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match Dialect::of_backend(manager.get_database_backend()) {
            // Replicas that share a database find there what the others have claimed, by the unique index.
            Dialect::Postgres | Dialect::MariaDb => Ok(()),
            Dialect::Sqlite => {
                for statement in [
                    "CREATE TABLE appended_nonces ( id integer NOT NULL PRIMARY KEY, hash blob(1) NOT NULL, \
                     expires_at integer NOT NULL )",
                    "INSERT INTO appended_nonces (hash, expires_at) \
                     SELECT hash, expires_at FROM nonces ORDER BY expires_at",
                    "DROP TABLE nonces",
                    "ALTER TABLE appended_nonces RENAME TO nonces",
                ] {
                    manager.get_connection().execute_unprepared(statement).await?;
                }
                Ok(())
            }
        }
    }
}
