//! Partial contents: what an earlier fetch left, or what of a damaged content is still good. Owns the rows of `partials`;
//! the bytes and chaining values are in `partial/`. A row speaks only of groups that were fsynced before it, so after a
//! crash it is true; files without a row are waste, and a row whose files are gone or have another length is forgotten.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use p2p_proto::ContentHash;
use sqlx::{Connection, Row, SqliteConnection};

use super::{
    Inner, Store, blocking, damage,
    disk::TempFile,
    error::StoreError,
    groups::Groups,
    layer::{GROUP, Layer},
    metadata::{self, signed, unsigned},
    partial_files::layer_name,
};

/// A row.
pub(super) struct Partial {
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    /// None when the row has no true bitmap.
    pub(super) groups: Option<Groups>,
}

/// What a fetch goes on with.
pub(super) struct Continued {
    pub(super) file: TempFile,
    /// None for a content of one group.
    pub(super) layer_file: Option<TempFile>,
    pub(super) layer: Layer,
    pub(super) groups: Groups,
}

impl Store {
    /// Removes what an earlier fetch left of a content. What is still good of a damaged one stays: it may be the last of
    /// it. Returns the bytes of the disk that were freed; 0 when there was nothing.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while it is fetched; those of the database and the disk.
    pub async fn discard(&self, hash: ContentHash) -> Result<u64, StoreError> {
        let guard = self.inner.fetching.begin(hash).await;
        self.remove(hash, guard.ok_or(StoreError::Busy { hash })?).await
    }

    /// As [`Self::discard`], once those that read or write it have let go; nothing when it is `wanted` then.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when they have not within this time; those of the database and the disk.
    pub async fn discard_within(
        &self,
        hash: ContentHash,
        patience: Duration,
        wanted: impl Fn() -> bool,
    ) -> Result<u64, StoreError> {
        let guard = tokio::time::timeout(patience, self.inner.fetching.begin_after(hash)).await;
        let guard = guard.map_err(|_| StoreError::Busy { hash })?;
        match wanted() {
            true => Ok(0),
            false => self.remove(hash, guard).await,
        }
    }

    async fn remove(&self, hash: ContentHash, guard: super::claims::FetchGuard) -> Result<u64, StoreError> {
        let inner = self.inner.clone();
        self.finish(async move {
            let mut reader = inner.metadata.reader().acquire().await?;
            let damaged = damage::reason(&mut reader, hash).await?.is_some();
            drop(reader);
            let freed = match damaged {
                true => Ok(0),
                false => forget(&inner, hash, true).await,
            };
            drop(guard);
            freed
        })
        .await
    }

    /// Removes every partial content that did not grow for so long, but those of damaged contents and those that are
    /// being fetched. Returns the bytes of the disk that were freed.
    ///
    /// # Errors
    /// Those of the database and the disk.
    pub async fn expire_partials(&self, older_than: Duration) -> Result<u64, StoreError> {
        let rows = sqlx::query(EXPIRED)
            .bind(before(older_than))
            .fetch_all(self.inner.metadata.reader())
            .await?;
        let mut freed = 0;
        for row in &rows {
            match self.discard(metadata::hash(row, 0)?).await {
                Ok(bytes) => freed += bytes,
                Err(StoreError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(freed)
    }
}

const EXPIRED: &str =
    "SELECT hash FROM partials WHERE changed_at <= ? AND hash NOT IN (SELECT hash FROM damaged)";

/// The instant so long ago, as the database writes it.
pub(super) fn before(age: Duration) -> i64 {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    now().saturating_sub(age)
}

/// Now, as the database writes it: milliseconds since 1970.
pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// A column with an instant.
pub(super) fn instant(row: &sqlx::sqlite::SqliteRow, column: usize) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(row.try_get(column)?).map_err(|_| StoreError::Corrupt("a time out of range"))
}

/// The row of a content.
pub(super) async fn find(
    db: &mut SqliteConnection,
    hash: ContentHash,
) -> Result<Option<Partial>, StoreError> {
    let row = sqlx::query("SELECT hash, size, groups FROM partials WHERE hash = ?")
        .bind(&hash.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(partial).transpose()
}

/// All rows.
pub(super) async fn all(db: &mut SqliteConnection) -> Result<Vec<Partial>, StoreError> {
    let rows = sqlx::query("SELECT hash, size, groups FROM partials")
        .fetch_all(db)
        .await?;
    rows.iter().map(partial).collect()
}

fn partial(row: &sqlx::sqlite::SqliteRow) -> Result<Partial, StoreError> {
    let size = unsigned(row, 1)?;
    Ok(Partial {
        hash: metadata::hash(row, 0)?,
        size,
        groups: Groups::from_bytes(size, row.try_get(2)?),
    })
}

/// These groups are durable, and so is the layer.
pub(super) async fn put(
    db: &mut SqliteConnection,
    hash: ContentHash,
    size: u64,
    groups: &Groups,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO partials (hash, size, groups, changed_at) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO UPDATE
         SET size = excluded.size, groups = excluded.groups, changed_at = excluded.changed_at",
    )
    .bind(&hash.as_bytes()[..])
    .bind(signed(size)?)
    .bind(groups.to_bytes())
    .bind(now())
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets the row; the size it spoke of, if it was there.
pub(super) async fn delete(db: &mut SqliteConnection, hash: ContentHash) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query("DELETE FROM partials WHERE hash = ? RETURNING size")
        .bind(&hash.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.map(|row| unsigned(&row, 0)).transpose()
}

/// Forgets those whose content is whole, and those that did not change since `expired`, if neither the content is damaged
/// nor a transfer brings it.
pub(super) async fn forget_useless(db: &mut SqliteConnection, expired: i64) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM partials WHERE hash NOT IN (SELECT hash FROM damaged) AND (hash IN (SELECT hash FROM contents)
         OR changed_at <= ? AND hash NOT IN (SELECT content FROM transfers WHERE live AND content IS NOT NULL))",
    )
    .bind(expired)
    .execute(db)
    .await?;
    Ok(())
}

/// How many there are.
pub(super) async fn count(db: &mut SqliteConnection) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT count(*) FROM partials").fetch_one(db).await?;
    unsigned(&row, 0)
}

/// Forgets the row, then removes the files: the caller has the content's [`super::claims::FetchGuard`]. `idle`: its bytes
/// are in nobody's reservation. Returns the bytes of the disk that were freed.
pub(super) async fn forget(inner: &Arc<Inner>, hash: ContentHash, idle: bool) -> Result<u64, StoreError> {
    let mut writer = inner.metadata.writer().await?;
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let Some(size) = delete(&mut tx, hash).await? else {
        return Ok(0);
    };
    inner.before_commit()?;
    tx.commit().await?;
    if idle {
        inner.space.partial_removed(size);
    }
    let disk = inner.disk.clone();
    blocking(move || {
        disk.remove_partial(&hash.to_string())
            .map_err(StoreError::io("remove a partial content"))
    })
    .await
}

/// What there is to go on with; forgets what is not as its row says. The caller has the fetch guard.
///
/// # Errors
/// [`StoreError::Mismatch`] when it is known to have another size.
pub(super) async fn open(
    inner: &Arc<Inner>,
    hash: ContentHash,
    size: u64,
) -> Result<Option<Continued>, StoreError> {
    // Most fetches begin with nothing, and need not wait for the writer to know it.
    let mut reader = inner.metadata.reader().acquire().await?;
    if find(&mut reader, hash).await?.is_none() {
        return Ok(None);
    }
    drop(reader);
    let mut writer = inner.metadata.writer().await?;
    let Some(partial) = find(&mut writer, hash).await? else {
        return Ok(None);
    };
    if partial.size != size && partial.proves_size() {
        return Err(StoreError::Mismatch { hash });
    }
    let good = metadata::size_of(&mut writer, hash).await?.is_some();
    let opening = inner.clone();
    let continued = blocking(move || {
        let refused = opening.space.io(size, "open a partial content");
        partial.load(&opening, size, good).map_err(|error| {
            let error = refused(error);
            opening.faults.note(Some(hash), &error);
            error
        })
    })
    .await?;
    drop(writer);
    if continued.is_none() {
        forget(inner, hash, true).await?;
    }
    Ok(continued)
}

impl Partial {
    /// The last group is there, and with it the size is the content's.
    fn proves_size(&self) -> bool {
        let last = self.size.saturating_sub(1) / GROUP * GROUP;
        self.groups
            .as_ref()
            .is_some_and(|groups| groups.has(last, self.size - last))
    }

    /// None when the files are not what the row says.
    fn load(self, inner: &Inner, size: u64, good: bool) -> std::io::Result<Option<Continued>> {
        let (disk, hash, name) = (&inner.disk, self.hash, self.hash.to_string());
        let Some(groups) = self.groups.filter(|_| self.size == size) else {
            return Ok(None);
        };
        if !good {
            disk.bring_back(hash, size)?;
        }
        if !disk.has_partial(hash, size)? {
            return Ok(None);
        }
        let count = Layer::group_count(size) as usize;
        let (mut values, mut layer_file) = (Vec::new(), None);
        if count > 0 {
            // A layer that cannot be read is as good as none.
            match disk.partial_values(&name, count) {
                Ok(Some(read)) => values = read,
                Ok(None) => return Ok(None),
                Err(error) => {
                    let what = format!("cannot read the layer of a partial: {error}");
                    inner.faults.add(Some(hash), what);
                    return Ok(None);
                }
            }
            layer_file = disk.open_partial(&layer_name(&name))?;
        }
        let (Ok(layer), Some(file)) = (Layer::from_values(hash, size, values), disk.open_partial(&name)?)
        else {
            return Ok(None);
        };
        Ok(Some(Continued {
            file,
            layer_file,
            layer,
            groups,
        }))
    }
}
