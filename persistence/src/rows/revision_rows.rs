//! Table `revisions`: two numbers for each account, one that grows with every change of its instances and their tags, and
//! one that grows with every other change of what decides.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use domain::AccountId;
use domain::decided_under::Revisions;
use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QuerySelect, SqlErr,
};

use crate::StoreError;
use crate::dialect::sqlite_direct::DirectTransaction;
use crate::dialect::{self, Dialect};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "revisions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        pub revision: i64,
        pub instances: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The greatest step from one number to the next one. Numbers stay exact in every client for 10^10 changes.
const LONGEST_STEP: u32 = 1 << 20;

/// Which of an account's numbers grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grows {
    Account,
    Instances,
}

/// Gives the account its next number, and returns by how much both grew. That is random: after commits were lost, with the
/// database that another one replaced or with a backup that was put back, the same number must not come again for something
/// else while a replica still has what it read under it.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such account.
pub(crate) async fn bump(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    grows: Grows,
) -> Result<Revisions, StoreError> {
    let step = i64::from(random_step());
    let (column, steps) = match grows {
        Grows::Account => (row::Column::Revision, Revisions { account: step, instances: 0 }),
        Grows::Instances => (row::Column::Instances, Revisions { account: 0, instances: step }),
    };
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        revision: Set(steps.account),
        instances: Set(steps.instances),
    };
    let next = Expr::col((row::Entity, column)).add(step);
    row::Entity::insert(model)
        .on_conflict(OnConflict::column(row::Column::AccountId).value(column, next).to_owned())
        .exec_without_returning(connection)
        .await
        .map_err(|source| match source.sql_err() {
            Some(SqlErr::ForeignKeyConstraintViolation(_)) => StoreError::NotFound { what: "account" },
            _ => StoreError::Unavailable { step: "bump a revision", source },
        })?;
    dialect::tell_of_revision(connection).await.map_err(StoreError::at("tell of a revision"))?;
    Ok(steps)
}

fn random_step() -> u32 {
    let mut bytes = [0_u8; 4];
    SystemRandom::new().fill(&mut bytes).expect("the operating system's random source works");
    1 + u32::from_be_bytes(bytes) % LONGEST_STEP
}

pub(crate) async fn of_account(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Revisions, StoreError> {
    let found = row::Entity::find_by_id(account.as_str())
        .one(connection)
        .await
        .map_err(StoreError::at("read a revision"))?;
    Ok(found.as_ref().map_or_else(Revisions::default, both))
}

fn both(model: &row::Model) -> Revisions {
    Revisions { account: model.revision, instances: model.instances }
}

/// The revisions of these accounts, as they are now; those of an account without a row are 0.
pub(crate) async fn of_accounts(
    connection: &impl ConnectionTrait,
    accounts: &BTreeSet<&AccountId>,
) -> Result<BTreeMap<AccountId, Revisions>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.is_in(accounts.iter().map(|account| account.as_str())))
        .all(connection)
        .await
        .map_err(StoreError::at("read the revisions"))?;
    let mut found: BTreeMap<AccountId, Revisions> =
        accounts.iter().map(|account| (AccountId::clone(account), Revisions::default())).collect();
    for row in rows {
        if let Some(found) = found.iter_mut().find(|(account, _)| account.as_str() == row.account_id) {
            *found.1 = both(&row);
        }
    }
    Ok(found)
}

/// As [`of_accounts`], on the thread that has the connection.
pub(crate) fn of_accounts_directly(
    transaction: &DirectTransaction<'_>,
    accounts: &BTreeSet<&AccountId>,
) -> Result<BTreeMap<AccountId, Revisions>, StoreError> {
    let revisions = |account: &&AccountId| {
        let text = "SELECT revision, instances FROM revisions WHERE account_id = ?";
        let found = transaction.numbers(text, &[account.as_str().into()]);
        let found = found.map_err(StoreError::at("read the revisions"))?;
        let [account_own, instances] = found.unwrap_or_default();
        Ok((AccountId::clone(account), Revisions { account: account_own, instances }))
    };
    accounts.iter().map(revisions).collect()
}

/// The revisions of an account, which nobody changes before this transaction ends.
pub(crate) async fn of_account_held(
    transaction: &DatabaseTransaction,
    account: &AccountId,
) -> Result<Revisions, StoreError> {
    of_account_under(transaction, account, LockType::Share).await
}

/// The same, so that this transaction itself can change them.
pub(crate) async fn of_account_locked(
    transaction: &DatabaseTransaction,
    account: &AccountId,
) -> Result<Revisions, StoreError> {
    of_account_under(transaction, account, LockType::Update).await
}

// Every account has a row from its beginning, so that there is one to lock.
async fn of_account_under(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    lock: LockType,
) -> Result<Revisions, StoreError> {
    let found = row::Entity::find_by_id(account.as_str())
        .lock(lock)
        .one(transaction)
        .await
        .map_err(StoreError::at("read a revision"))?;
    Ok(found.as_ref().map_or_else(Revisions::default, both))
}

/// A number that grows with every change of any account but those of instances, because no account is ever removed.
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
