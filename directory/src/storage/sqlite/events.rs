//! Events on SQLite. Who may read a row is written in it, and changes with the visibility of the publication that it tells
//! of, so that an event never tells more than a search does.

use p2p_proto::{
    GroupName, PeerId,
    rest::{
        events::{Event, Events, What},
        publications::Publication,
    },
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Sqlite, Write, rows};
use crate::storage::{EventStore, Reply, StorageError, events::MAX_KEPT};

/// Who is told.
#[derive(Clone, Copy)]
enum Audience<'a> {
    /// Every account.
    Everybody,
    /// One account.
    Account(Uuid),
    /// Whoever may see the owner's publication.
    Of(&'a Publication, Uuid),
}

/// Tells everybody that something happened to a peer.
pub(super) async fn tell_of_peer(
    tx: &mut Write,
    now: i64,
    peer: &PeerId,
    what: Happened,
) -> Result<(), StorageError> {
    let row = sqlx::query(
        "SELECT p.name, u.name AS user_name FROM peers p JOIN users u ON u.id = p.owner WHERE p.id = ?",
    )
    .bind(peer.as_bytes().to_vec())
    .fetch_one(&mut **tx)
    .await?;
    let (peer_id, peer, user) = (*peer, rows::text(&row, "name")?, rows::text(&row, "user_name")?);
    let what = match what {
        Happened::Online => What::Online { peer_id, peer, user },
        Happened::Offline => What::Offline { peer_id, peer, user },
        Happened::Revoked => What::Revoked { peer_id, peer, user },
        Happened::Allowed => What::Allowed { peer_id, peer, user },
    };
    write(tx, now, Audience::Everybody, &what).await
}

/// What happens to a peer.
#[derive(Clone, Copy)]
pub(super) enum Happened {
    Online,
    Offline,
    Revoked,
    Allowed,
}

/// Tells an account of itself.
pub(super) async fn tell_account(
    tx: &mut Write,
    now: i64,
    account: Uuid,
    what: &What,
) -> Result<(), StorageError> {
    write(tx, now, Audience::Account(account), what).await
}

/// Tells whoever may see the publication.
pub(super) async fn tell_of(
    tx: &mut Write,
    now: i64,
    owner: Uuid,
    of: &Publication,
    what: &What,
) -> Result<(), StorageError> {
    write(tx, now, Audience::Of(of, owner), what).await
}

async fn write(tx: &mut Write, now: i64, to: Audience<'_>, what: &What) -> Result<(), StorageError> {
    let (visibility, owner, publication) = match to {
        Audience::Everybody => ("public", None, None),
        Audience::Account(account) => ("private", Some(account), None),
        Audience::Of(of, owner) => (of.visibility.as_str(), Some(owner), Some(of.id)),
    };
    let json = serde_json::to_value(what).map_err(|_| StorageError::Damaged("an event"))?;
    let last = newest(tx).await?;
    sqlx::query(
        "INSERT INTO events (id, kind, visibility, owner, publication, what, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(rows::blob(&next_id(last, now, Uuid::new_v4())))
    .bind(json["type"].as_str().unwrap_or("unknown"))
    .bind(visibility)
    .bind(owner.as_ref().map(rows::blob))
    .bind(publication.as_ref().map(rows::blob))
    .bind(json.to_string())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The id of the event after `last`: a UUIDv7 of this time, or of the last one's when the clock has stepped back.
fn next_id(last: Option<Uuid>, now: i64, random: Uuid) -> Uuid {
    let (random_high, random_low) = random.as_u64_pair();
    let at = |millis: u64, low: u64| {
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&random_high.to_be_bytes()[..2]);
        bytes[2..].copy_from_slice(&low.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    };
    let fresh = at(u64::try_from(now).unwrap_or(0), random_low);
    match last {
        Some(last) if fresh <= last => {
            // 62 bits are a counter that began at a random place; a full one is as good as a millisecond.
            let (high, low) = last.as_u64_pair();
            let counter = low & (u64::MAX >> 2);
            if counter < u64::MAX >> 2 {
                Uuid::from_u64_pair(high, low + 1)
            } else {
                at((high >> 16) + 1, random_low)
            }
        }
        _ => fresh,
    }
}

async fn newest(db: &mut SqliteConnection) -> Result<Option<Uuid>, StorageError> {
    let row = sqlx::query("SELECT id FROM events ORDER BY id DESC LIMIT 1")
        .fetch_optional(db)
        .await?;
    row.map(|row| rows::uuid(&row, "id")).transpose()
}

/// The last event that the caller may see: of each reason to see one the last, by an index, however many are hidden.
pub(super) async fn last_seen(
    db: &mut SqliteConnection,
    caller: &Uuid,
) -> Result<Option<Uuid>, StorageError> {
    let row = sqlx::query(LAST_SEEN)
        .bind(rows::blob(caller))
        .fetch_optional(db)
        .await?;
    row.map(|row| rows::uuid(&row, "id")).transpose()
}

/// Of each reason to see an event, as `seen!` says them, the first one in this order.
macro_rules! of_each_reason {
    ($order:literal) => {
        concat!(
            "SELECT (SELECT id FROM events WHERE visibility = 'public' ",
            $order,
            ") AS id UNION ALL SELECT (SELECT id FROM events WHERE owner = ?1 ",
            $order,
            ") UNION ALL SELECT (SELECT id FROM events WHERE visibility = 'group:' || m.of_group ",
            $order,
            ") FROM members m WHERE m.user = ?1"
        )
    };
}

const LAST_SEEN: &str = concat!(
    "SELECT max(id) AS id FROM (",
    of_each_reason!("ORDER BY id DESC LIMIT 1"),
    ") HAVING max(id) IS NOT NULL"
);

/// What the caller may see after `?2`, the oldest first; `?3` is one more than how many. From each one the next is looked
/// up, by an index, however many hidden ones lie between.
const SEEN_AFTER: &str = concat!(
    "WITH RECURSIVE told (id) AS (VALUES (?2) UNION ALL SELECT (SELECT min(id) FROM (",
    of_each_reason!("AND id > told.id ORDER BY id LIMIT 1"),
    ")) FROM told WHERE told.id IS NOT NULL LIMIT ?3) \
     SELECT e.id, e.at, e.what FROM told CROSS JOIN events e ON e.id = told.id WHERE told.id > ?2 ORDER BY e.id"
);

/// Another visibility of the publication: what was told of it is from now on for those who may see it now.
pub(super) async fn follow_visibility(tx: &mut Write, of: &Publication) -> Result<(), StorageError> {
    // Also in what is told, which else would name a group to those who are no members.
    sqlx::query(
        "UPDATE events SET visibility = ?1, what = json_replace(what, '$.publication.visibility', ?1) \
         WHERE publication = ?2",
    )
    .bind(of.visibility.as_str())
    .bind(rows::blob(&of.id))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The account goes: what was told of its publications is for nobody else from now on.
pub(super) async fn hide_files_of(tx: &mut Write, owner: &Uuid) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE events SET visibility = 'private' WHERE owner = ? AND publication IS NOT NULL \
         AND visibility <> 'private'",
    )
    .bind(rows::blob(owner))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The group is gone: a later one of its name is told nothing of it.
pub(super) async fn forget_group(tx: &mut Write, group: GroupName) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE events SET visibility = 'private', what = json_replace(what, '$.publication.visibility', 'private') \
         WHERE visibility = 'group:' || ?",
    )
    .bind(group.as_str().to_owned())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets the events before the first one from this time on, and the oldest when there are too many. The newest one
/// stays, so that the next id is greater than all before.
pub(super) async fn prune(tx: &mut Write, before: i64) -> Result<(), StorageError> {
    let row = sqlx::query(
        "SELECT max(coalesce((SELECT min(id) FROM events WHERE at >= ?1), (SELECT max(id) FROM events)), \
         coalesce((SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?2), x'')) AS first",
    )
    .bind(before)
    .bind(MAX_KEPT - 1)
    .fetch_one(&mut **tx)
    .await?;
    let Some(first) = row.try_get::<Option<Vec<u8>>, _>("first")? else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO meta (key, value) SELECT 'events_forgotten', lower(hex(max(id))) FROM events WHERE id < ? \
         HAVING max(id) IS NOT NULL ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(&first)
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM events WHERE id < ?")
        .bind(&first)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether something after this id is not there to be told: it is forgotten, or the id is none of this database's, as
/// after a restore.
async fn is_gap(db: &mut SqliteConnection, after: &Uuid) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT value FROM meta WHERE key = 'events_forgotten'")
        .fetch_optional(&mut *db)
        .await?;
    let forgotten: Option<Uuid> = row.map(|row| rows::text(&row, "value")).transpose()?;
    if let Some(forgotten) = forgotten
        && *after <= forgotten
    {
        return Ok(*after < forgotten);
    }
    let known = sqlx::query("SELECT 1 FROM events WHERE id = ?")
        .bind(rows::blob(after))
        .fetch_optional(&mut *db)
        .await?;
    Ok(known.is_none())
}

fn event(row: &SqliteRow) -> Result<Event, StorageError> {
    let what: &str = row.try_get("what")?;
    Ok(Event {
        id: rows::uuid(row, "id")?,
        at: rows::time(row, "at")?,
        what: serde_json::from_str(what).map_err(|_| StorageError::Damaged("events.what"))?,
    })
}

async fn read(
    db: &mut SqliteConnection,
    caller: Uuid,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Events, StorageError> {
    let last = last_seen(&mut *db, &caller).await?;
    let mut none = Events {
        events: Vec::new(),
        last,
        gap: false,
        more: false,
    };
    let Some(after) = after else {
        return Ok(none);
    };
    if last.is_none_or(|last| last <= after) {
        // Only hidden ones follow, and they may be many.
        none.gap = is_gap(db, &after).await?;
        return Ok(none);
    }
    let found = sqlx::query(SEEN_AFTER)
        .bind(rows::blob(&caller))
        .bind(rows::blob(&after))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(2))
        .fetch_all(&mut *db)
        .await?;
    let events: Vec<Event> = found.iter().take(limit).map(event).collect::<Result<_, _>>()?;
    let more = found.len() > limit;
    Ok(Events {
        last: events
            .last()
            .filter(|_| more)
            .map_or(last, |event| Some(event.id)),
        events,
        gap: is_gap(db, &after).await?,
        more,
    })
}

impl EventStore for Sqlite {
    fn events(&self, caller: Uuid, after: Option<Uuid>, limit: usize) -> Reply<'_, Events> {
        Box::pin(async move {
            let mut moment = self.readers.begin().await?;
            read(&mut moment, caller, after, limit).await
        })
    }
}

#[cfg(test)]
mod tests;
