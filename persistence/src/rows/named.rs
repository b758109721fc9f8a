//! What the tables `users`, `groups` and `roles` have in common: an entity with an id that is never reused and a name
//! that is unique within its account. Every read and write names the account.

use std::fmt::Display;
use std::marker::PhantomData;

use domain::AccountId;
use domain::identity::{Entity as Thing, IdentityRefused};
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
};

use crate::markers::NameSlice;
use crate::{CorruptRow, StoreError};

/// A table of named entities. How a row is read back is written by hand for each table.
pub(crate) trait NamedTable: EntityTrait<Model: Sync, Column: Send + Sync, ActiveModel: Send> {
    /// The entity of a row.
    type Named: Send;
    /// Its id.
    type Id: Display + Sync;
    /// Its name.
    type Name: Display + Sync;

    const THING: Thing;
    const STEPS: Steps;
    const ACCOUNT: Self::Column;
    const ID: Self::Column;
    const NAME: Self::Column;

    fn id(named: &Self::Named) -> &Self::Id;
    fn name(named: &Self::Named) -> &Self::Name;
    fn to_row(account: &AccountId, named: &Self::Named) -> Self::ActiveModel;
    /// The columns that a change can touch, with their new values.
    fn changed(named: &Self::Named) -> Vec<(Self::Column, SimpleExpr)>;
    fn from_row(model: Self::Model) -> Result<Self::Named, CorruptRow>;
}

/// The steps of the work, for errors of the database.
pub(crate) struct Steps {
    pub(crate) write: &'static str,
    pub(crate) read: &'static str,
    pub(crate) list: &'static str,
    pub(crate) count: &'static str,
    pub(crate) delete: &'static str,
    /// What may still refer to an entity that is deleted.
    pub(crate) has: &'static str,
}

/// The rows of one such table.
pub(crate) struct NamedRows<T>(PhantomData<T>);

impl<T: NamedTable> NamedRows<T> {
    /// Writes a new entity; a name that is taken is refused.
    pub(crate) async fn insert(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        new: &T::Named,
    ) -> Result<(), StoreError> {
        T::insert(T::to_row(account, new))
            .exec_without_returning(connection)
            .await
            .map(drop)
            .map_err(StoreError::taken(|| taken::<T>(new), T::STEPS.write))
    }

    /// Writes a changed entity; a name that is taken is refused.
    pub(crate) async fn save(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        changed: &T::Named,
    ) -> Result<(), StoreError> {
        let mut update = T::update_many();
        for (column, value) in T::changed(changed) {
            update = update.col_expr(column, value);
        }
        update
            .filter(T::ACCOUNT.eq(account.as_str()))
            .filter(T::ID.eq(T::id(changed).to_string()))
            .exec(connection)
            .await
            .map(drop)
            .map_err(StoreError::taken(|| taken::<T>(changed), T::STEPS.write))
    }

    /// Deletes an entity that nothing refers to any more.
    pub(crate) async fn delete(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        id: &T::Id,
    ) -> Result<(), StoreError> {
        T::delete_many()
            .filter(T::ACCOUNT.eq(account.as_str()))
            .filter(T::ID.eq(id.to_string()))
            .exec(connection)
            .await
            .map(drop)
            .map_err(StoreError::referenced(T::THING.noun(), T::STEPS.has, T::STEPS.delete))
    }

    /// How many entities the account has.
    pub(crate) async fn count(
        connection: &impl ConnectionTrait,
        account: &AccountId,
    ) -> Result<u64, StoreError> {
        of_account::<T>(account).count(connection).await.map_err(StoreError::at(T::STEPS.count))
    }

    /// The entity of this name, if it exists.
    pub(crate) async fn find(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        name: &T::Name,
    ) -> Result<Option<T::Named>, StoreError> {
        one::<T>(connection, named::<T>(account, name)).await
    }

    /// The entity of this name; an error when it does not exist.
    pub(crate) async fn get(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        name: &T::Name,
    ) -> Result<T::Named, StoreError> {
        Self::find(connection, account, name).await?.ok_or_else(|| absent::<T>(name))
    }

    /// As [`NamedRows::get`], and locked until the transaction ends, so that nobody can change it, delete it or refer to
    /// it.
    pub(crate) async fn get_locked(
        transaction: &DatabaseTransaction,
        account: &AccountId,
        name: &T::Name,
    ) -> Result<T::Named, StoreError> {
        // SQLite has one writer at a time; the statement builder omits the lock.
        let found = one::<T>(transaction, named::<T>(account, name).lock_exclusive()).await?;
        found.ok_or_else(|| absent::<T>(name))
    }

    /// The entity of this id, if it exists.
    pub(crate) async fn find_by_id(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        id: &T::Id,
    ) -> Result<Option<T::Named>, StoreError> {
        one::<T>(connection, of_account::<T>(account).filter(T::ID.eq(id.to_string()))).await
    }

    /// As [`NamedRows::find_by_id`], and locked until the transaction ends, so that nobody can change or delete it.
    pub(crate) async fn find_by_id_kept(
        transaction: &DatabaseTransaction,
        account: &AccountId,
        id: &T::Id,
    ) -> Result<Option<T::Named>, StoreError> {
        // SQLite has one writer at a time; the statement builder omits the lock.
        let select = of_account::<T>(account).filter(T::ID.eq(id.to_string())).lock_shared();
        one::<T>(transaction, select).await
    }

    /// All entities of the account, by name.
    pub(crate) async fn all(
        connection: &impl ConnectionTrait,
        account: &AccountId,
    ) -> Result<Vec<T::Named>, StoreError> {
        several::<T>(connection, of_account::<T>(account)).await
    }

    /// A part of the list, by name.
    pub(crate) async fn list(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        slice: &NameSlice,
    ) -> Result<Vec<T::Named>, StoreError> {
        several::<T>(connection, part::<T>(of_account::<T>(account), slice)).await
    }
}

/// The entities of the account.
pub(super) fn of_account<T: NamedTable>(account: &AccountId) -> Select<T> {
    T::find().filter(T::ACCOUNT.eq(account.as_str()))
}

/// The entities whose names come after the beginning of the slice, at most as many as it takes.
pub(super) fn part<T: NamedTable>(select: Select<T>, slice: &NameSlice) -> Select<T> {
    let select = match &slice.after {
        Some(after) => select.filter(T::NAME.gt(after.as_str())),
        None => select,
    };
    select.limit(slice.limit)
}

/// The selected entities, by name.
pub(super) async fn several<T: NamedTable>(
    connection: &impl ConnectionTrait,
    select: Select<T>,
) -> Result<Vec<T::Named>, StoreError> {
    let rows = select.order_by_asc(T::NAME).all(connection).await.map_err(StoreError::at(T::STEPS.list))?;
    Ok(rows.into_iter().map(T::from_row).collect::<Result<_, _>>()?)
}

async fn one<T: NamedTable>(
    connection: &impl ConnectionTrait,
    select: Select<T>,
) -> Result<Option<T::Named>, StoreError> {
    let found = select.one(connection).await.map_err(StoreError::at(T::STEPS.read))?;
    Ok(found.map(T::from_row).transpose()?)
}

fn named<T: NamedTable>(account: &AccountId, name: &T::Name) -> Select<T> {
    of_account::<T>(account).filter(T::NAME.eq(name.to_string()))
}

fn absent<T: NamedTable>(name: &T::Name) -> StoreError {
    IdentityRefused::not_exist(T::THING, name).into()
}

fn taken<T: NamedTable>(named: &T::Named) -> IdentityRefused {
    IdentityRefused::already_exists(T::THING, T::name(named))
}
