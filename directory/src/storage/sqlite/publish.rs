//! Publishing on SQLite: whether a request is a repeat, names bytes that are there already, or makes a version.

use p2p_proto::{
    ContentHash,
    rest::{
        events::What,
        publications::{Publication, PublishRequest},
    },
};
use sqlx::Row;
use uuid::Uuid;

use super::{
    Write,
    events::{follow_visibility, tell_of},
    groups, holds, rows,
    visible::{columns, seen, select, visible},
};
use crate::storage::{Published, StorageError};

/// Publishes in this transaction.
pub(super) async fn publish(
    tx: &mut Write,
    now: i64,
    user: Uuid,
    request: &PublishRequest,
    most: u64,
) -> Result<Published, StorageError> {
    if let Some(outcome) = repeated(tx, user, request).await? {
        return Ok(outcome);
    }
    if let Some(group) = request.visibility.group()
        && !groups::is_member(tx, &user, group).await?
    {
        return Ok(Published::NoGroup(group));
    }
    if let Some(outcome) = same_bytes(tx, now, user, request).await? {
        return Ok(outcome);
    }
    new_version(tx, now, user, request, most).await
}

async fn by_id(tx: &mut Write, caller: Uuid, id: Uuid) -> Result<Option<Publication>, StorageError> {
    let row = sqlx::query(select!(" AND p.id = ?2"))
        .bind(rows::blob(&caller))
        .bind(rows::blob(&id))
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(rows::publication).transpose()
}

/// What a repeat of an id gives; none when the id is new.
async fn repeated(
    tx: &mut Write,
    user: Uuid,
    request: &PublishRequest,
) -> Result<Option<Published>, StorageError> {
    let row = sqlx::query(
        "SELECT owner, name, hash, size, asked_visibility, withdrawn_at FROM publications WHERE id = ?",
    )
    .bind(rows::blob(&request.id))
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let same = rows::uuid(&row, "owner")? == user
        && row.try_get::<&str, _>("name")? == request.name.as_str()
        && rows::bytes32::<ContentHash>(&row, "hash")? == request.hash
        && rows::count(&row, "size")? == request.size
        && row.try_get::<&str, _>("asked_visibility")? == request.visibility.as_str();
    if !same {
        return Ok(Some(Published::IdTaken));
    }
    let found = by_id(tx, user, request.id).await?;
    Ok(Some(found.map_or(Published::Withdrawn, Published::As)))
}

/// The version of the name that has these bytes already, with the visibility that is asked for now.
async fn same_bytes(
    tx: &mut Write,
    now: i64,
    user: Uuid,
    request: &PublishRequest,
) -> Result<Option<Published>, StorageError> {
    let row = sqlx::query(select!(
        " AND p.owner = ?1 AND p.name = ?2 AND p.hash = ?3 ORDER BY p.version DESC LIMIT 1"
    ))
    .bind(rows::blob(&user))
    .bind(request.name.as_str())
    .bind(request.hash.as_bytes().to_vec())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let mut publication = rows::publication(&row)?;
    if publication.size != request.size {
        return Ok(Some(Published::OtherSize(publication.size)));
    }
    if publication.visibility != request.visibility {
        publication.visibility = request.visibility;
        sqlx::query("UPDATE publications SET visibility = ? WHERE id = ?")
            .bind(request.visibility.as_str())
            .bind(rows::blob(&publication.id))
            .execute(&mut **tx)
            .await?;
        follow_visibility(tx, &publication).await?;
        holds::drop_unseen_holds_of(tx, &publication.id).await?;
        let what = What::Changed {
            publication: publication.clone(),
        };
        tell_of(tx, now, user, &publication, &what).await?;
    }
    Ok(Some(Published::As(publication)))
}

async fn new_version(
    tx: &mut Write,
    now: i64,
    user: Uuid,
    request: &PublishRequest,
    most: u64,
) -> Result<Published, StorageError> {
    let row =
        sqlx::query("SELECT count(*) AS live FROM publications WHERE owner = ? AND withdrawn_at IS NULL")
            .bind(rows::blob(&user))
            .fetch_one(&mut **tx)
            .await?;
    if rows::count(&row, "live")? >= most {
        return Ok(Published::TooMany);
    }
    sqlx::query(
        "INSERT INTO publications \
         (id, owner, name, folded, version, hash, size, visibility, asked_visibility, published_at) \
         VALUES (?1, ?2, ?3, ?4, \
         (SELECT coalesce(max(version), 0) + 1 FROM publications WHERE owner = ?2 AND name = ?3), \
         ?5, ?6, ?7, ?7, ?8)",
    )
    .bind(rows::blob(&request.id))
    .bind(rows::blob(&user))
    .bind(request.name.as_str())
    .bind(request.name.as_str().to_lowercase())
    .bind(request.hash.as_bytes().to_vec())
    .bind(rows::stored(request.size))
    .bind(request.visibility.as_str())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    let publication = by_id(tx, user, request.id)
        .await?
        .ok_or(StorageError::Damaged("publications"))?;
    let what = What::Published {
        publication: publication.clone(),
    };
    tell_of(tx, now, user, &publication, &what).await?;
    Ok(Published::As(publication))
}
