//! Table `unclaimed_objects`: objects that an agent was permitted to write and that no recording has claimed yet.

use domain::store_location::{BucketName, StoreLocation};
use domain::unclaimed::UnclaimedObject;
use domain::{AccountId, AgentId, Timestamp};
use recording::{EvidenceName, ObjectName};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use super::{Reading, column_number};
use crate::dialect::Dialect;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "unclaimed_objects")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub bucket: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub region: String,
        pub account_id: String,
        pub agent_id: String,
        pub token: String,
        pub evidence: String,
        pub length: i64,
        pub counted_bytes: i64,
        pub permitted_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// When a write or a claim of the object was last permitted.
pub(crate) async fn permitted_at(
    connection: &impl ConnectionTrait,
    bucket: &BucketName,
    name: &ObjectName,
) -> Result<Option<Timestamp>, StoreError> {
    let found = row::Entity::find_by_id((bucket.as_str().to_owned(), name.as_str().to_owned()))
        .one(connection)
        .await
        .map_err(StoreError::at("look for an unclaimed object"))?;
    Ok(found.map(|model| Timestamp::from_millis(model.permitted_at)))
}

/// The bytes that an agent's unclaimed objects count as, except this one.
pub(crate) async fn counted_bytes_beside(
    connection: &impl ConnectionTrait,
    object: &UnclaimedObject,
) -> Result<u64, StoreError> {
    // Added up by the database: there may be thousands, and the calls of a group wait meanwhile. In PostgreSQL and MariaDB the
    // sum of BIGINTs is a NUMERIC.
    let bytes = Expr::col(row::Column::CountedBytes);
    let this = Condition::all()
        .add(row::Column::Bucket.eq(object.location.bucket.as_str()))
        .add(row::Column::Name.eq(object.name.as_str()));
    let found: Option<Option<i64>> = row::Entity::find()
        .filter(row::Column::AgentId.eq(object.agent.as_str()))
        .filter(this.not())
        .select_only()
        .column_as(bytes.sum().cast_as(Dialect::of(connection).whole_number()), "others")
        .into_tuple()
        .one(connection)
        .await
        .map_err(StoreError::at("add up unclaimed objects"))?;
    Ok(found.flatten().map_or(0, |bytes| u64::try_from(bytes).unwrap_or(0)))
}

/// Notes that the object may be written from now on.
pub(crate) async fn put(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    object: &UnclaimedObject,
    now: Timestamp,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        bucket: Set(object.location.bucket.as_str().to_owned()),
        name: Set(object.name.as_str().to_owned()),
        region: Set(object.location.region.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        agent_id: Set(object.agent.as_str().to_owned()),
        token: Set(object.recording.as_str().to_owned()),
        evidence: Set(object.evidence.to_string()),
        length: Set(column_number(object.length)),
        counted_bytes: Set(column_number(object.counted_bytes())),
        permitted_at: Set(now.as_millis()),
    };
    let again = OnConflict::columns([row::Column::Bucket, row::Column::Name])
        .update_columns([
            row::Column::Region,
            row::Column::AgentId,
            row::Column::Token,
            row::Column::Evidence,
            row::Column::Length,
            row::Column::CountedBytes,
            row::Column::PermittedAt,
        ])
        .to_owned();
    row::Entity::insert(model)
        .on_conflict(again)
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("note an unclaimed object"))
}

/// Forgets an object that was claimed or removed.
pub(crate) async fn remove(
    transaction: &DatabaseTransaction,
    bucket: &BucketName,
    name: &ObjectName,
) -> Result<(), StoreError> {
    row::Entity::delete_by_id((bucket.as_str().to_owned(), name.as_str().to_owned()))
        .exec(transaction)
        .await
        .map(drop)
        .map_err(StoreError::at("forget an unclaimed object"))
}

/// The account's object that has waited longest, if it was permitted before `before`. It is locked until the transaction
/// ends, so that nobody else permits or claims it.
pub(crate) async fn oldest_locked(
    transaction: &DatabaseTransaction,
    account: &AccountId,
    before: Timestamp,
    skip: u64,
) -> Result<Option<UnclaimedObject>, StoreError> {
    let found = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::PermittedAt.lt(before.as_millis()))
        .order_by_asc(row::Column::PermittedAt)
        .order_by_asc(row::Column::Name)
        .offset(skip)
        .limit(1)
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(StoreError::at("find unclaimed objects"))?;
    Ok(found.map(|model| from_row(&model, account)).transpose()?)
}

fn from_row(model: &row::Model, account: &AccountId) -> Result<UnclaimedObject, CorruptRow> {
    let reading = Reading { table: "unclaimed_objects", id: &model.name };
    Ok(UnclaimedObject {
        location: StoreLocation {
            region: reading.text("region", &model.region)?,
            bucket: reading.text("bucket", &model.bucket)?,
            expected_owner: account.clone(),
        },
        name: reading.text("name", &model.name)?,
        agent: reading.text::<AgentId>("agent_id", &model.agent_id)?,
        recording: reading.text("token", &model.token)?,
        evidence: EvidenceName::parse(&model.evidence)
            .ok_or_else(|| reading.corrupt("evidence", "it names no evidence of a recording"))?,
        length: reading.number("length", model.length)?,
    })
}
