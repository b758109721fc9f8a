use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, string, string_null, text, text_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let recordings = Table::create()
            .table("recordings")
            .col(string("token").primary_key())
            .col(string("account_id"))
            .col(string("instance_id"))
            .col(string("agent_id"))
            .col(string("kind"))
            .col(text("target"))
            .col(text("folder"))
            .col(string("start_sha256"))
            .col(big_integer("started_at"))
            .col(big_integer("opened_at"))
            .col(big_integer("last_heard_at"))
            .col(big_integer("expiration_days"))
            .col(string("state"))
            .col(big_integer_null("ended_at"))
            .col(string_null("end_kind"))
            .col(text_null("end_reason"))
            .col(string_null("manifest_sha256"))
            .col(big_integer("segments"))
            .col(big_integer("stored_bytes"))
            .col(string("chain"))
            .col(big_integer("last_at_micros"))
            // NULL while it runs: a running recording never expires.
            .col(big_integer_null("expires_at"))
            // Whether recording_counters.visible still counts it; a sweep clears it once it has expired.
            .col(boolean("counted"))
            .foreign_key(ForeignKey::create().from("recordings", "agent_id").to("agents", "agent_id"))
            .to_owned();
        let segments = Table::create()
            .table("recording_segments")
            .col(string("token"))
            .col(big_integer("number"))
            .col(big_integer("length"))
            .col(string("sha256"))
            .col(string("chain_after"))
            .col(big_integer("first_at_micros"))
            .col(big_integer("last_at_micros"))
            .col(big_integer("claimed_at"))
            .primary_key(Index::create().col("token").col("number"))
            .foreign_key(ForeignKey::create().from("recording_segments", "token").to("recordings", "token"))
            .to_owned();
        let counters = Table::create()
            .table("recording_counters")
            .col(string("account_id"))
            // An instance, or '*' for the whole account.
            .col(string("instance_id"))
            .col(big_integer("visible"))
            .col(big_integer("total"))
            .primary_key(Index::create().col("account_id").col("instance_id"))
            .foreign_key(
                ForeignKey::create().from("recording_counters", "account_id").to("accounts", "account_id"),
            )
            .to_owned();
        for table in [recordings, segments, counters] {
            manager.create_table(table).await?;
        }
        // A page is found in the index alone (expires_at is in it for filtering), and then its rows by token.
        let newest = Index::create()
            .name("recordings_newest")
            .table("recordings")
            .col("account_id")
            .col("started_at")
            .col("token")
            .col("expires_at")
            .to_owned();
        let newest_of_instance = Index::create()
            .name("recordings_newest_of_instance")
            .table("recordings")
            .col("account_id")
            .col("instance_id")
            .col("started_at")
            .col("token")
            .col("expires_at")
            .to_owned();
        let expiring = Index::create()
            .name("recordings_expiring")
            .table("recordings")
            .col("account_id")
            .col("counted")
            .col("expires_at")
            .to_owned();
        let expiring_of_instance = Index::create()
            .name("recordings_expiring_of_instance")
            .table("recordings")
            .col("account_id")
            .col("instance_id")
            .col("counted")
            .col("expires_at")
            .to_owned();
        // The index does not include last_heard_at: it changes with every segment, and few recordings are open.
        let by_state = Index::create()
            .name("recordings_by_state")
            .table("recordings")
            .col("account_id")
            .col("state")
            .to_owned();
        for index in [newest, newest_of_instance, expiring, expiring_of_instance, by_state] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
