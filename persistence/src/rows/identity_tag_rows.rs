//! Table `identity_tags`: the tags of roles and policies.

use std::collections::BTreeMap;

use domain::AccountId;
use domain::identity::{EntityTags, TagFilter, TagOfEntity, Taggable, TaggableKind};
use sea_orm::sea_query::SelectStatement;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::Reading;
use crate::pages::Slice;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "identity_tags")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tag_key: String,
        pub tag_value: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The tags of one role or policy.
pub(crate) async fn of(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    of: &Taggable,
) -> Result<EntityTags, StoreError> {
    let mut found = of_names(connection, account, of.kind(), [of.name()]).await?;
    Ok(found.remove(of.name()).unwrap_or_default())
}

/// The tags of the roles or policies of these names that have any.
pub(crate) async fn of_names<'n>(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    kind: TaggableKind,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<BTreeMap<String, EntityTags>, StoreError> {
    let rows = of_kind(account, kind)
        .filter(row::Column::Name.is_in(names))
        .all(connection)
        .await
        .map_err(StoreError::at("read tags"))?;
    let mut tags: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for model in rows {
        tags.entry(model.name).or_default().push((model.tag_key, model.tag_value));
    }
    let read = |(name, tags): (String, Vec<(String, String)>)| {
        let reading = Reading { table: "identity_tags", id: &name };
        let tags = EntityTags::new(tags).map_err(|why| reading.corrupt("tag_key", why))?;
        Ok((name, tags))
    };
    Ok(tags.into_iter().map(read).collect::<Result<_, CorruptRow>>()?)
}

/// A part of the tags of a kind, by name and key, after the cursor: the name of the last entry that was shown, and how
/// many of its tags were.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    kind: TaggableKind,
    names: Option<&[String]>,
    filter: &TagFilter,
    slice: &Slice,
) -> Result<Vec<TagOfEntity>, StoreError> {
    let of_names = || {
        let select = of_kind(account, kind)
            .filter(with_tags(account, kind, filter, row::Column::Name))
            .order_by_asc(row::Column::Name)
            .order_by_asc(row::Column::TagKey)
            .limit(slice.limit);
        match names {
            Some(names) => select.filter(row::Column::Name.is_in(names)),
            None => select,
        }
    };
    let listing = || StoreError::at("list tags");
    let mut rows = Vec::new();
    let mut rest = of_names();
    if let Some(after) = &slice.after {
        // The rest of the last entry is read by itself: if that entry is gone, nothing of the next one is passed over.
        let last = of_names().filter(row::Column::Name.eq(after.id.as_str()));
        let shown = u64::try_from(after.at).unwrap_or_default();
        rows = last.offset(shown).all(connection).await.map_err(listing())?;
        rest = rest.filter(row::Column::Name.gt(after.id.as_str()));
    }
    let room = slice.limit.saturating_sub(rows.len() as u64);
    rows.extend(rest.limit(room).all(connection).await.map_err(listing())?);
    let tag =
        |model: row::Model| TagOfEntity { name: model.name, key: model.tag_key, value: model.tag_value };
    Ok(rows.into_iter().map(tag).collect())
}

/// Selects by this column, which holds names, what has all tags of the filter.
pub(super) fn with_tags(
    account: &AccountId,
    kind: TaggableKind,
    filter: &TagFilter,
    names: impl ColumnTrait,
) -> Condition {
    filter.iter().fold(Condition::all(), |all, (key, value)| {
        let mut having = of_kind(account, kind).filter(row::Column::TagKey.eq(key));
        if let Some(value) = value {
            having = having.filter(row::Column::TagValue.eq(value));
        }
        let having: SelectStatement = having.select_only().column(row::Column::Name).into_query();
        all.add(names.in_subquery(having))
    })
}

/// Replaces all tags of a role or policy. The caller holds the lock of its row.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    of: &Taggable,
    tags: &EntityTags,
) -> Result<(), StoreError> {
    delete(transaction, account, of).await?;
    let rows: Vec<_> = tags
        .iter()
        .map(|(key, value)| row::ActiveModel {
            account_id: Set(account.as_str().to_owned()),
            kind: Set(of.kind().as_str().to_owned()),
            name: Set(of.name().to_owned()),
            tag_key: Set(key.to_owned()),
            tag_value: Set(value.to_owned()),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    row::Entity::insert_many(rows)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("write tags"))
}

/// Removes all tags of a role or policy.
pub(crate) async fn delete(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    of: &Taggable,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Kind.eq(of.kind().as_str()))
        .filter(row::Column::Name.eq(of.name()))
        .exec(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("write tags"))
}

fn of_kind(account: &AccountId, kind: TaggableKind) -> Select<row::Entity> {
    row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Kind.eq(kind.as_str()))
}
