//! Publications on SQLite. In every query `?1` is the caller's account, and one text says what that account may see.

use p2p_proto::{
    ContentHash,
    rest::publications::{Publication, PublishRequest, SearchHit},
};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Event, Sqlite, Write, holds, rows, write_event};
use crate::storage::{
    MAX_PUBLICATIONS, Named, PublicationStore, Published, Reply, SearchFilter, SearchPage, Session, StorageError,
};

/// How many candidates are looked at.
const CANDIDATES: i64 = 21;

macro_rules! visible {
    ($table:literal) => {
        concat!(
            $table, ".withdrawn_at IS NULL AND (", $table, ".visibility = 'public' OR ", $table, ".owner = ?1)"
        )
    };
}

macro_rules! columns {
    () => {
        "p.id, u.name AS owner_name, p.name, p.version, p.hash, p.size, p.visibility, p.published_at"
    };
}

/// The visible publications that also fit the rest of the query.
macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT ", columns!(), " FROM publications p JOIN users u ON u.id = p.owner WHERE ", visible!("p"), $rest
        )
    };
}

macro_rules! newest {
    () => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM publications n WHERE n.owner = p.owner AND n.name = p.name \
             AND n.version > p.version AND ", visible!("n"), ")"
        )
    };
}

/// What a search looks at: `?2` part of the name, `?3` the owner or null.
macro_rules! searched {
    () => {
        concat!(
            "FROM publications p JOIN users u ON u.id = p.owner WHERE ", visible!("p"),
            " AND (?2 = '' OR instr(p.folded, ?2) > 0) AND (?3 IS NULL OR u.name = ?3) AND ", newest!()
        )
    };
}

async fn tell(tx: &mut Write, now: i64, kind: &'static str, owner: Uuid, of: &Publication) -> Result<(), StorageError> {
    let payload = serde_json::json!({
        "id": of.id, "owner": of.owner, "name": of.name, "version": of.version, "hash": of.hash, "size": of.size,
    });
    let event = Event { kind, visibility: of.visibility.as_str(), owner: Some(owner), payload: &payload };
    write_event(tx, now, event).await
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
async fn repeated(tx: &mut Write, user: Uuid, request: &PublishRequest) -> Result<Option<Published>, StorageError> {
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
        tell(tx, now, "visibility_changed", user, &publication).await?;
    }
    Ok(Some(Published::As(publication)))
}

async fn new_version(
    tx: &mut Write,
    now: i64,
    user: Uuid,
    request: &PublishRequest,
) -> Result<Published, StorageError> {
    let row = sqlx::query("SELECT count(*) AS live FROM publications WHERE owner = ? AND withdrawn_at IS NULL")
        .bind(rows::blob(&user))
        .fetch_one(&mut **tx)
        .await?;
    if rows::count(&row, "live")? >= MAX_PUBLICATIONS {
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
    let publication = by_id(tx, user, request.id).await?.ok_or(StorageError::Damaged("publications"))?;
    tell(tx, now, "published", user, &publication).await?;
    Ok(Published::As(publication))
}

fn publications(rows: &[SqliteRow]) -> Result<Vec<Publication>, StorageError> {
    rows.iter().map(rows::publication).collect()
}

fn small(row: &SqliteRow, column: &'static str) -> Result<u32, StorageError> {
    row.try_get::<u32, _>(column).map_err(StorageError::from)
}

fn hit(row: &SqliteRow) -> Result<SearchHit, StorageError> {
    Ok(SearchHit {
        publication: rows::publication(row)?,
        holders_online: small(row, "holders_online")?,
        holders_total: small(row, "holders_total")?,
    })
}

impl Sqlite {
    async fn search_total(&self, caller: Uuid, filter: &SearchFilter) -> Result<u64, StorageError> {
        let row = sqlx::query(concat!("SELECT count(*) AS total ", searched!()))
            .bind(rows::blob(&caller))
            .bind(&filter.folded)
            .bind(filter.owner.as_ref().map(|owner| owner.as_str().to_owned()))
            .fetch_one(&self.readers)
            .await?;
        rows::count(&row, "total")
    }

    async fn search_rows(&self, caller: Uuid, filter: &SearchFilter) -> Result<Vec<SqliteRow>, StorageError> {
        let (after_name, after_owner) = filter.after.clone().unzip();
        Ok(sqlx::query(concat!(
            "SELECT ",
            columns!(),
            ", (SELECT count(*) FROM holds h WHERE h.publication = p.id AND h.state = 2) AS holders_total, \
             (SELECT count(*) FROM holds h JOIN leases l ON l.peer = h.peer \
             WHERE h.publication = p.id AND h.state = 2 AND l.expires_at > ?4) AS holders_online ",
            searched!(),
            " AND (?5 IS NULL OR (p.name, u.name) > (?5, ?6)) ORDER BY p.name, u.name LIMIT ?7"
        ))
        .bind(rows::blob(&caller))
        .bind(&filter.folded)
        .bind(filter.owner.as_ref().map(|owner| owner.as_str().to_owned()))
        .bind(self.now())
        .bind(after_name)
        .bind(after_owner)
        .bind(i64::from(filter.limit) + 1)
        .fetch_all(&self.readers)
        .await?)
    }
}

impl PublicationStore for Sqlite {
    fn publish<'a>(&'a self, session: &'a Session, request: &'a PublishRequest) -> Reply<'a, Published> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            let user = session.user;
            let outcome = match repeated(&mut tx, user, request).await? {
                Some(outcome) => outcome,
                None => match same_bytes(&mut tx, now, user, request).await? {
                    Some(outcome) => outcome,
                    None => new_version(&mut tx, now, user, request).await?,
                },
            };
            tx.commit().await?;
            Ok(outcome)
        })
    }

    fn withdraw(&self, owner: Uuid, id: Uuid) -> Reply<'_, Option<Publication>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            let done = sqlx::query(
                "UPDATE publications SET withdrawn_at = ?1 WHERE id = ?2 AND owner = ?3 AND withdrawn_at IS NULL",
            );
            let found = sqlx::query(select!(" AND p.id = ?2 AND p.owner = ?1"))
                .bind(rows::blob(&owner))
                .bind(rows::blob(&id))
                .fetch_optional(&mut *tx)
                .await?;
            let Some(row) = found else {
                return Ok(None);
            };
            let publication = rows::publication(&row)?;
            done.bind(now).bind(rows::blob(&id)).bind(rows::blob(&owner)).execute(&mut *tx).await?;
            holds::drop_holds_of(&mut tx, &id).await?;
            tell(&mut tx, now, "withdrawn", owner, &publication).await?;
            tx.commit().await?;
            Ok(Some(publication))
        })
    }

    fn publication(&self, caller: Uuid, id: Uuid) -> Reply<'_, Option<Publication>> {
        Box::pin(async move {
            let row = sqlx::query(select!(" AND p.id = ?2"))
                .bind(rows::blob(&caller))
                .bind(rows::blob(&id))
                .fetch_optional(&self.readers)
                .await?;
            row.as_ref().map(rows::publication).transpose()
        })
    }

    fn named<'a>(&'a self, caller: Uuid, named: Named<'a>) -> Reply<'a, Vec<Publication>> {
        Box::pin(async move {
            let rows = sqlx::query(select!(concat!(
                " AND p.name = ?2 AND (?3 IS NULL OR u.name = ?3) AND (p.version = ?4 OR (?4 IS NULL AND ",
                newest!(),
                ")) ORDER BY p.owner = ?1 DESC, u.name LIMIT ?5"
            )))
            .bind(rows::blob(&caller))
            .bind(named.name.as_str())
            .bind(named.owner.map(|owner| owner.as_str().to_owned()))
            .bind(named.version.map(rows::stored))
            .bind(CANDIDATES)
            .fetch_all(&self.readers)
            .await?;
            publications(&rows)
        })
    }

    fn with_hash<'a>(&'a self, caller: Uuid, hash: &'a ContentHash) -> Reply<'a, Option<Publication>> {
        Box::pin(async move {
            let row = sqlx::query(select!(
                " AND p.hash = ?2 ORDER BY p.owner = ?1 DESC, p.published_at, p.id LIMIT 1"
            ))
            .bind(rows::blob(&caller))
            .bind(hash.as_bytes().to_vec())
            .fetch_optional(&self.readers)
            .await?;
            row.as_ref().map(rows::publication).transpose()
        })
    }

    fn hashes_between(&self, caller: Uuid, low: [u8; 32], high: [u8; 32]) -> Reply<'_, Vec<ContentHash>> {
        Box::pin(async move {
            let rows = sqlx::query(concat!(
                "SELECT DISTINCT p.hash FROM publications p WHERE ",
                visible!("p"),
                " AND p.hash BETWEEN ?2 AND ?3 ORDER BY p.hash LIMIT ?4"
            ))
            .bind(rows::blob(&caller))
            .bind(low.to_vec())
            .bind(high.to_vec())
            .bind(CANDIDATES)
            .fetch_all(&self.readers)
            .await?;
            rows.iter().map(|row| rows::bytes32(row, "hash")).collect()
        })
    }

    fn versions<'a>(&'a self, caller: Uuid, of: &'a Publication) -> Reply<'a, Vec<Publication>> {
        Box::pin(async move {
            let rows = sqlx::query(select!(
                " AND p.name = ?2 AND u.name = ?3 ORDER BY p.version DESC LIMIT 1000"
            ))
            .bind(rows::blob(&caller))
            .bind(of.name.as_str())
            .bind(of.owner.as_str())
            .fetch_all(&self.readers)
            .await?;
            publications(&rows)
        })
    }

    fn search<'a>(&'a self, caller: Uuid, filter: &'a SearchFilter) -> Reply<'a, SearchPage> {
        Box::pin(async move {
            let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
            let rows = self.search_rows(caller, filter).await?;
            let hits = rows.iter().take(limit).map(hit).collect::<Result<_, _>>()?;
            Ok(SearchPage {
                hits,
                total: self.search_total(caller, filter).await?,
                more: rows.len() > limit,
            })
        })
    }
}
