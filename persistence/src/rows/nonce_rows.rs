//! Table `nonces`: values that may be used only once.

use domain::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use crate::StoreError;
use crate::dialect::{Dialect, delete_some, insert_unless_taken};

/// How many expired rows one statement removes, so that no claim waits long behind it.
const PURGE_BATCH: u64 = 2_000;
/// How often a claim tries again when a row existed at first and then did not. A purge removes only expired rows, so
/// that even one repetition is rarely needed.
const CLAIM_ATTEMPTS: u32 = 8;

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

/// Claims a nonce: of any number of concurrent claims exactly one succeeds. An expired nonce can be claimed again,
/// whether or not it was purged.
pub(crate) async fn claim(
    connection: &impl ConnectionTrait,
    hash: [u8; 32],
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let model = row::ActiveModel { hash: Set(hash.to_vec()), expires_at: Set(expires_at.as_millis()) };
    let claimed = match Dialect::of(connection) {
        Dialect::Sqlite | Dialect::Postgres => claim_in_one_statement(connection, model, now).await,
        Dialect::MariaDb => claim_in_two_statements(connection, model, now).await,
    };
    claimed.map_err(StoreError::at("claim a nonce"))
}

#[allow(clippy::disallowed_methods, reason = "the two dialects that take the condition")]
async fn claim_in_one_statement(
    connection: &impl ConnectionTrait,
    model: row::ActiveModel,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let lapsed = Expr::col((row::Entity, row::Column::ExpiresAt)).lte(now.as_millis());
    let conflict = OnConflict::column(row::Column::Hash)
        .update_column(row::Column::ExpiresAt)
        .action_and_where(lapsed)
        .to_owned();
    match row::Entity::insert(model).on_conflict(conflict).exec_without_returning(connection).await {
        Ok(rows) => Ok(rows > 0),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Inserting a new row is a claim. So is extending an expired row: a second claimant waits for the row, and then finds
/// that it has not expired.
async fn claim_in_two_statements(
    connection: &impl ConnectionTrait,
    model: row::ActiveModel,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let (hash, expires_at) = (model.hash.clone().unwrap(), model.expires_at.clone().unwrap());
    for _ in 0..CLAIM_ATTEMPTS {
        let insert = row::Entity::insert(model.clone());
        if insert_unless_taken(connection, insert, [row::Column::Hash]).await? {
            return Ok(true);
        }
        let again = row::Entity::update_many()
            .col_expr(row::Column::ExpiresAt, Expr::value(expires_at))
            .filter(row::Column::Hash.eq(hash.clone()))
            .filter(row::Column::ExpiresAt.lte(now.as_millis()))
            .exec(connection)
            .await?;
        if again.rows_affected > 0 {
            return Ok(true);
        }
        if row::Entity::find_by_id(hash.clone()).one(connection).await?.is_some() {
            return Ok(false);
        }
        // It had expired, and was purged between the two statements.
    }
    Err(DbErr::Custom(format!("the row came and went {CLAIM_ATTEMPTS} times")))
}

/// Removes some of the expired nonces; fewer than a batch means that none is left.
pub(crate) async fn purge_batch(
    connection: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<(u64, bool), StoreError> {
    let lapsed = row::Column::ExpiresAt.lte(now.as_millis());
    let purged = delete_some::<row::Entity>(connection, row::Column::Hash, lapsed, PURGE_BATCH)
        .await
        .map_err(StoreError::at("purge nonces"))?;
    Ok((purged, purged == PURGE_BATCH))
}
