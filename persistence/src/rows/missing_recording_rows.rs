//! Table `missing_recordings`: the recordings that the last check found missing, so that each is reported once, and once
//! more when it is there again.

use std::collections::BTreeMap;

use domain::recording_continuity::{Absence, MissingRecording};
use domain::{AccountId, AgentId, Timestamp};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{Reading, column_number, column_text};
use crate::{CorruptRow, MissingOfAgent, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "missing_recordings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub agent_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub missing_key: String,
        pub instance_id: String,
        pub absence: String,
        pub token: Option<String>,
        pub first_number: Option<i64>,
        pub last_number: Option<i64>,
        pub since: i64,
        pub why: String,
        pub found_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// All missing recordings of an account.
pub(crate) async fn of_account(
    connection: &impl ConnectionTrait,
    account: &AccountId,
) -> Result<Vec<MissingOfAgent>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .all(connection)
        .await
        .map_err(StoreError::at("read missing recordings"))?;
    rows.into_iter().map(|model| Ok(from_row(model)?)).collect()
}

pub(crate) async fn insert(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    of: &MissingOfAgent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let missing = &of.missing;
    let model = row::ActiveModel {
        account_id: Set(account.as_str().to_owned()),
        agent_id: Set(of.agent.as_str().to_owned()),
        missing_key: Set(missing.key.clone()),
        instance_id: Set(of.instance.as_str().to_owned()),
        absence: Set(missing.absence.as_str().to_owned()),
        token: Set(missing.token.as_ref().map(ToString::to_string)),
        first_number: Set(missing.numbers.map(|(first, _)| column_number(first))),
        last_number: Set(missing.numbers.map(|(_, last)| column_number(last))),
        since: Set(missing.since.as_millis()),
        why: Set(column_text(&missing.why)),
        found_at: Set(now.as_millis()),
    };
    row::Entity::insert(model)
        .exec_without_returning(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("write a missing recording"))
}

pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    agent: &AgentId,
    key: &str,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AgentId.eq(agent.as_str()))
        .filter(row::Column::MissingKey.eq(key))
        .exec(connection)
        .await
        .map(drop)
        .map_err(StoreError::at("forget a missing recording"))
}

/// How many recordings of each of these agents are missing, by the certainty of the finding.
pub(crate) async fn count(
    connection: &impl ConnectionTrait,
    account: &AccountId,
    agents: &[&AgentId],
) -> Result<BTreeMap<(String, Absence), u64>, StoreError> {
    let rows: Vec<(String, String, Option<i64>, Option<i64>)> = row::Entity::find()
        .select_only()
        .column(row::Column::AgentId)
        .column(row::Column::Absence)
        .column(row::Column::FirstNumber)
        .column(row::Column::LastNumber)
        .filter(row::Column::AccountId.eq(account.as_str()))
        .filter(row::Column::AgentId.is_in(agents.iter().map(|agent| agent.as_str())))
        .into_tuple()
        .all(connection)
        .await
        .map_err(StoreError::at("count missing recordings"))?;
    let mut counts = BTreeMap::new();
    for (agent, absence, first, last) in rows {
        let reading = Reading { table: "missing_recordings", id: &agent };
        let absence = read_absence(&reading, &absence)?;
        let width = first.zip(last).map_or(1, |(first, last)| last.saturating_sub(first).unsigned_abs() + 1);
        let count: &mut u64 = counts.entry((agent, absence)).or_default();
        *count = count.saturating_add(width);
    }
    Ok(counts)
}

fn read_absence(reading: &Reading<'_>, text: &str) -> Result<Absence, CorruptRow> {
    let known = Absence::ALL.into_iter().find(|absence| absence.as_str() == text);
    known.ok_or_else(|| reading.corrupt("absence", "it is neither Gone nor NotArrived"))
}

fn from_row(model: row::Model) -> Result<MissingOfAgent, CorruptRow> {
    let id = format!("{} {}", model.agent_id, model.missing_key);
    let reading = Reading { table: "missing_recordings", id: &id };
    let number =
        |column, value: Option<i64>| value.map(|value| reading.number::<u64>(column, value)).transpose();
    let numbers = number("first_number", model.first_number)?.zip(number("last_number", model.last_number)?);
    Ok(MissingOfAgent {
        agent: reading.text("agent_id", &model.agent_id)?,
        instance: reading.text("instance_id", &model.instance_id)?,
        missing: MissingRecording {
            absence: read_absence(&reading, &model.absence)?,
            token: model.token.as_deref().map(|token| reading.text("token", token)).transpose()?,
            numbers,
            since: Timestamp::from_millis(model.since),
            key: model.missing_key.clone(),
            why: model.why.clone(),
        },
    })
}
