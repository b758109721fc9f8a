//! Table `users`.

use domain::identity::{Entity as Thing, IdentityRefused, UserId, UserName};
use domain::{AccountId, Timestamp};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{Reading, column_text};
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
    row::Entity::insert(model).exec_without_returning(connection).await.map(drop).map_err(StoreError::taken(
        || IdentityRefused::AlreadyExists { entity: Thing::User, name: user.name.to_string() },
        "write a user",
    ))
}

pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<User>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .order_by_asc(row::Column::Name)
        .all(connection)
        .await
        .map_err(StoreError::at("list users"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// A part of the list, by name.
pub(crate) async fn slice(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    slice: &NameSlice,
) -> Result<Vec<User>, StoreError> {
    let mut select = row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()));
    if let Some(after) = &slice.after {
        select = select.filter(row::Column::Name.gt(after));
    }
    let rows = select
        .order_by_asc(row::Column::Name)
        .limit(slice.limit)
        .all(connection)
        .await
        .map_err(StoreError::at("list users"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

pub(crate) async fn get_by_name(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    name: &UserName,
) -> Result<User, StoreError> {
    let found = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Name.eq(name.as_str()))
        .one(connection)
        .await
        .map_err(StoreError::at("read a user"))?;
    found.map(from_row).transpose()?.ok_or_else(|| absent(name))
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

fn absent(name: &UserName) -> StoreError {
    IdentityRefused::NotExist { entity: Thing::User, name: name.to_string() }.into()
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
