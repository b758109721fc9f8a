//! Table `group_members`: which users are in which groups.

use domain::AccountId;
use domain::identity::UserId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, Select};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "group_members")]
    pub struct Model {
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub group_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: String,
        pub joined_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The ids of the groups that a user is in, as a subquery.
pub(crate) fn groups_of(account: &AccountId, user: &UserId) -> Select<row::Entity> {
    row::Entity::find()
        .select_only()
        .column(row::Column::GroupId)
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::UserId.eq(user.as_str()))
}
