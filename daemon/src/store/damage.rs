//! Contents that were whole and are not. Owns the rows of `damaged`. A content found damaged stays in `contents` for its
//! holds' sake, is served no more, and what is good of it becomes a partial with which the next fetch goes on.
//!
//! The order of putting aside: one transaction says that it is damaged, which groups are good, and that its holds are
//! partial; then its files go to `partial/`. A crash before the transaction leaves all as it was, to be found again; one
//! after it leaves files in `content/`, and the next start takes them to `partial/`. Healing is a commit.

use std::{io, sync::Arc};

use jiff::Timestamp;
use p2p_proto::{ContentHash, index::HoldState, rest::publications::Publication};
use sqlx::{Connection, Row, SqliteConnection};

use super::{
    DATABASE_PAGE, Inner, Store, blocking,
    disk::{Disk, TempFile},
    error::StoreError,
    groups::Groups,
    index_log,
    layer::Layer,
    metadata::{self, unsigned},
    partial_files::layer_name,
    partials,
    verify::{Found, identity},
};
use crate::events::What;

/// A content that was whole and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Which.
    pub hash: ContentHash,
    /// Its bytes, when it was whole.
    pub size: u64,
    /// What is wrong with it, as a sentence goes on after "damaged:".
    pub reason: String,
    /// When that was found.
    pub found_at: Timestamp,
    /// What it is held for.
    pub publications: Vec<Publication>,
}

impl Store {
    /// Every content that is damaged and not yet healed, the one found first before the others.
    ///
    /// # Errors
    /// The database's.
    pub async fn damaged(&self) -> Result<Vec<Damaged>, StoreError> {
        let rows = sqlx::query(
            "SELECT d.hash, c.size, d.reason, d.found_at FROM damaged d JOIN contents c ON c.hash = d.hash
             ORDER BY d.found_at, d.hash",
        )
        .fetch_all(self.inner.metadata.reader())
        .await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let hash = metadata::hash(row, 0)?;
            let holds = self.holds_of(hash).await?;
            all.push(Damaged {
                hash,
                size: unsigned(row, 1)?,
                reason: row.try_get(2)?,
                found_at: partials::instant(row, 3)?,
                publications: holds.into_iter().map(|held| held.publication).collect(),
            });
        }
        Ok(all)
    }

    /// A counter that rises with each content that is found damaged.
    #[must_use]
    pub fn subscribe_damage(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.damage.subscribe()
    }

    /// Somebody met a read error or a failed check of a stored content: it is verified in the background, once at a time.
    /// [`Store::close`] does not wait for that.
    pub fn doubt(&self, hash: ContentHash) {
        let Some(once) = self.inner.doubted.begin(&hash) else {
            return;
        };
        let (store, stopping) = (self.clone(), self.inner.stopping.clone());
        let task = async move {
            let _once = once;
            let verified = store.verify(hash, None, Arc::new(|_| {}));
            match stopping.run_until_cancelled(verified).await {
                Some(Err(StoreError::NotStored { .. }) | Ok(_)) | None => {}
                Some(Err(error)) => {
                    tracing::warn!(%error, CONTENT_HASH = %hash, "a doubtful content could not be verified");
                }
            }
        };
        self.inner.tasks.spawn_on(task, &self.inner.runtime);
    }

    /// Why a content cannot be read.
    pub(super) async fn absence(&self, hash: ContentHash) -> Result<StoreError, StoreError> {
        let mut reader = self.inner.metadata.reader().acquire().await?;
        Ok(match reason(&mut reader, hash).await? {
            Some(_) => StoreError::Damaged { hash },
            None => StoreError::NotStored { hash },
        })
    }
}

/// What is wrong with a content that was found damaged.
pub(super) async fn reason(
    db: &mut SqliteConnection,
    hash: ContentHash,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT reason FROM damaged WHERE hash = ?")
        .bind(&hash.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// It is whole: its holds are complete again. False when it was not damaged.
pub(super) async fn heal(db: &mut SqliteConnection, hash: ContentHash) -> Result<bool, StoreError> {
    let healed = sqlx::query("DELETE FROM damaged WHERE hash = ?")
        .bind(&hash.as_bytes()[..])
        .execute(&mut *db)
        .await?;
    index_log::set_states(db, hash, HoldState::Complete).await?;
    Ok(healed.rows_affected() > 0)
}

/// Puts a content aside in which this was found. False when it is not the content any more that was looked at. Runs to
/// its end once begun: call it through `Store::finish`.
pub(super) async fn quarantine(
    inner: Arc<Inner>,
    hash: ContentHash,
    size: u64,
    reason: String,
    found: Found,
) -> Result<bool, StoreError> {
    // Without the guard a fetch has the place in `partial/`; it will heal the content as well.
    let guard = inner.fetching.pause(hash);
    let mut writer = inner.metadata.writer().await?;
    let now = metadata::size_of(&mut writer, hash).await?;
    let disk = inner.disk.clone();
    let same = blocking(move || Ok(identity(&disk, hash).ok().flatten() == found.identity)).await?;
    if now != Some(size) || !same {
        return Ok(false);
    }
    let kept = found
        .layer
        .filter(|_| guard.is_some() && found.groups.bytes() > 0);
    let mut new_layer = None;
    if guard.is_some() {
        let (disk, layer) = (inner.disk.clone(), kept.clone().filter(|_| !found.layer_stored));
        let made = blocking(move || Ok(make_place(&disk, hash, layer.as_ref()))).await?;
        new_layer = made.map_err(|source| {
            let doing = "put a damaged content aside";
            let error = StoreError::Io { doing, source };
            inner.faults.note(Some(hash), &error);
            inner.space.named(error, DATABASE_PAGE)
        })?;
    }
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let idle = match &guard {
        Some(_) => partials::delete(&mut tx, hash).await?,
        None => None,
    };
    record(
        &mut tx,
        hash,
        size,
        &reason,
        kept.is_some().then_some(&found.groups),
    )
    .await?;
    inner.before_commit()?;
    tx.commit().await?;
    if let Some(layer) = &mut new_layer {
        layer.keep(true);
    }
    inner.open_contents.condemn(hash);
    inner.space.partial_removed(idle.unwrap_or(0));
    match kept {
        Some(_) => inner.space.demoted(size),
        None => inner.space.removed(size),
    }
    let disk = inner.disk.clone();
    let moved = blocking(move || {
        let moved = match kept {
            Some(_) => disk.bring_back(hash, size),
            None => Ok(()),
        };
        Ok(moved.and_then(|()| disk.remove_content(hash)))
    });
    if let Err(error) = moved.await? {
        inner
            .faults
            .add(Some(hash), format!("cannot put a damaged content aside: {error}"));
        tracing::warn!(%error, CONTENT_HASH = %hash, "a damaged content's files stay until the next start");
    }
    drop((writer, guard));
    tracing::warn!(CONTENT_HASH = %hash, "a stored content is damaged: {reason}");
    inner.damage.send_modify(|count| *count += 1);
    let tell = |publication| What::Damaged {
        publication,
        reason: reason.clone(),
    };
    Store { inner }.tell_holders(hash, |_| true, tell).await;
    Ok(true)
}

async fn record(
    db: &mut SqliteConnection,
    hash: ContentHash,
    size: u64,
    reason: &str,
    good: Option<&Groups>,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO damaged (hash, reason, found_at) VALUES (?, ?, ?)")
        .bind(&hash.as_bytes()[..])
        .bind(reason)
        .bind(partials::now())
        .execute(&mut *db)
        .await?;
    sqlx::query("DELETE FROM verified WHERE hash = ?")
        .bind(&hash.as_bytes()[..])
        .execute(&mut *db)
        .await?;
    if let Some(groups) = good {
        partials::put(db, hash, size, groups).await?;
    }
    index_log::set_states(db, hash, HoldState::Partial).await
}

/// Nothing else may lie where the damaged content goes, also after a crash: a row is about to speak of it. The layer is
/// laid there when the stored one is no good.
fn make_place(disk: &Disk, hash: ContentHash, layer: Option<&Layer>) -> io::Result<Option<TempFile>> {
    let name = hash.to_string();
    disk.remove_partial(&name)?;
    let mut made = None;
    if let Some(layer) = layer.filter(|layer| !layer.values().is_empty()) {
        let file = disk.create_partial(&layer_name(&name))?;
        file.write_at(0, layer.values().as_flattened())?;
        file.sync()?;
        made = Some(file);
    }
    disk.sync_partials()?;
    Ok(made)
}
