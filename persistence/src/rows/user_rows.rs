//! Table `users`.

use domain::identity::{Entity as Thing, GroupId, IdentityRefused, UserId, UserName};
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::{Reading, column_text, group_member_rows};
use crate::markers::NameSlice;
use crate::{CorruptRow, StoreError, User, UserProfile};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        pub account_id: String,
        pub name: String,
        pub created_at: i64,
        pub display_name: String,
        pub mobile_phone: String,
        pub email: String,
        pub comments: String,
        pub changed_at: Option<i64>,
        pub last_login_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &User,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        user_id: Set(user.id.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        name: Set(user.name.as_str().to_owned()),
        created_at: Set(user.created_at.as_millis()),
        display_name: Set(column_text(&user.profile.display_name)),
        mobile_phone: Set(column_text(&user.profile.mobile_phone)),
        email: Set(column_text(&user.profile.email)),
        comments: Set(column_text(&user.profile.comments)),
        changed_at: Set(Some(user.changed_at.as_millis())),
        last_login_at: Set(user.last_login_at.map(Timestamp::as_millis)),
    };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::taken(|| taken(&user.name), "write a user"))
}

/// Writes what changed of a user: its name, what is noted about it, when.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &User,
) -> Result<(), StoreError> {
    let UserProfile { display_name, mobile_phone, email, comments } = &user.profile;
    row::Entity::update_many()
        .col_expr(row::Column::Name, Expr::value(user.name.as_str()))
        .col_expr(row::Column::DisplayName, Expr::value(column_text(display_name)))
        .col_expr(row::Column::MobilePhone, Expr::value(column_text(mobile_phone)))
        .col_expr(row::Column::Email, Expr::value(column_text(email)))
        .col_expr(row::Column::Comments, Expr::value(column_text(comments)))
        .col_expr(row::Column::ChangedAt, Expr::value(user.changed_at.as_millis()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::UserId.eq(user.id.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::taken(|| taken(&user.name), "write a user"))
}

pub(crate) async fn count(connection: &impl ConnectionTrait, account: &AccountId) -> Result<u64, StoreError> {
    of_account(account).count(connection).await.map_err(StoreError::at("count users"))
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<User>, StoreError> {
    all(connection, of_account(account)).await
}

/// A part of the list, by name.
pub(crate) async fn slice(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    slice: &NameSlice,
) -> Result<Vec<User>, StoreError> {
    all(connection, part(of_account(account), slice)).await
}

/// A part of the list of a group's users, by name.
pub(crate) async fn slice_of_group(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    group: &GroupId,
    slice: &NameSlice,
) -> Result<Vec<User>, StoreError> {
    let ids = group_member_rows::users_of(account, group).into_query();
    let members = of_account(account).filter(row::Column::UserId.in_subquery(ids));
    all(connection, part(members, slice)).await
}

pub(crate) async fn get_by_name(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &UserName,
) -> Result<User, StoreError> {
    one(connection, name, of_account(account).filter(row::Column::Name.eq(name.as_str()))).await
}

/// The user, kept from whoever would change it, delete it or refer to it until the transaction ends.
pub(crate) async fn get_locked(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    name: &UserName,
) -> Result<User, StoreError> {
    // SQLite has one writer at a time; its builder leaves the lock out.
    let select = of_account(account).filter(row::Column::Name.eq(name.as_str())).lock(LockType::Update);
    one(transaction, name, select).await
}

pub(crate) async fn find_by_id(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &str,
) -> Result<Option<User>, StoreError> {
    let found = row::Entity::find_by_id(id)
        .filter(row::Column::AccountId.eq(account.as_str()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a user"))?;
    Ok(found.map(from_row).transpose()?)
}

pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    id: &UserId,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::UserId.eq(id.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("delete a user"))
}

fn of_account(account: &AccountId) -> Select<row::Entity> {
    row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()))
}

fn part(select: Select<row::Entity>, slice: &NameSlice) -> Select<row::Entity> {
    let select = match &slice.after {
        Some(after) => select.filter(row::Column::Name.gt(after)),
        None => select,
    };
    select.limit(slice.limit)
}

async fn one(
    connection: &impl ConnectionTrait,
    name: &UserName,
    select: Select<row::Entity>,
) -> Result<User, StoreError> {
    let found = select.one(connection).await.map_err(StoreError::at("read a user"))?;
    let absent = || IdentityRefused::NotExist { entity: Thing::User, name: name.to_string() }.into();
    found.map(from_row).transpose()?.ok_or_else(absent)
}

async fn all(
    connection: &impl ConnectionTrait,
    select: Select<row::Entity>,
) -> Result<Vec<User>, StoreError> {
    let rows =
        select.order_by_asc(row::Column::Name).all(connection).await.map_err(StoreError::at("list users"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

fn taken(name: &UserName) -> IdentityRefused {
    IdentityRefused::AlreadyExists { entity: Thing::User, name: name.to_string() }
}

fn from_row(model: row::Model) -> Result<User, CorruptRow> {
    let reading = Reading { table: "users", id: &model.user_id };
    Ok(User {
        id: reading.text("user_id", &model.user_id)?,
        name: reading.text("name", &model.name)?,
        created_at: Timestamp::from_millis(model.created_at),
        // Rows of before this column was there have never been changed.
        changed_at: Timestamp::from_millis(model.changed_at.unwrap_or(model.created_at)),
        last_login_at: model.last_login_at.map(Timestamp::from_millis),
        profile: UserProfile {
            display_name: model.display_name,
            mobile_phone: model.mobile_phone,
            email: model.email,
            comments: model.comments,
        },
    })
}
