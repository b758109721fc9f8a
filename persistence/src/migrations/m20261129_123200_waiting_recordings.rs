//! What agents report about the recordings that wait in their spools.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let waiting = Table::create()
            .table("waiting_recordings")
            .col(string("agent_id").primary_key())
            .col(string("account_id"))
            .col(string("instance_id"))
            .col(big_integer("recordings"))
            .col(text("reason"))
            .col(big_integer("since"))
            .foreign_key(ForeignKey::create().from("waiting_recordings", "agent_id").to("agents", "agent_id"))
            .to_owned();
        manager.create_table(waiting).await?;
        let of_account = Index::create()
            .name("waiting_recordings_of_account")
            .table("waiting_recordings")
            .col("account_id")
            .col("instance_id")
            .to_owned();
        manager.create_index(of_account).await
    }
}
