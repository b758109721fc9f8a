//! Who runs the process that captured a recording, according to its `start.json`. NULL, the value in all older rows, has
//! the meaning of a `start.json` without the member: the recorded user's own process.

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
