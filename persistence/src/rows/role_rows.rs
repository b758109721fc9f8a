//! Table `roles`.

use domain::identity::{Entity as Thing, Role, RoleId, RoleName, TagFilter, TaggableKind};
use domain::role::MaxSessionDuration;
use domain::{AccountId, Timestamp};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ConnectionTrait, QueryFilter};

use super::identity_tag_rows::with_tags;
use super::named::{NamedRows, NamedTable, Steps, of_account, part, several};
use super::{Reading, column_text};
use crate::markers::NameSlice;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "roles")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub role_id: String,
        pub account_id: String,
        pub name: String,
        pub description: String,
        pub trust_policy: String,
        pub max_session_seconds: i64,
        pub created_at: i64,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The rows of roles.
pub(crate) type Roles = NamedRows<row::Entity>;

/// A part of the roles that have these tags, by name.
pub(crate) async fn list_with_tags(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    filter: &TagFilter,
    slice: &NameSlice,
) -> Result<Vec<Role>, StoreError> {
    let having = with_tags(account, TaggableKind::Role, filter, row::Column::Name);
    several(connection, part(of_account::<row::Entity>(account).filter(having), slice)).await
}

impl NamedTable for row::Entity {
    type Named = Role;
    type Id = RoleId;
    type Name = RoleName;

    const THING: Thing = Thing::Role;
    const STEPS: Steps = Steps {
        write: "write a role",
        read: "read a role",
        list: "list roles",
        count: "count roles",
        delete: "delete a role",
        has: "it has sessions or policies",
    };
    const ACCOUNT: row::Column = row::Column::AccountId;
    const ID: row::Column = row::Column::RoleId;
    const NAME: row::Column = row::Column::Name;

    fn id(role: &Role) -> &RoleId {
        &role.id
    }

    fn name(role: &Role) -> &RoleName {
        &role.name
    }

    fn to_row(account: &AccountId, role: &Role) -> row::ActiveModel {
        row::ActiveModel {
            role_id: Set(role.id.as_str().to_owned()),
            account_id: Set(account.as_str().to_owned()),
            name: Set(role.name.as_str().to_owned()),
            description: Set(column_text(&role.description)),
            trust_policy: Set(role.trust_policy.clone()),
            max_session_seconds: Set(role.max_session_duration.seconds().into()),
            created_at: Set(role.created_at.as_millis()),
            changed_at: Set(role.changed_at.as_millis()),
        }
    }

    /// The name of a role cannot change.
    fn changed(role: &Role) -> Vec<(row::Column, SimpleExpr)> {
        vec![
            (row::Column::Description, Expr::value(column_text(&role.description))),
            (row::Column::TrustPolicy, Expr::value(role.trust_policy.as_str())),
            (row::Column::MaxSessionSeconds, Expr::value(i64::from(role.max_session_duration.seconds()))),
            (row::Column::ChangedAt, Expr::value(role.changed_at.as_millis())),
        ]
    }

    fn from_row(model: row::Model) -> Result<Role, CorruptRow> {
        let reading = Reading { table: "roles", id: &model.role_id };
        let longest = MaxSessionDuration::from_seconds(model.max_session_seconds);
        Ok(Role {
            id: reading.text("role_id", &model.role_id)?,
            name: reading.text("name", &model.name)?,
            description: model.description,
            trust_policy: model.trust_policy,
            max_session_duration: longest.map_err(|why| reading.corrupt("max_session_seconds", why))?,
            created_at: Timestamp::from_millis(model.created_at),
            changed_at: Timestamp::from_millis(model.changed_at),
        })
    }
}
