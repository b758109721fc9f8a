//! Which replica holds an agent's link.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, string_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let links = Table::create()
            .table("agent_links")
            .col(string("agent_id").primary_key())
            .col(string("account_id"))
            .col(string("instance_id"))
            .col(string("replica_id"))
            .col(string_null("internal_address"))
            .col(big_integer("epoch"))
            .col(big_integer("expires_at"))
            .foreign_key(ForeignKey::create().from("agent_links", "agent_id").to("agents", "agent_id"))
            .to_owned();
        manager.create_table(links).await?;
        let of_instance = Index::create()
            .name("agent_links_of_instance")
            .table("agent_links")
            .col("account_id")
            .col("instance_id")
            .to_owned();
        manager.create_index(of_instance).await
    }
}
