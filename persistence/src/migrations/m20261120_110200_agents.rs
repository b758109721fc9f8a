use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, boolean, string, string_null, text, text_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let record_configs = Table::create()
            .table("record_configs")
            .col(string("account_id"))
            .col(string("selector"))
            .col(boolean("enabled"))
            .col(text_null("target"))
            .col(big_integer("expiration_days"))
            .col(big_integer("revision"))
            .col(big_integer("changed_at"))
            .primary_key(Index::create().col("account_id").col("selector"))
            .foreign_key(
                ForeignKey::create().from("record_configs", "account_id").to("accounts", "account_id"),
            )
            .to_owned();
        let instances = Table::create()
            .table("instances")
            .col(string("account_id"))
            .col(string("instance_id"))
            .col(string("region"))
            .col(big_integer("created_at"))
            .primary_key(Index::create().col("account_id").col("instance_id"))
            .foreign_key(ForeignKey::create().from("instances", "account_id").to("accounts", "account_id"))
            .to_owned();
        let agents = Table::create()
            .table("agents")
            .col(string("agent_id").primary_key())
            .col(string("account_id"))
            .col(string("instance_id"))
            .col(string("region"))
            .col(binary("authentication_key"))
            .col(binary("sealing_key"))
            .col(text("hostname"))
            .col(text("version"))
            .col(big_integer("enrolled_at"))
            .col(big_integer("last_seen_at"))
            .col(big_integer_null("replaced_at"))
            // The instance while this is its agent, otherwise NULL; unique, so that an instance has one agent.
            .col(string_null("agent_of"))
            .foreign_key(
                ForeignKey::create()
                    .from("agents", ("account_id", "instance_id"))
                    .to("instances", ("account_id", "instance_id")),
            )
            .to_owned();
        let capabilities = Table::create()
            .table("agent_capabilities")
            .col(string("agent_id"))
            .col(string("kind"))
            .col(string("version"))
            .primary_key(Index::create().col("agent_id").col("kind"))
            .foreign_key(ForeignKey::create().from("agent_capabilities", "agent_id").to("agents", "agent_id"))
            .to_owned();
        let join_tokens = Table::create()
            .table("join_tokens")
            .col(string("hash").primary_key())
            .col(string("account_id"))
            .col(string("region"))
            .col(string("instances"))
            .col(boolean("permits_replace"))
            .col(text("created_by"))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .col(big_integer_null("used_at"))
            .foreign_key(ForeignKey::create().from("join_tokens", "account_id").to("accounts", "account_id"))
            .to_owned();
        for table in [record_configs, instances, agents, capabilities, join_tokens] {
            manager.create_table(table).await?;
        }
        let one_agent = Index::create()
            .name("agents_one_of_an_instance")
            .table("agents")
            .col("account_id")
            .col("agent_of")
            .unique()
            .to_owned();
        let newest = Index::create()
            .name("agents_newest")
            .table("agents")
            .col("account_id")
            .col("enrolled_at")
            .col("agent_id")
            .to_owned();
        let lapsing =
            Index::create().name("join_tokens_by_expiry").table("join_tokens").col("expires_at").to_owned();
        for index in [one_agent, newest, lapsing] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
