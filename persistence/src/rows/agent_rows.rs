//! Tables `agents` and `agent_capabilities`.

use std::collections::BTreeSet;

use domain::agent::{Agent, Capability, Retired};
use domain::gate::ListScope;
use domain::{AccountId, AgentId, InstanceId, Timestamp};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::{Reading, column_text};
use crate::dialect::Dialect;
use crate::pages::{Cursor, Slice};
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "agents")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: String,
        pub account_id: String,
        pub instance_id: String,
        pub region: String,
        pub authentication_key: Vec<u8>,
        pub sealing_key: Vec<u8>,
        pub hostname: String,
        pub version: String,
        pub enrolled_at: i64,
        pub last_seen_at: i64,
        pub replaced_at: Option<i64>,
        pub removed_at: Option<i64>,
        pub agent_of: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod capability {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "agent_capabilities")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        pub version: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The agent with this id; its request has yet to be authenticated with the keys that are found here.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    id: &AgentId,
) -> Result<Option<Agent>, StoreError> {
    let found = row::Entity::find_by_id(id.as_str())
        .one(connection)
        .await
        .map_err(StoreError::at("read an agent"))?;
    let agents = with_capabilities(connection, found.into_iter().collect()).await?;
    Ok(agents.into_iter().next())
}

/// The agents of an account with their instances, including those that were replaced or removed.
pub(crate) async fn instances(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
) -> Result<Vec<(AgentId, InstanceId)>, StoreError> {
    let select = of_account(account, instance, Which::Ever)
        .select_only()
        .column(row::Column::AgentId)
        .column(row::Column::InstanceId);
    let rows: Vec<(String, String)> =
        select.into_tuple().all(connection).await.map_err(StoreError::at("list agents"))?;
    let read = |(agent, instance): (String, String)| -> Result<(AgentId, InstanceId), CorruptRow> {
        let reading = Reading { table: "agents", id: &agent };
        Ok((reading.text("agent_id", &agent)?, reading.text("instance_id", &instance)?))
    };
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// Which agents of an account are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The current agent of each instance.
    Present,
    /// Also those that were replaced or removed.
    Ever,
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    which: Which,
    scope: &ListScope,
    slice: &Slice,
) -> Result<Vec<Agent>, StoreError> {
    let mut select = admitted(of_account(account, instance, which), scope);
    if let Some(Cursor { at, id }) = &slice.after {
        let same_moment =
            Condition::all().add(row::Column::EnrolledAt.eq(*at)).add(row::Column::AgentId.lt(id));
        select = select.filter(Condition::any().add(row::Column::EnrolledAt.lt(*at)).add(same_moment));
    }
    let rows = select
        .order_by_desc(row::Column::EnrolledAt)
        .order_by_desc(row::Column::AgentId)
        .offset(slice.offset)
        .limit(slice.limit)
        .all(connection)
        .await
        .map_err(StoreError::at("list agents"))?;
    with_capabilities(connection, rows).await
}

pub(crate) async fn count(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    which: Which,
    scope: &ListScope,
) -> Result<u64, StoreError> {
    let select = match which {
        // Says the same as the two moments of retirement, and stands in an index.
        Which::Present => {
            of_account(account, instance, Which::Ever).filter(row::Column::AgentOf.is_not_null())
        }
        Which::Ever => of_account(account, instance, which),
    };
    admitted(select, scope).count(connection).await.map_err(StoreError::at("count agents"))
}

/// Selects the agents of the instances that policies admit. No condition refers to any other property of an agent.
fn admitted(select: Select<row::Entity>, scope: &ListScope) -> Select<row::Entity> {
    let ListScope::Some(admitted) = scope else { return select };
    let instances = admitted.iter().filter_map(|one| one.instances.as_ref()).flatten();
    select.filter(row::Column::InstanceId.is_in(instances.map(InstanceId::as_str)))
}

fn of_account(account: &AccountId, instance: Option<&InstanceId>, which: Which) -> Select<row::Entity> {
    let select = row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()));
    let select = match which {
        Which::Present => {
            select.filter(row::Column::ReplacedAt.is_null()).filter(row::Column::RemovedAt.is_null())
        }
        Which::Ever => select,
    };
    match instance {
        Some(instance) => select.filter(row::Column::InstanceId.eq(instance.as_str())),
        None => select,
    }
}

/// Writes a new agent as the current one of its instance.
pub(crate) async fn insert(transaction: &DatabaseTransaction, agent: &Agent) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        agent_id: Set(agent.id.as_str().to_owned()),
        account_id: Set(agent.account.as_str().to_owned()),
        instance_id: Set(agent.instance.as_str().to_owned()),
        region: Set(agent.region.as_str().to_owned()),
        authentication_key: Set(agent.authentication_key.clone()),
        sealing_key: Set(agent.sealing_key.clone()),
        hostname: Set(column_text(&agent.hostname)),
        version: Set(column_text(&agent.version)),
        enrolled_at: Set(agent.enrolled_at.as_millis()),
        last_seen_at: Set(agent.last_seen_at.as_millis()),
        replaced_at: Set(None),
        removed_at: Set(None),
        agent_of: Set(Some(agent.instance.as_str().to_owned())),
    };
    row::Entity::insert(model).exec_without_returning(transaction).await.map_err(StoreError::unique(
        "agent",
        "the instance already has an agent, or the id is taken",
        "write an agent",
    ))?;
    put_capabilities(transaction, &agent.id, &agent.capabilities).await
}

/// Whether the instance has a current agent.
pub(crate) async fn has_present(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<bool, StoreError> {
    let found = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AgentOf.eq(instance.as_str()))
        .one(transaction)
        .await
        .map_err(StoreError::at("look for an agent"))?;
    Ok(found.is_some())
}

/// The agent that the instance has at present, locked until the transaction ends.
pub(crate) async fn find_present_locked(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    instance: &InstanceId,
) -> Result<Option<Agent>, StoreError> {
    let found = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AgentOf.eq(instance.as_str()))
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(StoreError::at("look for an agent"))?;
    Ok(with_capabilities(transaction, found.into_iter().collect()).await?.into_iter().next())
}

/// Retires the agent that the instance has at present.
pub(crate) async fn retire(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    instance: &InstanceId,
    retired: Retired,
) -> Result<(), StoreError> {
    let column = match retired {
        Retired::Replaced { .. } => row::Column::ReplacedAt,
        Retired::Removed { .. } => row::Column::RemovedAt,
    };
    row::Entity::update_many()
        .col_expr(column, Expr::value(retired.at().as_millis()))
        .col_expr(row::Column::AgentOf, Expr::value(None::<String>))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AgentOf.eq(instance.as_str()))
        .exec(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("retire an agent"))
}

/// Notes that these agents were heard, unless they were heard later.
pub(crate) async fn mark_all_seen(
    transaction: &DatabaseTransaction,
    agents: &[&str],
    at: Timestamp,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::LastSeenAt, Expr::value(at.as_millis()))
        .filter(row::Column::AgentId.is_in(agents.iter().copied()))
        .filter(row::Column::LastSeenAt.lt(at.as_millis()))
        .exec(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("note that agents were heard"))
}

/// The agents of an account that were neither replaced nor removed.
pub(crate) async fn present_in(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<BTreeSet<String>, StoreError> {
    let present: Vec<String> = row::Entity::find()
        .select_only()
        .column(row::Column::AgentId)
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::ReplacedAt.is_null())
        .filter(row::Column::RemovedAt.is_null())
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("read the agents of an account"))?;
    Ok(present.into_iter().collect())
}

/// Those of these agents that were neither replaced nor removed.
pub(crate) async fn present_of(
    transaction: &DatabaseTransaction,
    agents: &[&str],
) -> Result<BTreeSet<String>, StoreError> {
    let present: Vec<String> = row::Entity::find()
        .select_only()
        .column(row::Column::AgentId)
        .filter(row::Column::AgentId.is_in(agents.iter().copied()))
        .filter(row::Column::ReplacedAt.is_null())
        .filter(row::Column::RemovedAt.is_null())
        .into_tuple()
        .all(transaction)
        .await
        .map_err(StoreError::at("read which agents are replaced or removed"))?;
    Ok(present.into_iter().collect())
}

/// Notes when the agent was last heard, unless that was noted within the last `at_most_every` milliseconds.
pub(crate) async fn mark_seen(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    instance: Option<&InstanceId>,
    id: &AgentId,
    at: Timestamp,
    at_most_every: i64,
) -> Result<(), StoreError> {
    let mut update = row::Entity::update_many()
        .col_expr(row::Column::LastSeenAt, Expr::value(at.as_millis()))
        .filter(row::Column::AgentId.eq(id.as_str()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::LastSeenAt.lte(at.as_millis().saturating_sub(at_most_every)));
    if let Some(instance) = instance {
        update = update.filter(row::Column::InstanceId.eq(instance.as_str()));
    }
    update.exec(connection).await.map(drop).map_err(StoreError::at("note that an agent was heard"))
}

pub(crate) async fn describe(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    instance: Option<&InstanceId>,
    id: &AgentId,
    version: &str,
    capabilities: &[Capability],
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut update = row::Entity::update_many()
        .col_expr(row::Column::LastSeenAt, Expr::value(at.as_millis()))
        .col_expr(row::Column::Version, Expr::value(column_text(version)))
        .filter(row::Column::AgentId.eq(id.as_str()))
        .filter(row::Column::AccountId.eq(account.as_str()));
    if let Some(instance) = instance {
        update = update.filter(row::Column::InstanceId.eq(instance.as_str()));
    }
    let described = update.exec(transaction).await.map_err(StoreError::at("describe an agent"))?;
    if described.rows_affected == 0 {
        return Err(StoreError::NotFound { what: "agent" });
    }
    capability::Entity::delete_many()
        .filter(capability::Column::AgentId.eq(id.as_str()))
        .exec(transaction)
        .await
        .map_err(StoreError::at("describe an agent"))?;
    put_capabilities(transaction, id, capabilities).await
}

async fn put_capabilities(
    transaction: &DatabaseTransaction,
    id: &AgentId,
    capabilities: &[Capability],
) -> Result<(), StoreError> {
    for announced in capabilities {
        let model = capability::ActiveModel {
            agent_id: Set(id.as_str().to_owned()),
            kind: Set(column_text(&announced.kind)),
            version: Set(column_text(&announced.version)),
        };
        // For a kind that is announced twice, the version announced last is kept.
        let conflict = OnConflict::columns([capability::Column::AgentId, capability::Column::Kind])
            .update_column(capability::Column::Version)
            .to_owned();
        capability::Entity::insert(model)
            .on_conflict(conflict)
            .exec_without_returning(transaction)
            .await
            .map_err(StoreError::at("write an agent's capabilities"))?;
    }
    Ok(())
}

async fn with_capabilities(
    connection: &impl ConnectionTrait,
    rows: Vec<row::Model>,
) -> Result<Vec<Agent>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let announced = capability::Entity::find()
        .filter(capability::Column::AgentId.is_in(rows.iter().map(|model| model.agent_id.as_str())))
        .order_by_asc(capability::Column::AgentId)
        .order_by_asc(capability::Column::Kind)
        .all(connection)
        .await
        .map_err(StoreError::at("read the capabilities of agents"))?;
    let read = |model: row::Model| {
        let capabilities = announced
            .iter()
            .filter(|capability| capability.agent_id == model.agent_id)
            .map(|capability| Capability {
                kind: capability.kind.clone(),
                version: capability.version.clone(),
            })
            .collect();
        from_row(model, capabilities)
    };
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

fn from_row(model: row::Model, capabilities: Vec<Capability>) -> Result<Agent, CorruptRow> {
    let reading = Reading { table: "agents", id: &model.agent_id };
    for (column, key) in
        [("authentication_key", &model.authentication_key), ("sealing_key", &model.sealing_key)]
    {
        if key.len() != 32 {
            return Err(
                reading.corrupt(column, format!("an Ed25519 public key has 32 bytes, not {}", key.len()))
            );
        }
    }
    let retired = match (model.replaced_at, model.removed_at) {
        (None, None) => None,
        (Some(at), None) => Some(Retired::Replaced { at: Timestamp::from_millis(at) }),
        (None, Some(at)) => Some(Retired::Removed { at: Timestamp::from_millis(at) }),
        (Some(_), Some(_)) => {
            return Err(reading.corrupt("removed_at", "an agent is replaced or removed, not both"));
        }
    };
    Ok(Agent {
        id: reading.text("agent_id", &model.agent_id)?,
        account: reading.text("account_id", &model.account_id)?,
        instance: reading.text("instance_id", &model.instance_id)?,
        region: reading.text("region", &model.region)?,
        capabilities,
        enrolled_at: Timestamp::from_millis(model.enrolled_at),
        last_seen_at: Timestamp::from_millis(model.last_seen_at),
        retired,
        authentication_key: model.authentication_key,
        sealing_key: model.sealing_key,
        hostname: model.hostname,
        version: model.version,
    })
}

/// Makes concurrent transactions about one agent take turns, and refuses an agent that was replaced or removed meanwhile:
/// whatever was permitted before is written only while the agent is the one of its instance.
pub(crate) async fn lock(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    id: &AgentId,
) -> Result<(), StoreError> {
    let found = row::Entity::find_by_id(id.as_str())
        .filter(row::Column::AccountId.eq(account.as_str()))
        .lock(Dialect::of(transaction).turn_lock())
        .one(transaction)
        .await
        .map_err(StoreError::at("lock an agent"))?
        .ok_or(StoreError::NotFound { what: "agent" })?;
    if found.agent_of.is_some() { Ok(()) } else { Err(StoreError::AgentRetired) }
}

/// A subquery: ids of the account's agents that are the agents of their instances.
pub(crate) fn present(account: &AccountId) -> sea_orm::sea_query::SelectStatement {
    use sea_orm::QueryTrait;

    of_account(account, None, Which::Present).select_only().column(row::Column::AgentId).into_query()
}

/// A subquery: ids of the account's agents that were heard after `after` and are the agents of their
/// instances.
pub(crate) fn heard_after(account: &AccountId, after: Timestamp) -> sea_orm::sea_query::SelectStatement {
    use sea_orm::QueryTrait;

    of_account(account, None, Which::Present)
        .select_only()
        .column(row::Column::AgentId)
        .filter(row::Column::LastSeenAt.gt(after.as_millis()))
        .into_query()
}
