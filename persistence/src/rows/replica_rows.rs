//! Table `replicas`: the leases of the replicas that live, and of those that ended without a word. All its times are the
//! database's.

use std::time::Duration;

use domain::Timestamp;
use domain::agent_link::ReplicaId;
use domain::replica_lease::{LiveReplica, LiveReplicas};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::Reading;
use crate::dialect::Dialect;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "replicas")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub replica_id: String,
        pub internal_address: Option<String>,
        pub started_at: i64,
        pub expires_at: i64,
        /// 1 of a replica that compares the revision of instances too; 0 of one of the version before.
        pub knows_instances: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Extends a replica's lease to so long from now, or begins it.
pub(crate) async fn renew(
    connection: &impl ConnectionTrait,
    replica: &ReplicaId,
    internal_address: Option<&str>,
    lasts: Duration,
) -> Result<(), StoreError> {
    let now = || Expr::cust(Dialect::of(connection).moment());
    let until = || now().add(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX));
    let renewed = OnConflict::column(row::Column::ReplicaId)
        .values([(row::Column::ExpiresAt, until()), (row::Column::KnowsInstances, 1.into())])
        .to_owned();
    let lease = Query::insert()
        .into_table(row::Entity)
        .columns([
            row::Column::ReplicaId,
            row::Column::InternalAddress,
            row::Column::StartedAt,
            row::Column::ExpiresAt,
            row::Column::KnowsInstances,
        ])
        .values_panic([
            replica.as_str().into(),
            internal_address.map(str::to_owned).into(),
            now(),
            until(),
            1.into(),
        ])
        .on_conflict(renewed)
        .to_owned();
    connection.execute(&lease).await.map(drop).map_err(StoreError::at("renew a replica's lease"))
}

/// The replicas whose lease has not lapsed; `None` if there are none.
pub(crate) async fn live(connection: &impl ConnectionTrait) -> Result<Option<LiveReplicas>, StoreError> {
    let now = || Expr::cust(Dialect::of(connection).moment());
    let rows: Vec<(String, Option<String>, i64, i64)> = row::Entity::find()
        .select_only()
        .columns([row::Column::ReplicaId, row::Column::InternalAddress, row::Column::StartedAt])
        .expr_as(now(), "at")
        .filter(Expr::col(row::Column::ExpiresAt).gt(now()))
        .order_by_asc(row::Column::StartedAt)
        .order_by_asc(row::Column::ReplicaId)
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("read which replicas live"))?;
    let Some(at) = rows.first().map(|(.., at)| Timestamp::from_millis(*at)) else { return Ok(None) };
    let replicas = rows.into_iter().map(from_row).collect::<Result<_, _>>()?;
    Ok(Some(LiveReplicas { at, replicas }))
}

/// Whether a replica of the version before lives, which compares the account's own revision alone.
pub(crate) async fn any_before_instance_revisions(
    connection: &impl ConnectionTrait,
) -> Result<bool, StoreError> {
    let now = Expr::cust(Dialect::of(connection).moment());
    let found: Option<String> = row::Entity::find()
        .select_only()
        .column(row::Column::ReplicaId)
        .filter(Expr::col(row::Column::KnowsInstances).eq(0))
        .filter(Expr::col(row::Column::ExpiresAt).gt(now))
        .limit(1)
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("read which replicas live"))?;
    Ok(found.is_some())
}

/// Ends a replica's lease.
pub(crate) async fn remove(connection: &impl ConnectionTrait, replica: &ReplicaId) -> Result<(), StoreError> {
    row::Entity::delete_by_id(replica.as_str())
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("end a replica's lease"))
}

/// Removes the leases that lapsed so long ago.
pub(crate) async fn remove_lapsed(
    connection: &impl ConnectionTrait,
    ago: Duration,
) -> Result<(), StoreError> {
    let then =
        Expr::cust(Dialect::of(connection).moment()).sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX));
    row::Entity::delete_many()
        .filter(Expr::col(row::Column::ExpiresAt).lt(then))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("remove the leases of replicas that have ended"))
}

fn from_row(
    (id, internal_address, started_at, _): (String, Option<String>, i64, i64),
) -> Result<LiveReplica, CorruptRow> {
    let reading = Reading { table: "replicas", id: &id };
    Ok(LiveReplica {
        id: reading.text("replica_id", &id)?,
        started_at: Timestamp::from_millis(started_at),
        internal_address,
    })
}
