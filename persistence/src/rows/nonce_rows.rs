//! Table `nonces`, where replicas share it: values that may be used only once.

use std::collections::{BTreeMap, HashSet};

use domain::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryResult, QueryTrait, SqlErr,
};

use super::in_few_sizes;
use super::insert_many::InsertMany;
use crate::dialect::{Dialect, delete_some, insert_unless_taken};
use crate::{CorruptRow, NonceClaim, StoreError};

/// The step of claiming, in errors.
const CLAIM: &str = "claim a nonce";

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

/// Claims nonces in one transaction; returns the hashes of those that were fresh. Equal ones are one claim.
///
/// They are claimed in the order of their hashes, so that replicas wait for one another, and never in a circle.
pub(crate) async fn claim_all(
    transaction: &DatabaseTransaction,
    claims: &[&NonceClaim],
) -> Result<HashSet<[u8; 32]>, StoreError> {
    let mut by_hash = BTreeMap::new();
    for claim in claims {
        by_hash.entry(claim.hash).or_insert(*claim);
    }
    let claims: Vec<&NonceClaim> = by_hash.into_values().collect();
    let mut fresh = HashSet::with_capacity(claims.len());
    match Dialect::of(transaction) {
        // SQLite has no index for it (`nonces`).
        Dialect::Sqlite => unreachable!("claims are appended there"),
        Dialect::Postgres => {
            for part in in_few_sizes(&claims) {
                fresh.extend(claim_in_one_statement(transaction, part).await?);
            }
        }
        Dialect::MariaDb => {
            for part in in_few_sizes(&claims) {
                if all_are_new(transaction, part).await.map_err(StoreError::at(CLAIM))? {
                    fresh.extend(part.iter().map(|claim| claim.hash));
                    continue;
                }
                for claim in part {
                    if claim_in_two_statements(transaction, claim).await.map_err(StoreError::at(CLAIM))? {
                        fresh.insert(claim.hash);
                    }
                }
            }
        }
    }
    Ok(fresh)
}

/// A row that is new is a claim, and so is one that had expired. Of any number of concurrent claims of one nonce exactly
/// one succeeds: the others wait for it.
#[allow(clippy::disallowed_methods, reason = "the dialect that takes the condition")]
async fn claim_in_one_statement(
    transaction: &DatabaseTransaction,
    claims: &[&NonceClaim],
) -> Result<Vec<[u8; 32]>, StoreError> {
    // The calls of one group came within moments. By the earliest of them none counts as expired too early.
    let Some(now) = claims.iter().map(|claim| claim.now.as_millis()).min() else { return Ok(Vec::new()) };
    let expired = Expr::col((row::Entity, row::Column::ExpiresAt)).lte(now);
    let conflict = OnConflict::column(row::Column::Hash)
        .update_column(row::Column::ExpiresAt)
        .action_and_where(expired)
        .to_owned();
    let mut insert =
        row::Entity::insert_many(claims.iter().map(|claim| model(claim))).on_conflict(conflict).into_query();
    insert.returning_col(row::Column::Hash);
    let rows = transaction.query_all(&insert).await.map_err(StoreError::at(CLAIM))?;
    let hash = |row: QueryResult| {
        let hash: Vec<u8> = row.try_get("", "hash").map_err(StoreError::at(CLAIM))?;
        <[u8; 32]>::try_from(hash).map_err(|_| {
            let why = "it is no hash of 32 bytes".to_owned();
            StoreError::from(CorruptRow { table: "nonces", column: "hash", id: String::new(), why })
        })
    };
    rows.into_iter().map(hash).collect()
}

fn model(claim: &NonceClaim) -> row::ActiveModel {
    row::ActiveModel { hash: Set(claim.hash.to_vec()), expires_at: Set(claim.expires_at.as_millis()) }
}

static ROWS: InsertMany<2> = InsertMany::new("nonces", ["hash", "expires_at"]);

/// Claims all of these if none has a row, which is the rule; otherwise none. It is one statement, of which MariaDB leaves
/// nothing when it fails.
async fn all_are_new(transaction: &DatabaseTransaction, claims: &[&NonceClaim]) -> Result<bool, DbErr> {
    let values = |claim: &&NonceClaim| [claim.hash.to_vec().into(), claim.expires_at.as_millis().into()];
    match ROWS.insert(transaction, claims, values).await {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Inserting a new row is a claim. So is extending an expired row: a second claimant waits for the row, and then finds
/// that it has not expired.
async fn claim_in_two_statements(
    transaction: &DatabaseTransaction,
    claim: &NonceClaim,
) -> Result<bool, DbErr> {
    let hash = claim.hash.to_vec();
    for _ in 0..CLAIM_ATTEMPTS {
        let insert = row::Entity::insert(model(claim));
        if insert_unless_taken(transaction, insert, [row::Column::Hash]).await? {
            return Ok(true);
        }
        let again = row::Entity::update_many()
            .col_expr(row::Column::ExpiresAt, Expr::value(claim.expires_at.as_millis()))
            .filter(row::Column::Hash.eq(hash.clone()))
            .filter(row::Column::ExpiresAt.lte(claim.now.as_millis()))
            .exec(transaction)
            .await?;
        if again.rows_affected > 0 {
            return Ok(true);
        }
        if row::Entity::find_by_id(hash.clone()).one(transaction).await?.is_some() {
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
