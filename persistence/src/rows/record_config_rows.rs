//! Table `record_configs`: the configurations that were set, for `*` and for single instances.

use domain::expiration::ExpirationDays;
use domain::record_config::{InstanceSelector, RecordConfig};
use domain::session_settings::{Notice, NoticeKind, SessionSettings};
use domain::storage_target::RecordStorageTarget;
use domain::{AccountId, Timestamp};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::Reading;
use crate::{CorruptRow, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "record_configs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub selector: String,
        pub enabled: bool,
        pub target: Option<String>,
        pub expiration_days: i64,
        pub failure_policy: Option<String>,
        pub delivery_mode: Option<String>,
        pub recorded_principals: Option<String>,
        pub notice: Option<String>,
        pub notice_text: Option<String>,
        pub revision: i64,
        pub changed_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The configurations of `selectors` that were set.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    selectors: &[&InstanceSelector],
) -> Result<Vec<RecordConfig>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::Selector.is_in(selectors.iter().map(|selector| selector.as_str())))
        .all(connection)
        .await
        .map_err(StoreError::at("read a configuration"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// All configurations of an account.
pub(crate) async fn of_account(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<RecordConfig>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .all(connection)
        .await
        .map_err(StoreError::at("read the configurations of an account"))?;
    Ok(rows.into_iter().map(from_row).collect::<Result<_, _>>()?)
}

/// Writes a new configuration, unless the stored revision differs from `expected_revision`.
pub(crate) async fn compare_and_swap(
    connection: &impl ConnectionTrait,
    expected_revision: Option<i64>,
    after: &RecordConfig,
) -> Result<(), StoreError> {
    const OTHER: &str = "another change of this configuration came first; read it again";
    let model = to_row(after);
    let Some(expected) = expected_revision else {
        return row::Entity::insert(model.into_active_model())
            .exec_without_returning(connection)
            .await
            .map(drop)
            .map_err(StoreError::unique("RecordConfig", OTHER, "write a configuration"));
    };
    let changed = row::Entity::update_many()
        .set(row::ActiveModel {
            enabled: Set(model.enabled),
            target: Set(model.target),
            expiration_days: Set(model.expiration_days),
            failure_policy: Set(model.failure_policy),
            delivery_mode: Set(model.delivery_mode),
            recorded_principals: Set(model.recorded_principals),
            notice: Set(model.notice),
            notice_text: Set(model.notice_text),
            revision: Set(model.revision),
            changed_at: Set(model.changed_at),
            ..Default::default()
        })
        .filter(row::Column::AccountId.eq(model.account_id))
        .filter(row::Column::Selector.eq(model.selector))
        .filter(row::Column::Revision.eq(expected))
        .exec(connection)
        .await
        .map_err(StoreError::at("write a configuration"))?;
    match changed.rows_affected {
        1 => Ok(()),
        _ => Err(StoreError::Conflict { what: "RecordConfig", why: OTHER }),
    }
}

fn to_row(config: &RecordConfig) -> row::Model {
    let SessionSettings { failure_policy, delivery_mode, recorded_principals, notice } = &config.settings;
    row::Model {
        account_id: config.account.as_str().to_owned(),
        selector: config.selector.as_str().to_owned(),
        enabled: config.enabled,
        target: config.target.as_ref().map(ToString::to_string),
        expiration_days: i64::from(config.expiration.get()),
        failure_policy: failure_policy.map(|policy| policy.as_str().to_owned()),
        delivery_mode: delivery_mode.map(|mode| mode.as_str().to_owned()),
        recorded_principals: recorded_principals.as_ref().map(ToString::to_string),
        notice: notice.as_ref().map(|notice| notice.kind().as_str().to_owned()),
        notice_text: match notice {
            Some(Notice::Text(text)) => Some(text.as_str().to_owned()),
            Some(Notice::Default | Notice::None) | None => None,
        },
        revision: config.revision,
        changed_at: config.changed_at.as_millis(),
    }
}

fn from_row(model: row::Model) -> Result<RecordConfig, CorruptRow> {
    let id = format!("{} {}", model.account_id, model.selector);
    let reading = Reading { table: "record_configs", id: &id };
    let account: AccountId = reading.text("account_id", &model.account_id)?;
    let target = model
        .target
        .map(|text| RecordStorageTarget::parse(&text, &account).map_err(|why| reading.corrupt("target", why)))
        .transpose()?;
    if model.enabled && target.is_none() {
        return Err(reading.corrupt("target", "recording is on, and there is no target"));
    }
    Ok(RecordConfig {
        selector: InstanceSelector::parse(&model.selector).map_err(|why| reading.corrupt("selector", why))?,
        enabled: model.enabled,
        target,
        expiration: ExpirationDays::new(model.expiration_days)
            .map_err(|why| reading.corrupt("expiration_days", why))?,
        settings: SessionSettings {
            failure_policy: reading.optional_text("failure_policy", model.failure_policy.as_deref())?,
            delivery_mode: reading.optional_text("delivery_mode", model.delivery_mode.as_deref())?,
            recorded_principals: reading
                .optional_text("recorded_principals", model.recorded_principals.as_deref())?,
            notice: read_notice(&reading, model.notice.as_deref(), model.notice_text.as_deref())?,
        },
        revision: model.revision,
        changed_at: Timestamp::from_millis(model.changed_at),
        account,
    })
}

fn read_notice(
    reading: &Reading<'_>,
    kind: Option<&str>,
    text: Option<&str>,
) -> Result<Option<Notice>, CorruptRow> {
    let Some(kind) = kind else { return Ok(None) };
    let known = [NoticeKind::Default, NoticeKind::None, NoticeKind::Text];
    let kind = known.into_iter().find(|known| known.as_str() == kind);
    Ok(Some(match kind.ok_or_else(|| reading.corrupt("notice", "it is default, none or text"))? {
        NoticeKind::Default => Notice::Default,
        NoticeKind::None => Notice::None,
        NoticeKind::Text => {
            let text = reading.optional_text("notice_text", text)?;
            Notice::Text(text.ok_or_else(|| reading.corrupt("notice_text", "there is no text"))?)
        }
    }))
}
