//! Table `revisions`: one number for each account that grows with every change of configuration, keys or policies.

use domain::AccountId;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, QuerySelect};

use crate::StoreError;
use crate::dialect::Dialect;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "revisions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        pub revision: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn bump(connection: &impl ConnectionTrait, account: &AccountId) -> Result<(), StoreError> {
    let model = row::ActiveModel { account_id: Set(account.as_str().to_owned()), revision: Set(1) };
    let next = Expr::col((row::Entity, row::Column::Revision)).add(1);
    row::Entity::insert(model)
        .on_conflict(OnConflict::column(row::Column::AccountId).value(row::Column::Revision, next).to_owned())
        .exec_without_returning(connection)
        .await
        .map_err(StoreError::at("bump a revision"))?;
    Ok(())
}

pub(crate) async fn of_account(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<i64, StoreError> {
    let found = row::Entity::find_by_id(account.as_str())
        .one(connection)
        .await
        .map_err(StoreError::at("read a revision"))?;
    Ok(found.map_or(0, |model| model.revision))
}

/// A number that grows with every change of any account, because no account is ever removed.
pub(crate) async fn of_all(connection: &impl ConnectionTrait) -> Result<i64, StoreError> {
    // In PostgreSQL and MariaDB the sum of BIGINTs is a NUMERIC.
    let sum = Expr::col(row::Column::Revision).sum().cast_as(Dialect::of(connection).whole_number());
    let found: Option<Option<i64>> = row::Entity::find()
        .select_only()
        .column_as(sum, "revisions")
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("read the revisions"))?;
    Ok(found.flatten().unwrap_or(0))
}
