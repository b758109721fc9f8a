//! Table `agent_links`: which replica holds an agent's link. A row stays when its lease is given back or expires, so
//! that epochs grow.

use std::collections::BTreeMap;

use domain::agent_link::{AgentLink, ReplicaId};
use domain::{AccountId, AgentId, InstanceId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, Select,
};

use super::Reading;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "agent_links")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: String,
        pub account_id: String,
        pub instance_id: String,
        pub replica_id: String,
        pub internal_address: Option<String>,
        pub epoch: i64,
        pub expires_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The lease, including one that has expired.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    agent: &AgentId,
) -> Result<Option<AgentLink>, StoreError> {
    let found = row::Entity::find_by_id(agent.as_str())
        .filter(row::Column::AccountId.eq(account.as_str()))
        .one(connection)
        .await
        .map_err(StoreError::at("read who holds an agent's link"))?;
    Ok(found.map(from_row).transpose()?)
}

/// The leases of the agents of an instance that are valid at this moment.
pub(crate) async fn of_instance(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: &InstanceId,
    now: Timestamp,
) -> Result<Vec<AgentLink>, StoreError> {
    let select: Select<row::Entity> = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::InstanceId.eq(instance.as_str()))
        .filter(row::Column::ExpiresAt.gt(now.as_millis()));
    let rows = select.all(connection).await.map_err(StoreError::at("read who holds an instance's links"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// Writes a lease in the place of the previous one. The caller holds the lock of the agent's row, and has read the
/// previous lease.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    link: &AgentLink,
    is_first: bool,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        agent_id: Set(link.agent.as_str().to_owned()),
        account_id: Set(link.account.as_str().to_owned()),
        instance_id: Set(link.instance.as_str().to_owned()),
        replica_id: Set(link.replica.as_str().to_owned()),
        internal_address: Set(link.internal_address.clone()),
        epoch: Set(i64::try_from(link.epoch).unwrap_or(i64::MAX)),
        expires_at: Set(link.expires_at.as_millis()),
    };
    let written = if is_first {
        row::Entity::insert(model).exec_without_returning(transaction).await.map(drop)
    } else {
        row::Entity::update(model).exec(transaction).await.map(drop)
    };
    written.map_err(StoreError::at("take an agent's link"))
}

/// Changes the end of a lease, if it is still this one.
pub(crate) async fn set_end(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    agent: &AgentId,
    replica: &ReplicaId,
    epoch: u64,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::ExpiresAt, Expr::value(expires_at.as_millis()))
        .filter(row::Column::AgentId.eq(agent.as_str()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::ReplicaId.eq(replica.as_str()))
        .filter(row::Column::Epoch.eq(i64::try_from(epoch).unwrap_or(i64::MAX)))
        .exec(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("renew an agent's link"))
}

/// Extends the leases that a replica has on the links of these agents, but for those that it has given back.
pub(crate) async fn extend_all(
    transaction: &DatabaseTransaction,
    replica: &ReplicaId,
    agents: &[&str],
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::ExpiresAt, Expr::value(expires_at.as_millis()))
        .filter(row::Column::AgentId.is_in(agents.iter().copied()))
        .filter(row::Column::ReplicaId.eq(replica.as_str()))
        .filter(row::Column::ExpiresAt.gt(0))
        .exec(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("renew agents' links"))
}

/// Who has the leases on the links of these agents, and under which number.
pub(crate) async fn holders_of(
    transaction: &DatabaseTransaction,
    agents: &[&str],
) -> Result<BTreeMap<String, (ReplicaId, u64)>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AgentId.is_in(agents.iter().copied()))
        .all(transaction)
        .await
        .map_err(StoreError::at("read who holds agents' links"))?;
    let holder = |model: row::Model| {
        let AgentLink { agent, replica, epoch, .. } = from_row(model)?;
        Ok::<_, CorruptRow>((agent.as_str().to_owned(), (replica, epoch)))
    };
    Ok(rows.into_iter().map(holder).collect::<Result<_, _>>()?)
}

fn from_row(model: row::Model) -> Result<AgentLink, CorruptRow> {
    let reading = Reading { table: "agent_links", id: &model.agent_id };
    Ok(AgentLink {
        agent: reading.text("agent_id", &model.agent_id)?,
        account: reading.text("account_id", &model.account_id)?,
        instance: reading.text("instance_id", &model.instance_id)?,
        replica: reading.text("replica_id", &model.replica_id)?,
        epoch: reading.number("epoch", model.epoch)?,
        expires_at: Timestamp::from_millis(model.expires_at),
        internal_address: model.internal_address,
    })
}
