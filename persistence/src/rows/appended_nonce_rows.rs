//! Table `nonces` of SQLite: what was claimed, in the order in which it was, without an index by which it could be found.

use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::in_few_sizes;
use crate::{CorruptRow, NonceClaim, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "nonces")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub hash: Vec<u8>,
        pub expires_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A claim that is stored.
pub(crate) struct Appended {
    pub(crate) id: i64,
    pub(crate) hash: [u8; 32],
    pub(crate) expires_at: i64,
}

/// The rows after this one, in their order.
pub(crate) async fn after(
    connection: &impl ConnectionTrait,
    id: i64,
    most: u64,
) -> Result<Vec<Appended>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::Id.gt(id))
        .order_by_asc(row::Column::Id)
        .limit(most)
        .all(connection)
        .await
        .map_err(StoreError::at("read nonces"))?;
    let appended = |row: row::Model| {
        let hash = row.hash.try_into().map_err(|_| {
            let why = "it is no hash of 32 bytes".to_owned();
            StoreError::from(CorruptRow { table: "nonces", column: "hash", id: row.id.to_string(), why })
        })?;
        Ok(Appended { id: row.id, hash, expires_at: row.expires_at })
    };
    rows.into_iter().map(appended).collect()
}

/// Appends claims after the row with this number, each with the next one.
pub(crate) async fn append(
    transaction: &impl ConnectionTrait,
    last: i64,
    claims: &[&NonceClaim],
) -> Result<(), StoreError> {
    let numbered: Vec<_> = (last + 1..).zip(claims).collect();
    for part in in_few_sizes(&numbered) {
        let rows = part.iter().map(|(id, claim)| row::ActiveModel {
            id: Set(*id),
            hash: Set(claim.hash.to_vec()),
            expires_at: Set(claim.expires_at.as_millis()),
        });
        let insert = row::Entity::insert_many(rows).exec_without_returning(transaction).await;
        insert.map_err(StoreError::at("claim a nonce"))?;
    }
    Ok(())
}

/// Removes some of the rows up to this number, from the first one on, and returns how many. The newest row stays: the
/// numbers continue after it.
pub(crate) async fn remove_up_to(
    connection: &impl ConnectionTrait,
    id: i64,
    most: u64,
) -> Result<u64, StoreError> {
    let bound = |of: SimpleExpr| Query::select().expr(of).from(row::Entity).to_owned();
    let newest = bound(Expr::col(row::Column::Id).max());
    let first = bound(Expr::col(row::Column::Id).min().add(i64::try_from(most).unwrap_or(i64::MAX)));
    let removed = row::Entity::delete_many()
        .filter(row::Column::Id.lte(id))
        .filter(Expr::col(row::Column::Id).lt(SimpleExpr::from(newest)))
        .filter(Expr::col(row::Column::Id).lt(SimpleExpr::from(first)))
        .exec(connection)
        .await;
    removed.map(|removed| removed.rows_affected).map_err(StoreError::at("purge nonces"))
}
