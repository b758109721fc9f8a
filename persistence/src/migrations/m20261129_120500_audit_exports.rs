//! Which rows of the audit trail were written to which day's file, so that a missing file is noticed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let exports = Table::create()
            .table("audit_exports")
            // The folder, as in audit_writers.
            .col(string("origin"))
            .col(string("day"))
            .col(string("writer_id"))
            .col(string("kind"))
            .col(big_integer("first_number"))
            .col(big_integer("last_number"))
            .col(big_integer("exported_at"))
            .primary_key(Index::create().col("origin").col("day").col("writer_id").col("kind"))
            .to_owned();
        manager.create_table(exports).await
    }
}
