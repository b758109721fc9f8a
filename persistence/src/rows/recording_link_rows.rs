//! Table `recording_links`: what ties an agent's recordings to each other, according to `start.json` and the manifests.
//! It is kept so that these need not be read again, and a row stays when the recording's row is removed.

use domain::{AccountId, TerminalSessionToken};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{Reading, column_number};
use crate::{CorruptRow, RecordingLink, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recording_links")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token: String,
        pub account_id: String,
        pub number: i64,
        pub follows_at_start: Option<String>,
        pub manifest_sha256: Option<String>,
        pub follows: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Stores a link; what the manifest states is added to what `start.json` stated.
pub(crate) async fn put(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    link: &RecordingLink,
) -> Result<(), StoreError> {
    let model = row::ActiveModel {
        token: Set(link.token.as_str().to_owned()),
        account_id: Set(account.as_str().to_owned()),
        number: Set(column_number(link.number)),
        follows_at_start: Set(link.follows_at_start.map(String::from)),
        manifest_sha256: Set(link.manifest_sha256.map(String::from)),
        follows: Set(link.follows.map(String::from)),
    };
    row::Entity::insert(model)
        .on_conflict(
            OnConflict::column(row::Column::Token)
                .update_columns([row::Column::ManifestSha256, row::Column::Follows])
                .to_owned(),
        )
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("keep what ties recordings"))
}

/// The account's links after a token, in order, each with its token. A link that cannot be read counts as missing: it
/// only saves reading the objects.
pub(crate) async fn after(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    token: &str,
    limit: u64,
) -> Result<Vec<(String, Option<RecordingLink>)>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Token.gt(token))
        .order_by_asc(row::Column::Token)
        .limit(limit)
        .all(connection)
        .await
        .map_err(StoreError::at("read what ties recordings"))?;
    Ok(rows.into_iter().map(|model| (model.token.clone(), from_row(model).ok())).collect())
}

fn from_row(model: row::Model) -> Result<RecordingLink, CorruptRow> {
    let reading = Reading { table: "recording_links", id: &model.token };
    let token: TerminalSessionToken = reading.text("token", &model.token)?;
    let number = reading.number("number", model.number)?;
    Ok(RecordingLink {
        token,
        number,
        follows_at_start: reading.optional_text("follows_at_start", model.follows_at_start.as_deref())?,
        manifest_sha256: reading.optional_text("manifest_sha256", model.manifest_sha256.as_deref())?,
        follows: reading.optional_text("follows", model.follows.as_deref())?,
    })
}
