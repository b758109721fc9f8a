//! Lists are ordered by the earlier of a recording's claimed start and its arrival.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let listed_at =
            Table::alter().table("recordings").add_column(big_integer("listed_at").default(0)).to_owned();
        manager.alter_table(listed_at).await?;
        let earlier = "UPDATE recordings SET listed_at = \
                       CASE WHEN started_at < opened_at THEN started_at ELSE opened_at END";
        manager.get_connection().execute_unprepared(earlier).await?;
        for index in ["recordings_newest", "recordings_newest_of_instance", "recordings_of_owner"] {
            manager.drop_index(Index::drop().name(index).table("recordings").to_owned()).await?;
        }
        let newest = Index::create()
            .name("recordings_newest")
            .table("recordings")
            .col("account_id")
            .col("listed_at")
            .col("token")
            .col("expires_at")
            .col("instance_id")
            .col("kind")
            .col("session_owner_id")
            .col("session_owner")
            .to_owned();
        let newest_of_instance = Index::create()
            .name("recordings_newest_of_instance")
            .table("recordings")
            .col("account_id")
            .col("instance_id")
            .col("listed_at")
            .col("token")
            .col("expires_at")
            .to_owned();
        let of_owner = Index::create()
            .name("recordings_of_owner")
            .table("recordings")
            .col("account_id")
            .col("session_owner_id")
            .col("listed_at")
            .col("token")
            .col("expires_at")
            .col("instance_id")
            .col("kind")
            .col("session_owner")
            .to_owned();
        // The open recordings of an agent are counted each time it opens one.
        let of_agent = Index::create()
            .name("recordings_of_agent")
            .table("recordings")
            .col("agent_id")
            .col("state")
            .to_owned();
        for index in [newest, newest_of_instance, of_owner, of_agent] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
