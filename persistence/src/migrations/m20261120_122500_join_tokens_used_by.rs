use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_null;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The agent that the token made; unknown for tokens that were used before this column existed.
        let used_by = Table::alter().table("join_tokens").add_column(string_null("used_by")).to_owned();
        manager.alter_table(used_by).await
    }
}
