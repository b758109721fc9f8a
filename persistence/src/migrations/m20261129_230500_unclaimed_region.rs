//! The region in which an unclaimed object is. Older objects are in the folder store, which is the same for all regions.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = string("region").default("cn-hangzhou").take();
        manager.alter_table(Table::alter().table("unclaimed_objects").add_column(column).to_owned()).await
    }
}
