//! Table `users`.

use domain::identity::{Entity as Thing, GroupId, User, UserId, UserName, UserProfile};
use domain::{AccountId, Timestamp};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, QueryFilter, QueryTrait};

use super::named::{NamedRows, NamedTable, Steps, of_account, part, several};
use super::{Reading, column_text, group_member_rows};
use crate::markers::NameSlice;
use crate::{CorruptRow, StoreError};

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

/// The rows of users.
pub(crate) type Users = NamedRows<row::Entity>;

impl Users {
    /// A part of the list of a group's users, by name.
    pub(crate) async fn list_of_group(
        connection: &impl ConnectionTrait,
        account: &AccountId,
        group: &GroupId,
        slice: &NameSlice,
    ) -> Result<Vec<User>, StoreError> {
        let ids = group_member_rows::users_of(account, group).into_query();
        let members = of_account::<row::Entity>(account).filter(row::Column::UserId.in_subquery(ids));
        several(connection, part(members, slice)).await
    }
}

impl NamedTable for row::Entity {
    type Named = User;
    type Id = UserId;
    type Name = UserName;

    const THING: Thing = Thing::User;
    const STEPS: Steps = Steps {
        write: "write a user",
        read: "read a user",
        list: "list users",
        count: "count users",
        delete: "delete a user",
        has: "it has access keys, groups or policies",
    };
    const ACCOUNT: row::Column = row::Column::AccountId;
    const ID: row::Column = row::Column::UserId;
    const NAME: row::Column = row::Column::Name;

    fn id(user: &User) -> &UserId {
        &user.id
    }

    fn name(user: &User) -> &UserName {
        &user.name
    }

    fn to_row(account: &AccountId, user: &User) -> row::ActiveModel {
        row::ActiveModel {
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
        }
    }

    fn changed(user: &User) -> Vec<(row::Column, SimpleExpr)> {
        let UserProfile { display_name, mobile_phone, email, comments } = &user.profile;
        vec![
            (row::Column::Name, Expr::value(user.name.as_str())),
            (row::Column::DisplayName, Expr::value(column_text(display_name))),
            (row::Column::MobilePhone, Expr::value(column_text(mobile_phone))),
            (row::Column::Email, Expr::value(column_text(email))),
            (row::Column::Comments, Expr::value(column_text(comments))),
            (row::Column::ChangedAt, Expr::value(user.changed_at.as_millis())),
        ]
    }

    fn from_row(model: row::Model) -> Result<User, CorruptRow> {
        let reading = Reading { table: "users", id: &model.user_id };
        Ok(User {
            id: reading.text("user_id", &model.user_id)?,
            name: reading.text("name", &model.name)?,
            created_at: Timestamp::from_millis(model.created_at),
            // Rows that are older than this column have never been changed.
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
}
