//! Table `nonces` of SQLite: what was claimed, in the order in which it was, without an index by which it could be found.

use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement, Value};

use super::insert_many::InsertMany;
use crate::dialect::sqlite_direct::{Column, DirectTransaction};
use crate::{CorruptRow, NonceClaim, StoreError};

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "nonces")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub hash: Vec<u8>,
        pub expires_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// How many bytes of a hash are read back.
pub(crate) const READ_BYTES: usize = 16;
/// The digits of one claim in a packed page: those of its hash, and of when it expires.
const DIGITS: usize = 2 * READ_BYTES + 16;

/// Some claims that follow one another.
pub(crate) struct Page {
    /// The number of the last one.
    pub(crate) last: i64,
    /// The first bytes of the hash of each, and when it expires.
    pub(crate) claims: Vec<([u8; READ_BYTES], i64)>,
}

/// The rows after this one, in one text: millions of them are read when a server starts, and a row of the driver costs more
/// than all else. `None`: there are none.
pub(crate) async fn after(
    connection: &impl ConnectionTrait,
    id: i64,
    most: u32,
) -> Result<Option<Page>, StoreError> {
    let failed = || StoreError::at("read nonces");
    let pack = "SELECT MAX(id), GROUP_CONCAT(HEX(SUBSTR(hash, 1, 16)) || PRINTF('%016X', expires_at), '') \
                FROM (SELECT id, hash, expires_at FROM nonces WHERE id > ? ORDER BY id LIMIT ?)";
    let pack = Statement::from_sql_and_values(DbBackend::Sqlite, pack, [id.into(), most.into()]);
    let Some(row) = connection.query_one_raw(pack).await.map_err(failed())? else { return Ok(None) };
    let (last, packed): (Option<i64>, Option<String>) =
        (row.try_get_by_index(0).map_err(failed())?, row.try_get_by_index(1).map_err(failed())?);
    let (Some(last), Some(packed)) = (last, packed) else { return Ok(None) };
    let corrupt = || {
        let why = "one of those up to this row is no hash and time".to_owned();
        StoreError::from(CorruptRow { table: "nonces", column: "hash", id: last.to_string(), why })
    };
    if !packed.len().is_multiple_of(DIGITS) {
        return Err(corrupt());
    }
    let mut claims = Vec::with_capacity(packed.len() / DIGITS);
    for digits in packed.as_bytes().chunks_exact(DIGITS) {
        let mut bytes = [0; DIGITS / 2];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| corrupt())?;
        let (mut hash, mut expires_at) = ([0; READ_BYTES], [0; 8]);
        hash.copy_from_slice(&bytes[..READ_BYTES]);
        expires_at.copy_from_slice(&bytes[READ_BYTES..]);
        claims.push((hash, i64::from_be_bytes(expires_at)));
    }
    Ok(Some(Page { last, claims }))
}

/// Appends claims after the row with this number, each with the next one.
pub(crate) async fn append(
    transaction: &impl ConnectionTrait,
    last: i64,
    claims: &[&NonceClaim],
) -> Result<(), StoreError> {
    let numbered: Vec<_> = (last + 1..).zip(claims).collect();
    let values = |(id, claim): &(i64, &&NonceClaim)| columns(*id, claim).map(Value::from);
    CLAIMS.insert(transaction, &numbered, values).await.map_err(StoreError::at("claim a nonce"))
}

/// As [`append`], on the thread that has the connection.
pub(crate) fn append_directly(
    transaction: &DirectTransaction<'_>,
    last: i64,
    claims: &[&NonceClaim],
) -> Result<(), StoreError> {
    let append = || {
        let mut insert = CLAIMS.one_by_one(transaction)?;
        (last + 1..).zip(claims).try_for_each(|(id, claim)| insert.run(&columns(id, claim)))
    };
    append().map_err(StoreError::at("claim a nonce"))
}

fn columns(id: i64, claim: &NonceClaim) -> [Column<'_>; 3] {
    [id.into(), Column::Bytes(&claim.hash), claim.expires_at.as_millis().into()]
}

/// The number of the last row; 0 when there is none.
pub(crate) fn last_directly(transaction: &DirectTransaction<'_>) -> Result<i64, StoreError> {
    let last = transaction.number("SELECT MAX(id) FROM nonces", &[]);
    Ok(last.map_err(StoreError::at("read nonces"))?.unwrap_or(0))
}

static CLAIMS: InsertMany<3> = InsertMany::new("nonces", ["id", "hash", "expires_at"]);

/// Removes some of the rows up to this number, from the first one on, and returns how many. The newest row stays: the
/// numbers continue after it.
pub(crate) async fn remove_up_to(
    connection: &impl ConnectionTrait,
    id: i64,
    most: u64,
) -> Result<u64, StoreError> {
    let bound = |of: SimpleExpr| Query::select().expr(of).from(row::Entity).to_owned();
    let newest = bound(Expr::col(row::Column::Id).max());
    let first = bound(Expr::col(row::Column::Id).min().add(i64::try_from(most).unwrap_or(i64::MAX)));
    let removed = row::Entity::delete_many()
        .filter(row::Column::Id.lte(id))
        .filter(Expr::col(row::Column::Id).lt(SimpleExpr::from(newest)))
        .filter(Expr::col(row::Column::Id).lt(SimpleExpr::from(first)))
        .exec(connection)
        .await;
    removed.map(|removed| removed.rows_affected).map_err(StoreError::at("purge nonces"))
}
