use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, string_null, text};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let accounts = Table::create()
            .table("accounts")
            .col(string("account_id").primary_key())
            .col(big_integer("created_at"))
            .to_owned();
        let revisions = Table::create()
            .table("revisions")
            .col(string("account_id").primary_key())
            .col(big_integer("revision"))
            .foreign_key(ForeignKey::create().from("revisions", "account_id").to("accounts", "account_id"))
            .to_owned();
        let users = Table::create()
            .table("users")
            .col(string("user_id").primary_key())
            .col(string("account_id"))
            .col(string("name"))
            .col(big_integer("created_at"))
            .foreign_key(ForeignKey::create().from("users", "account_id").to("accounts", "account_id"))
            .to_owned();
        let access_keys = Table::create()
            .table("access_keys")
            .col(string("access_key_id").primary_key())
            .col(string("account_id"))
            .col(string_null("user_id"))
            .col(text("sealed_secret"))
            .col(string("status"))
            .col(big_integer("created_at"))
            .foreign_key(ForeignKey::create().from("access_keys", "account_id").to("accounts", "account_id"))
            .foreign_key(ForeignKey::create().from("access_keys", "user_id").to("users", "user_id"))
            .to_owned();
        let policies = Table::create()
            .table("policies")
            .col(string("account_id"))
            .col(string("name"))
            .col(text("document"))
            .col(big_integer("created_at"))
            .col(big_integer("changed_at"))
            .primary_key(Index::create().col("account_id").col("name"))
            .foreign_key(ForeignKey::create().from("policies", "account_id").to("accounts", "account_id"))
            .to_owned();
        let attachments = Table::create()
            .table("policy_attachments")
            .col(string("account_id"))
            .col(string("user_id"))
            .col(string("policy_name"))
            .primary_key(Index::create().col("account_id").col("user_id").col("policy_name"))
            .foreign_key(ForeignKey::create().from("policy_attachments", "user_id").to("users", "user_id"))
            .foreign_key(
                ForeignKey::create()
                    .from("policy_attachments", ("account_id", "policy_name"))
                    .to("policies", ("account_id", "name")),
            )
            .to_owned();
        for table in [accounts, revisions, users, access_keys, policies, attachments] {
            manager.create_table(table).await?;
        }
        let users_by_name = Index::create()
            .name("users_by_name")
            .table("users")
            .col("account_id")
            .col("name")
            .unique()
            .to_owned();
        let keys_by_owner = Index::create()
            .name("access_keys_by_owner")
            .table("access_keys")
            .col("account_id")
            .col("user_id")
            .to_owned();
        let by_policy = Index::create()
            .name("policy_attachments_by_policy")
            .table("policy_attachments")
            .col("account_id")
            .col("policy_name")
            .to_owned();
        for index in [users_by_name, keys_by_owner, by_policy] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
