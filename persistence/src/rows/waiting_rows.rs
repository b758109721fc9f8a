//! Table `waiting_recordings`: what agents report about the recordings that wait in their spools. An agent without a row
//! has none that wait.

use domain::gate::ListScope;
use domain::waiting::WaitingRecordings;
use domain::{AccountId, AgentId, InstanceId, Timestamp};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::{Reading, agent_rows, column_text};
use crate::{CorruptRow, StoreError};

/// The largest number of rows that a list shows.
const LIST_LIMIT: u64 = 1_000;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "waiting_recordings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: String,
        pub account_id: String,
        pub instance_id: String,
        pub recordings: i64,
        pub reason: String,
        pub since: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Writes an agent's current report. The time since when something waits is kept as long as something waits.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    waiting: &WaitingRecordings,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        agent_id: Set(waiting.agent.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        instance_id: Set(waiting.instance.as_str().to_owned()),
        recordings: Set(i64::from(waiting.recordings)),
        reason: Set(column_text(&waiting.reason)),
        since: Set(waiting.since.as_millis()),
    };
    let again = OnConflict::column(row::Column::AgentId)
        .update_columns([row::Column::Recordings, row::Column::Reason])
        .to_owned();
    row::Entity::insert(model)
        .on_conflict(again)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("note waiting recordings"))
}

/// Notes that nothing is waiting any more.
pub(crate) async fn remove(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    agent: &AgentId,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AgentId.eq(agent.as_str()))
        .exec(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("note that nothing waits"))
}

/// What is waiting on the instances of the scope, by instance. A recording in a spool has no owner and no age that
/// policies could refer to, so it is shown only to callers who may see every recording of the instance.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    scope: &ListScope,
) -> Result<Vec<WaitingRecordings>, StoreError> {
    let mut select = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AgentId.in_subquery(agent_rows::present(account)));
    if let Some(instance) = instance {
        select = select.filter(row::Column::InstanceId.eq(instance.as_str()));
    }
    if let ListScope::Some(admitted) = scope {
        let whole = admitted.iter().filter(|one| one.rows.is_none());
        if !whole.clone().any(|one| one.instances.is_none()) {
            let instances = whole.filter_map(|one| one.instances.as_ref()).flatten();
            select = select.filter(row::Column::InstanceId.is_in(instances.map(InstanceId::as_str)));
        }
    }
    let rows = select
        .order_by_asc(row::Column::InstanceId)
        .limit(LIST_LIMIT)
        .all(connection)
        .await
        .map_err(StoreError::at("list waiting recordings"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

fn from_row(model: row::Model) -> Result<WaitingRecordings, CorruptRow> {
    let reading = Reading { table: "waiting_recordings", id: &model.agent_id };
    Ok(WaitingRecordings {
        agent: reading.text("agent_id", &model.agent_id)?,
        instance: reading.text("instance_id", &model.instance_id)?,
        recordings: reading.number("recordings", model.recordings)?,
        since: Timestamp::from_millis(model.since),
        reason: model.reason,
    })
}
