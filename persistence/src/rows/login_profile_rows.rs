//! Table `login_profiles`: how users sign in to the console. Only the hash of a password is stored.

use domain::identity::{LoginProfile, StoredLoginProfile, UserId};
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Select};

use super::Reading;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "login_profiles")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        pub account_id: String,
        pub password_hash: String,
        pub password_reset_required: bool,
        pub mfa_bind_required: bool,
        pub created_at: i64,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Writes the profile of a user; the decision has found that the user has none.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
    stored: &StoredLoginProfile,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        user_id: Set(user.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        password_hash: Set(stored.password.as_str().to_owned()),
        password_reset_required: Set(stored.profile.password_reset_required),
        mfa_bind_required: Set(stored.profile.mfa_bind_required),
        created_at: Set(stored.profile.created_at.as_millis()),
        changed_at: Set(stored.changed_at.as_millis()),
    };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("write a login profile"))
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<Option<StoredLoginProfile>, StoreError> {
    let found =
        of_user(account, user).one(connection).await.map_err(StoreError::at("read a login profile"))?;
    Ok(found.map(from_row).transpose()?)
}

/// Writes a changed profile.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
    stored: &StoredLoginProfile,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::PasswordHash, Expr::value(stored.password.as_str()))
        .col_expr(row::Column::PasswordResetRequired, Expr::value(stored.profile.password_reset_required))
        .col_expr(row::Column::MfaBindRequired, Expr::value(stored.profile.mfa_bind_required))
        .col_expr(row::Column::ChangedAt, Expr::value(stored.changed_at.as_millis()))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::UserId.eq(user.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("write a login profile"))
}

pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    user: &UserId,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::UserId.eq(user.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("delete a login profile"))
}

fn of_user(account: &AccountId, user: &UserId) -> Select<row::Entity> {
    row::Entity::find_by_id(user.as_str()).filter(row::Column::AccountId.eq(account.as_str()))
}

fn from_row(model: row::Model) -> Result<StoredLoginProfile, CorruptRow> {
    let reading = Reading { table: "login_profiles", id: &model.user_id };
    Ok(StoredLoginProfile {
        profile: LoginProfile {
            password_reset_required: model.password_reset_required,
            mfa_bind_required: model.mfa_bind_required,
            created_at: Timestamp::from_millis(model.created_at),
        },
        password: reading.text("password_hash", &model.password_hash)?,
        changed_at: Timestamp::from_millis(model.changed_at),
    })
}
