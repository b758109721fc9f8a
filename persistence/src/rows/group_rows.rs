//! Table `groups`.

use domain::identity::{Entity as Thing, Group, GroupId, GroupName, UserId};
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, QueryFilter, QueryTrait};

use super::named::{NamedRows, NamedTable, Steps, of_account, several};
use super::{Reading, column_text, group_member_rows};
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "groups")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub group_id: String,
        pub account_id: String,
        pub name: String,
        pub comments: String,
        pub created_at: i64,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The rows of groups.
pub(crate) type Groups = NamedRows<row::Entity>;

impl Groups {
    /// The groups that a user is in, by name.
    pub(crate) async fn of_user(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        user: &UserId,
    ) -> Result<Vec<Group>, StoreError> {
        let ids = group_member_rows::groups_of(account, user).into_query();
        let groups = of_account::<row::Entity>(account).filter(row::Column::GroupId.in_subquery(ids));
        several(connection, groups).await
    }
}

impl NamedTable for row::Entity {
    type Named = Group;
    type Id = GroupId;
    type Name = GroupName;

    const THING: Thing = Thing::Group;
    const STEPS: Steps = Steps {
        write: "write a group",
        read: "read a group",
        list: "list groups",
        count: "count groups",
        delete: "delete a group",
        has: "it has users or policies",
    };
    const ACCOUNT: row::Column = row::Column::AccountId;
    const ID: row::Column = row::Column::GroupId;
    const NAME: row::Column = row::Column::Name;

    fn id(group: &Group) -> &GroupId {
        &group.id
    }

    fn name(group: &Group) -> &GroupName {
        &group.name
    }

    fn to_row(account: &AccountId, group: &Group) -> row::ActiveModel {
        row::ActiveModel {
            group_id: Set(group.id.as_str().to_owned()),
            account_id: Set(account.as_str().to_owned()),
            name: Set(group.name.as_str().to_owned()),
            comments: Set(column_text(&group.comments)),
            created_at: Set(group.created_at.as_millis()),
            changed_at: Set(group.changed_at.as_millis()),
        }
    }

    fn changed(group: &Group) -> Vec<(row::Column, SimpleExpr)> {
        vec![
            (row::Column::Name, Expr::value(group.name.as_str())),
            (row::Column::Comments, Expr::value(column_text(&group.comments))),
            (row::Column::ChangedAt, Expr::value(group.changed_at.as_millis())),
        ]
    }

    fn from_row(model: row::Model) -> Result<Group, CorruptRow> {
        let reading = Reading { table: "groups", id: &model.group_id };
        Ok(Group {
            id: reading.text("group_id", &model.group_id)?,
            name: reading.text("name", &model.name)?,
            comments: model.comments,
            created_at: Timestamp::from_millis(model.created_at),
            changed_at: Timestamp::from_millis(model.changed_at),
        })
    }
}
