//! Table `nonces`: what may be used once.

use domain::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
};

use crate::StoreError;

/// How many lapsed rows one statement removes, so that no claim waits long behind it.
const PURGE_BATCH: u64 = 2_000;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "nonces")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub hash: Vec<u8>,
        pub expires_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Claims it, in one statement: of any number of concurrent claims one gets it. A lapsed one can be claimed again,
/// whether or not it was purged.
pub(crate) async fn claim(
    connection: &impl ConnectionTrait,
    hash: [u8; 32],
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let model = row::ActiveModel { hash: Set(hash.to_vec()), expires_at: Set(expires_at.as_millis()) };
    let lapsed = Expr::col((row::Entity, row::Column::ExpiresAt)).lte(now.as_millis());
    let conflict = OnConflict::column(row::Column::Hash)
        .update_column(row::Column::ExpiresAt)
        .action_and_where(lapsed)
        .to_owned();
    let written = row::Entity::insert(model).on_conflict(conflict).exec_without_returning(connection).await;
    match written {
        Ok(rows) => Ok(rows > 0),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(source) => Err(StoreError::Unavailable { step: "claim a nonce", source }),
    }
}

/// Removes some of those that lapsed; fewer than a batch means that none is left.
pub(crate) async fn purge_batch(
    connection: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<(u64, bool), StoreError> {
    let lapsed = row::Entity::find()
        .select_only()
        .column(row::Column::Hash)
        .filter(row::Column::ExpiresAt.lte(now.as_millis()))
        .limit(PURGE_BATCH)
        .into_query();
    let statement =
        Query::delete().from_table(row::Entity).and_where(row::Column::Hash.in_subquery(lapsed)).to_owned();
    let purged =
        connection.execute(&statement).await.map_err(StoreError::at("purge nonces"))?.rows_affected();
    Ok((purged, purged == PURGE_BATCH))
}
