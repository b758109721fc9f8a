//! A recording has several streams: what has arrived of each is a row, and the key of a segment includes its stream.
//! Older recordings have only the stream `terminal`, which is all that was accepted then.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

const BEFORE: &str = "recording_segments_before";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let streams = Table::create()
            .table("recording_streams")
            .col(string("token"))
            .col(string("stream"))
            .col(big_integer("segments"))
            .col(big_integer("stored_bytes"))
            .col(string("chain"))
            .col(big_integer("last_at_micros"))
            .primary_key(Index::create().col("token").col("stream"))
            .foreign_key(ForeignKey::create().from("recording_streams", "token").to("recordings", "token"))
            .to_owned();
        manager.create_table(streams).await?;
        // SQLite cannot widen the key of a table: the table is created anew.
        let rename = Table::rename().table("recording_segments", BEFORE).to_owned();
        manager.rename_table(rename).await?;
        let segments = Table::create()
            .table("recording_segments")
            .col(string("token"))
            .col(string("stream"))
            .col(big_integer("number"))
            .col(big_integer("length"))
            .col(string("sha256"))
            .col(string("chain_after"))
            .col(big_integer("first_at_micros"))
            .col(big_integer("last_at_micros"))
            .col(big_integer("claimed_at"))
            .primary_key(Index::create().col("token").col("stream").col("number"))
            .foreign_key(ForeignKey::create().from("recording_segments", "token").to("recordings", "token"))
            .to_owned();
        manager.create_table(segments).await?;
        let connection = manager.get_connection();
        for copy in [
            "INSERT INTO recording_streams (token, stream, segments, stored_bytes, chain, last_at_micros) \
             SELECT token, 'terminal', segments, stored_bytes, chain, last_at_micros FROM recordings",
            "INSERT INTO recording_segments \
             (token, stream, number, length, sha256, chain_after, first_at_micros, last_at_micros, claimed_at) \
             SELECT token, 'terminal', number, length, sha256, chain_after, first_at_micros, last_at_micros, claimed_at \
             FROM recording_segments_before",
        ] {
            connection.execute_unprepared(copy).await?;
        }
        manager.drop_table(Table::drop().table(BEFORE).to_owned()).await?;
        let chain = Table::alter().table("recordings").drop_column("chain").to_owned();
        manager.alter_table(chain).await
    }
}
