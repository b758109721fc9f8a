//! Table `account_settings`: the settings of an account. An account without a row has the defaults.

use domain::AccountId;
use domain::identity::{
    AccountSettings, Entity as Thing, IdentityRefused, MinimumPasswordLength, PasswordPolicy,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::Reading;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "account_settings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        pub alias: Option<String>,
        pub minimum_password_length: i64,
        pub require_lowercase: bool,
        pub require_uppercase: bool,
        pub require_numbers: bool,
        pub require_symbols: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The settings, if any were ever made.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Option<AccountSettings>, StoreError> {
    let found = row::Entity::find_by_id(account.as_str())
        .one(connection)
        .await
        .map_err(StoreError::at("read the settings of an account"))?;
    Ok(found.map(from_row).transpose()?)
}

/// Writes the first settings of an account.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    settings: &AccountSettings,
) -> Result<(), StoreError> {
    let AccountSettings { alias, password_policy: policy } = settings;
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        alias: Set(alias.as_ref().map(ToString::to_string)),
        minimum_password_length: Set(policy.minimum_length.characters().into()),
        require_lowercase: Set(policy.require_lowercase),
        require_uppercase: Set(policy.require_uppercase),
        require_numbers: Set(policy.require_numbers),
        require_symbols: Set(policy.require_symbols),
    };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::taken(|| taken(settings), STEP))
}

/// Writes changed settings.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    settings: &AccountSettings,
) -> Result<(), StoreError> {
    let AccountSettings { alias, password_policy: policy } = settings;
    row::Entity::update_many()
        .col_expr(row::Column::Alias, Expr::value(alias.as_ref().map(ToString::to_string)))
        .col_expr(
            row::Column::MinimumPasswordLength,
            Expr::value(i64::from(policy.minimum_length.characters())),
        )
        .col_expr(row::Column::RequireLowercase, Expr::value(policy.require_lowercase))
        .col_expr(row::Column::RequireUppercase, Expr::value(policy.require_uppercase))
        .col_expr(row::Column::RequireNumbers, Expr::value(policy.require_numbers))
        .col_expr(row::Column::RequireSymbols, Expr::value(policy.require_symbols))
        .filter(row::Column::AccountId.eq(account.as_str()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::taken(|| taken(settings), STEP))
}

const STEP: &str = "write the settings of an account";

/// The error when another account of the deployment has the alias.
fn taken(settings: &AccountSettings) -> IdentityRefused {
    let alias = settings.alias.as_ref().map(ToString::to_string);
    IdentityRefused::already_exists(Thing::AccountAlias, alias.unwrap_or_default())
}

fn from_row(model: row::Model) -> Result<AccountSettings, CorruptRow> {
    let reading = Reading { table: "account_settings", id: &model.account_id };
    let minimum_length = MinimumPasswordLength::new(model.minimum_password_length);
    let password_policy = PasswordPolicy {
        minimum_length: minimum_length
            .ok_or_else(|| reading.corrupt("minimum_password_length", "it is outside of its range"))?,
        require_lowercase: model.require_lowercase,
        require_uppercase: model.require_uppercase,
        require_numbers: model.require_numbers,
        require_symbols: model.require_symbols,
    };
    let alias = model.alias.as_deref().map(|alias| reading.text("alias", alias)).transpose()?;
    Ok(AccountSettings { alias, password_policy })
}
