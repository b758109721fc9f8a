//! What ties an agent's recordings to each other, according to their own objects, and which of them are missing.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string, string_null, text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No foreign key: a link is also remembered for a recording that no longer has a row.
        let links = Table::create()
            .table("recording_links")
            .col(string("token").primary_key())
            .col(string("account_id"))
            .col(big_integer("number"))
            .col(string_null("follows_at_start"))
            // NULL until it is sealed.
            .col(string_null("manifest_sha256"))
            .col(string_null("follows"))
            .to_owned();
        let missing = Table::create()
            .table("missing_recordings")
            .col(string("account_id"))
            .col(string("agent_id"))
            .col(string("missing_key"))
            .col(string("instance_id"))
            .col(string("absence"))
            .col(string_null("token"))
            .col(big_integer_null("first_number"))
            .col(big_integer_null("last_number"))
            .col(big_integer("since"))
            .col(text("why"))
            .col(big_integer("found_at"))
            .primary_key(Index::create().col("account_id").col("agent_id").col("missing_key"))
            .to_owned();
        manager.create_table(links).await?;
        manager.create_table(missing).await?;
        let of_account = Index::create()
            .name("recording_links_of_account")
            .table("recording_links")
            .col("account_id")
            .col("token")
            .to_owned();
        manager.create_index(of_account).await?;
        // Few rows of the trail are about openings and seals, and the check reads all of them.
        manager
            .get_connection()
            .execute_unprepared(
                "CREATE INDEX audit_events_of_recordings ON audit_events (account_id, writer_id, sequence) \
                 WHERE action IN ('OpenRecording', 'SealRecording')",
            )
            .await?;
        Ok(())
    }
}
