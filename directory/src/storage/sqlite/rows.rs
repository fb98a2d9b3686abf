//! Values of rows as checked types, and back.

use std::str::FromStr;

use jiff::Timestamp;
use p2p_proto::{index::HoldState, rest::publications::Publication};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use crate::storage::StorageError;

/// A time as it is stored.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A stored time.
pub(super) fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StorageError> {
    from_millis(row.try_get(column)?, column)
}

/// A stored time that may be absent.
pub(super) fn maybe_time(row: &SqliteRow, column: &'static str) -> Result<Option<Timestamp>, StorageError> {
    row.try_get::<Option<i64>, _>(column)?
        .map(|at| from_millis(at, column))
        .transpose()
}

fn from_millis(at: i64, column: &'static str) -> Result<Timestamp, StorageError> {
    Timestamp::from_millisecond(at).map_err(|_| StorageError::Damaged(column))
}

/// A stored id.
pub(super) fn uuid(row: &SqliteRow, column: &'static str) -> Result<Uuid, StorageError> {
    Uuid::from_slice(row.try_get(column)?).map_err(|_| StorageError::Damaged(column))
}

/// An id as it is stored.
pub(super) fn blob(id: &Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// 32 stored bytes.
pub(super) fn bytes32<T: From<[u8; 32]>>(row: &SqliteRow, column: &'static str) -> Result<T, StorageError> {
    let bytes: &[u8] = row.try_get(column)?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| StorageError::Damaged(column))?;
    Ok(bytes.into())
}

/// A stored text.
pub(super) fn text<T: FromStr>(row: &SqliteRow, column: &'static str) -> Result<T, StorageError> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| StorageError::Damaged(column))
}

/// A stored number that is never negative.
pub(super) fn count(row: &SqliteRow, column: &'static str) -> Result<u64, StorageError> {
    row.try_get::<i64, _>(column)?
        .try_into()
        .map_err(|_| StorageError::Damaged(column))
}

/// A number as it is stored.
pub(super) fn stored(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A stored state of a hold.
pub(super) fn hold_state(row: &SqliteRow, column: &'static str) -> Result<HoldState, StorageError> {
    match row.try_get::<i64, _>(column)? {
        1 => Ok(HoldState::Partial),
        2 => Ok(HoldState::Complete),
        _ => Err(StorageError::Damaged(column)),
    }
}

/// A state of a hold as it is stored.
pub(super) fn stored_state(state: HoldState) -> i64 {
    match state {
        HoldState::Partial => 1,
        HoldState::Complete => 2,
    }
}

/// A publication with its owner's name.
pub(super) fn publication(row: &SqliteRow) -> Result<Publication, StorageError> {
    Ok(Publication {
        id: uuid(row, "id")?,
        owner: text(row, "owner_name")?,
        name: text(row, "name")?,
        version: count(row, "version")?,
        hash: bytes32(row, "hash")?,
        size: count(row, "size")?,
        visibility: text(row, "visibility")?,
        published_at: time(row, "published_at")?,
    })
}
