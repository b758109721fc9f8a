//! Table `spool_disks`: what agents say of the disks of their spools.

use domain::spool_disk::{SpoolDisk, SpoolDiskState};
use domain::{AccountId, AgentId, Timestamp};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
};

use super::Reading;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "spool_disks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: String,
        pub account_id: String,
        pub state: String,
        pub free_bytes: i64,
        pub told_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Writes what an agent says now.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    disk: &SpoolDisk,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        agent_id: Set(disk.agent.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        state: Set(disk.state.as_str().to_owned()),
        free_bytes: Set(i64::try_from(disk.free_bytes).unwrap_or(i64::MAX)),
        told_at: Set(disk.told_at.as_millis()),
    };
    let again = OnConflict::column(row::Column::AgentId)
        .update_columns([row::Column::State, row::Column::FreeBytes, row::Column::ToldAt])
        .to_owned();
    row::Entity::insert(model)
        .on_conflict(again)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("note the disk of a spool"))
}

/// What these agents of the account have said.
pub(crate) async fn of_agents(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    agents: &[&AgentId],
) -> Result<Vec<SpoolDisk>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AgentId.is_in(agents.iter().map(|agent| agent.as_str())))
        .all(connection)
        .await
        .map_err(StoreError::at("read the disks of spools"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

fn from_row(model: row::Model) -> Result<SpoolDisk, CorruptRow> {
    let reading = Reading { table: "spool_disks", id: &model.agent_id };
    Ok(SpoolDisk {
        agent: reading.text("agent_id", &model.agent_id)?,
        state: SpoolDiskState::parse(&model.state)
            .ok_or_else(|| reading.corrupt("state", "it is no state of a disk"))?,
        free_bytes: reading.number("free_bytes", model.free_bytes)?,
        told_at: Timestamp::from_millis(model.told_at),
    })
}
