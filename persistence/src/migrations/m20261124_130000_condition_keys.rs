//! What conditions of policies refer to in instances and recordings: tags, and the person who opened a session.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{string, string_null, text, text_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The owner is proven by a signed call; the claim is made by the agent and decides nothing.
        for column in
            [string_null("session_owner"), string_null("session_owner_id"), text_null("claimed_owner")]
        {
            manager.alter_table(Table::alter().table("recordings").add_column(column).to_owned()).await?;
        }
        let tags = Table::create()
            .table("instance_tags")
            .col(string("account_id"))
            .col(string("instance_id"))
            .col(string("tag_key"))
            .col(text("tag_value"))
            .primary_key(Index::create().col("account_id").col("instance_id").col("tag_key"))
            .foreign_key(
                ForeignKey::create().from("instance_tags", "account_id").to("accounts", "account_id"),
            )
            .to_owned();
        manager.create_table(tags).await?;
        // A list that is narrowed by policies is also found and counted in the index alone: it contains every column
        // that policies refer to.
        manager.drop_index(Index::drop().name("recordings_newest").table("recordings").to_owned()).await?;
        let newest = Index::create()
            .name("recordings_newest")
            .table("recordings")
            .col("account_id")
            .col("started_at")
            .col("token")
            .col("expires_at")
            .col("instance_id")
            .col("kind")
            .col("session_owner_id")
            .col("session_owner")
            .to_owned();
        let of_owner = Index::create()
            .name("recordings_of_owner")
            .table("recordings")
            .col("account_id")
            .col("session_owner_id")
            .col("started_at")
            .col("token")
            .col("expires_at")
            .col("instance_id")
            .col("kind")
            .col("session_owner")
            .to_owned();
        manager.create_index(newest).await?;
        manager.create_index(of_owner).await
    }
}
