//! Who runs the process that captured a recording, as its `start.json` says. NULL, as in all rows that are older,
//! is what a `start.json` without the member means: the recorded user's own process.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_null;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = string_null("recorder");
        manager.alter_table(Table::alter().table("recordings").add_column(column).to_owned()).await
    }
}
