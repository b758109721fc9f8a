//! Objects that an agent was permitted to write and that no recording has claimed yet.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The token refers to no row: a recording's start.json is written before the recording has one.
        let unclaimed = Table::create()
            .table("unclaimed_objects")
            .col(string("bucket"))
            .col(ColumnDef::new("name").text().not_null())
            .col(string("account_id"))
            .col(string("agent_id"))
            .col(string("token"))
            .col(string("evidence"))
            .col(big_integer("length"))
            .col(big_integer("counted_bytes"))
            .col(big_integer("permitted_at"))
            .primary_key(Index::create().col("bucket").col("name"))
            .foreign_key(ForeignKey::create().from("unclaimed_objects", "agent_id").to("agents", "agent_id"))
            .to_owned();
        manager.create_table(unclaimed).await?;
        let of_agent = Index::create()
            .name("unclaimed_objects_of_agent")
            .table("unclaimed_objects")
            .col("agent_id")
            .col("counted_bytes")
            .to_owned();
        let oldest = Index::create()
            .name("unclaimed_objects_oldest")
            .table("unclaimed_objects")
            .col("account_id")
            .col("permitted_at")
            .to_owned();
        manager.create_index(of_agent).await?;
        manager.create_index(oldest).await
    }
}
