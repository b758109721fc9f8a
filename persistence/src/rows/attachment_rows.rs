//! Table `attachments`: which policies a user, a group or a role has.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::identity::{
    Attachment, AttachmentTarget, IdentityRefused, PolicyDetached, PolicyKind, PolicyName, PolicyRef,
};
use domain::{AccountId, Timestamp, system_policies};
use policies::DocumentKind;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};

use super::policy_rows::{row as policy, version};
use super::{Reading, group_member_rows};
use crate::compiled_policies::{CompiledPolicies, NamedDocuments};
use crate::dialect::insert_unless_taken;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "attachments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub target_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub policy_kind: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub policy_name: String,
        pub user_id: Option<String>,
        pub group_id: Option<String>,
        pub role_id: Option<String>,
        pub custom_policy: Option<String>,
        pub attached_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The table's name, for queries that join with it.
pub(super) const TABLE: &str = "attachments";

/// Attaches a policy; the caller has checked that policy and target exist. A policy that is already attached is refused.
pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    attachment: &Attachment,
) -> Result<(), StoreError> {
    let Attachment { target, policy, attached_at } = attachment;
    let id = |is_it| Set(if is_it { Some(target.id().to_owned()) } else { None });
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        target_id: Set(target.id().to_owned()),
        policy_kind: Set(policy.kind.as_str().to_owned()),
        policy_name: Set(policy.name.as_str().to_owned()),
        user_id: id(matches!(target, AttachmentTarget::User(_))),
        group_id: id(matches!(target, AttachmentTarget::Group(_))),
        role_id: id(matches!(target, AttachmentTarget::Role(_))),
        custom_policy: Set((policy.kind == PolicyKind::Custom).then(|| policy.name.as_str().to_owned())),
        attached_at: Set(attached_at.as_millis()),
    };
    let key =
        [row::Column::AccountId, row::Column::TargetId, row::Column::PolicyKind, row::Column::PolicyName];
    let inserted = insert_unless_taken(connection, row::Entity::insert(model), key).await.map_err(
        StoreError::referenced(
            "attachment",
            "the policy or its target was deleted at the same moment",
            "attach a policy",
        ),
    )?;
    if inserted {
        return Ok(());
    }
    Err(IdentityRefused::already_exists(target.attachment(), &policy.name).into())
}

/// Detaches a policy.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    detached: &PolicyDetached,
) -> Result<(), StoreError> {
    let PolicyDetached { target, policy } = detached;
    let key = (
        account.as_str().to_owned(),
        target.id().to_owned(),
        policy.kind.as_str().to_owned(),
        policy.name.as_str().to_owned(),
    );
    row::Entity::delete_by_id(key).exec(connection).await.map(drop).map_err(StoreError::at("detach a policy"))
}

/// Detaches everything from one target.
pub(crate) async fn delete_of_target(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    target: &AttachmentTarget,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::TargetId.eq(target.id()))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("detach all policies"))
}

/// The attachments of one target, by kind and name.
pub(crate) async fn of_target(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    target: &AttachmentTarget,
) -> Result<Vec<Attachment>, StoreError> {
    read(connection, of_account(account).filter(row::Column::TargetId.eq(target.id()))).await
}

/// How many users, groups and roles have each of these policies; policies that nobody has are left out.
pub(crate) async fn counts(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    kind: PolicyKind,
    names: impl IntoIterator<Item = &PolicyName>,
) -> Result<BTreeMap<String, u64>, StoreError> {
    let counted: Vec<(String, i64)> = of_account(account)
        .filter(row::Column::PolicyKind.eq(kind.as_str()))
        .filter(row::Column::PolicyName.is_in(names.into_iter().map(PolicyName::as_str)))
        .select_only()
        .column(row::Column::PolicyName)
        .column_as(row::Column::TargetId.count(), "attached")
        .group_by(row::Column::PolicyName)
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("count attachments"))?;
    Ok(counted.into_iter().map(|(name, count)| (name, u64::try_from(count).unwrap_or(0))).collect())
}

/// The policy documents that apply to a user, its own and those of its groups, or to a role. A document that cannot be
/// read is an error, not an absence: it might deny.
pub(crate) async fn documents_of(
    connection: &impl ConnectionTrait,
    compiled: &CompiledPolicies,
    account: &AccountId,
    target: &AttachmentTarget,
) -> Result<NamedDocuments, StoreError> {
    #[derive(FromQueryResult)]
    struct Attached {
        policy_kind: String,
        policy_name: String,
        document: Option<String>,
    }
    let mut bearers = sea_orm::Condition::any().add(row::Column::TargetId.eq(target.id()));
    if let AttachmentTarget::User(user) = target {
        bearers = bearers
            .add(row::Column::TargetId.in_subquery(group_member_rows::groups_of(account, user).into_query()));
    }
    let same_policy = policy::Column::AccountId
        .into_expr()
        .eq(row::Column::AccountId.into_expr())
        .and(policy::Column::Name.into_expr().eq(row::Column::CustomPolicy.into_expr()));
    let deciding = version::Column::AccountId
        .into_expr()
        .eq(policy::Column::AccountId.into_expr())
        .and(version::Column::PolicyName.into_expr().eq(policy::Column::Name.into_expr()))
        .and(version::Column::Version.into_expr().eq(policy::Column::DefaultVersion.into_expr()));
    let mut query = of_account(account)
        .filter(bearers)
        .select_only()
        .distinct()
        .column(row::Column::PolicyKind)
        .column(row::Column::PolicyName)
        .column(version::Column::Document)
        .order_by_asc(row::Column::PolicyKind)
        .order_by_asc(row::Column::PolicyName)
        .into_query();
    query.join(sea_orm::JoinType::LeftJoin, policy::Entity, same_policy).join(
        sea_orm::JoinType::LeftJoin,
        version::Entity,
        deciding,
    );
    let statement = connection.get_database_backend().build(&query);
    let attached = Attached::find_by_statement(statement)
        .all(connection)
        .await
        .map_err(StoreError::at("read the policies of a principal"))?;
    let mut documents = Vec::with_capacity(attached.len());
    for Attached { policy_kind, policy_name, document } in attached {
        let corrupt = |why: String| CorruptRow {
            table: "attachments",
            column: "policy_name",
            id: format!("{account} {} {policy_kind} {policy_name}", target.id()),
            why,
        };
        let text = match (policy_kind.parse(), document) {
            (Ok(PolicyKind::System), _) => system_policies::find(&policy_name)
                .map(|policy| policy.document.to_owned())
                .ok_or_else(|| corrupt("there is no such system policy".to_owned()))?,
            (Ok(PolicyKind::Custom), Some(document)) => document,
            (Ok(PolicyKind::Custom), None) => {
                return Err(corrupt("the policy has no deciding version".to_owned()).into());
            }
            (Err(error), _) => return Err(corrupt(error.to_string()).into()),
        };
        let document = compiled.document(text, DocumentKind::Identity).map_err(|why| CorruptRow {
            table: "policy_versions",
            column: "document",
            id: format!("{account} {policy_name}"),
            why: why.to_string(),
        })?;
        documents.push((Arc::from(policy_name), document));
    }
    Ok(documents)
}

fn of_account(account: &AccountId) -> sea_orm::Select<row::Entity> {
    row::Entity::find().filter(row::Column::AccountId.eq(account.as_str()))
}

async fn read(
    connection: &impl ConnectionTrait,
    select: sea_orm::Select<row::Entity>,
) -> Result<Vec<Attachment>, StoreError> {
    let rows = select
        .order_by_asc(row::Column::PolicyKind)
        .order_by_asc(row::Column::PolicyName)
        .order_by_asc(row::Column::TargetId)
        .all(connection)
        .await
        .map_err(StoreError::at("list attachments"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

fn from_row(model: row::Model) -> Result<Attachment, CorruptRow> {
    let id = format!("{} {} {}", model.account_id, model.target_id, model.policy_name);
    let reading = Reading { table: "attachments", id: &id };
    let target = match (&model.user_id, &model.group_id, &model.role_id) {
        (Some(user), None, None) => AttachmentTarget::User(reading.text("user_id", user)?),
        (None, Some(group), None) => AttachmentTarget::Group(reading.text("group_id", group)?),
        (None, None, Some(role)) => AttachmentTarget::Role(reading.text("role_id", role)?),
        _ => return Err(reading.corrupt("target_id", "it is not one user, group or role")),
    };
    let policy = PolicyRef {
        kind: reading.text("policy_kind", &model.policy_kind)?,
        name: reading.text::<PolicyName>("policy_name", &model.policy_name)?,
    };
    Ok(Attachment { target, policy, attached_at: Timestamp::from_millis(model.attached_at) })
}

/// Whether anything is attached to the target.
pub(crate) async fn has_any(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    target: &AttachmentTarget,
) -> Result<bool, StoreError> {
    let found = of_account(account)
        .filter(row::Column::TargetId.eq(target.id()))
        .select_only()
        .column_as(Expr::val(1), "one")
        .limit(1)
        .into_tuple::<i32>()
        .one(connection)
        .await
        .map_err(StoreError::at("look for attachments"))?;
    Ok(found.is_some())
}
