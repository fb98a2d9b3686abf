//! Holds: which publications this peer serves, and with which content. The rows live in the database; each change of
//! them is one transaction with its entry in the index log. A content lives as long as a hold, or what is about to be
//! published of it (`publishing`); both come with it in one transaction where its bringer says so ([`super::Purpose`]).
//!
//! Dropping is database first, then the files: a crash between leaves files that no row names, and `Store::open`
//! removes those.

use p2p_proto::{ContentHash, index::HoldState, rest::publications::Publication};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Store,
    claims::FetchGuard,
    damage,
    error::StoreError,
    groups::Groups,
    index_log,
    metadata::{self, Writer, signed, unsigned},
    partials,
};
use crate::events::What;

/// One publication that this peer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFile {
    /// What is held.
    pub publication: Publication,
    /// Good bytes of it on this disk.
    pub stored_bytes: u64,
    /// How much of it: partial while it is damaged.
    pub state: HoldState,
    /// What is wrong with it.
    pub damaged: Option<String>,
    /// Somebody wants it kept here.
    pub pinned: bool,
}

const COLUMNS: &str =
    "SELECT h.publication, h.hash, c.size, h.state, h.owner, h.name, h.version, h.visibility,
    h.published_at, d.reason, p.groups, h.pinned FROM holds h JOIN contents c ON c.hash = h.hash
    LEFT JOIN damaged d ON d.hash = h.hash LEFT JOIN partials p ON p.hash = h.hash";

/// [`COLUMNS`] and a condition.
fn select(condition: &str) -> sqlx::AssertSqlSafe<String> {
    // Both parts are literals of this file.
    sqlx::AssertSqlSafe(format!("{COLUMNS} {condition}"))
}

impl Store {
    /// Records that the content of this publication, which is stored whole, is served from now on. Again is harmless.
    ///
    /// # Errors
    /// [`StoreError::NotStored`] when the content is not here, [`StoreError::Mismatch`] when it has another size or the
    /// publication is held with another content.
    pub async fn add_hold(&self, publication: &Publication) -> Result<(), StoreError> {
        let (store, publication) = (self.clone(), publication.clone());
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            let new = insert(&mut tx, &publication).await?;
            store.inner.before_commit()?;
            tx.commit().await?;
            if new {
                store.inner.teller.tell(What::Stored { publication });
            }
            Ok(())
        })
        .await
    }

    /// All holds, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn holds(&self) -> Result<Vec<HeldFile>, StoreError> {
        let rows = sqlx::query(select("ORDER BY h.name, h.owner, h.version"))
            .fetch_all(self.inner.metadata.reader())
            .await?;
        rows.iter().map(held).collect()
    }

    /// The hold of one publication.
    ///
    /// # Errors
    /// The database's.
    pub async fn hold(&self, publication: Uuid) -> Result<Option<HeldFile>, StoreError> {
        let row = sqlx::query(select("WHERE h.publication = ?"))
            .bind(&publication.as_bytes()[..])
            .fetch_optional(self.inner.metadata.reader())
            .await?;
        row.as_ref().map(held).transpose()
    }

    /// The holds that keep a content, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn holds_of(&self, hash: ContentHash) -> Result<Vec<HeldFile>, StoreError> {
        let rows = sqlx::query(select("WHERE h.hash = ? ORDER BY h.name, h.owner, h.version"))
            .bind(&hash.as_bytes()[..])
            .fetch_all(self.inner.metadata.reader())
            .await?;
        rows.iter().map(held).collect()
    }

    /// Marks the hold of this publication as pinned, or takes the mark away; false when it is not held. The mark goes
    /// with its hold only: damage and healing leave it.
    ///
    /// # Errors
    /// The database's.
    pub async fn pin(&self, publication: Uuid, pinned: bool) -> Result<bool, StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            let done = sqlx::query("UPDATE holds SET pinned = ? WHERE publication = ?")
                .bind(i64::from(pinned))
                .bind(&publication.as_bytes()[..])
                .execute(&mut *tx)
                .await?;
            store.inner.before_commit()?;
            tx.commit().await?;
            Ok(done.rows_affected() > 0)
        })
        .await
    }

    /// Serves this publication no longer. With its last hold the content goes; readers that have it open read on.
    /// Returns the bytes freed: 0 while another hold keeps the content, and for a publication that was not held.
    ///
    /// # Errors
    /// The database's; then nothing changed.
    pub async fn drop_hold(&self, publication: Uuid) -> Result<u64, StoreError> {
        Ok(self.drop_it(publication, true).await?.unwrap_or(0))
    }

    /// The same unless it is pinned, which `None` says: nothing changed then.
    ///
    /// # Errors
    /// The database's; then nothing changed.
    pub async fn drop_unpinned(&self, publication: Uuid) -> Result<Option<u64>, StoreError> {
        self.drop_it(publication, false).await
    }

    async fn drop_it(&self, publication: Uuid, pinned_too: bool) -> Result<Option<u64>, StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            // Nobody pins it while this writes.
            let held = store.hold(publication).await?;
            if !pinned_too && held.as_ref().is_some_and(|held| held.pinned) {
                return Ok(None);
            }
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            let row = sqlx::query("DELETE FROM holds WHERE publication = ? RETURNING hash, state")
                .bind(&publication.as_bytes()[..])
                .fetch_optional(&mut *tx)
                .await?;
            let Some(row) = row else { return Ok(Some(0)) };
            let hash = metadata::hash(&row, 0)?;
            let before = index_log::state(row.try_get(1)?)?;
            index_log::append(&mut tx, publication, Some(before), None).await?;
            let gone = store.forget_in(&mut tx, hash).await?;
            store.inner.before_commit()?;
            tx.commit().await?;
            if let Some(HeldFile { publication, .. }) = held {
                store.inner.teller.tell(What::Dropped { publication });
            }
            store.removed(writer, hash, gone).await.map(Some)
        })
        .await
    }

    /// Gives up a content: unless it is held, or about to be published, it goes. Returns the bytes freed.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_unheld(&self, hash: ContentHash) -> Result<u64, StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            let gone = store.forget_in(&mut tx, hash).await?;
            store.inner.before_commit()?;
            tx.commit().await?;
            store.removed(writer, hash, gone).await
        })
        .await
    }

    /// Tells this of each publication that a content is held for, of those that fit.
    pub(super) async fn tell_holders(
        &self,
        hash: ContentHash,
        fits: impl Fn(&Publication) -> bool,
        tell: impl Fn(Publication) -> What,
    ) {
        let held = match self.holds_of(hash).await {
            Ok(held) => held,
            Err(error) => {
                return tracing::warn!(%error, CONTENT_HASH = %hash, "nobody was told of what happened to it");
            }
        };
        for HeldFile { publication, .. } in held {
            if fits(&publication) {
                self.inner.teller.tell(tell(publication));
            }
        }
    }

    /// Forgets a content that nobody holds, and of a damaged one all that is still good.
    async fn forget_in(
        &self,
        db: &mut SqliteConnection,
        hash: ContentHash,
    ) -> Result<Option<Gone>, StoreError> {
        let damaged = damage::reason(db, hash).await?.is_some();
        let Some(size) = metadata::forget(db, hash).await? else {
            return Ok(None);
        };
        // While it is being healed its partial is the fetch's.
        let paused = damaged.then(|| self.inner.fetching.pause(hash)).flatten();
        let partial = match &paused {
            Some(_) => partials::delete(db, hash).await?,
            None => None,
        };
        Ok(Some(Gone {
            size,
            damaged,
            partial,
            _paused: paused,
        }))
    }

    /// Removes the files of a content that the database knows no more, before the next one may write.
    async fn removed(
        &self,
        writer: Writer,
        hash: ContentHash,
        gone: Option<Gone>,
    ) -> Result<u64, StoreError> {
        let Some(gone) = gone else { return Ok(0) };
        self.inner.open_contents.forget(hash);
        let (disk, partial) = (self.inner.disk.clone(), gone.partial.is_some());
        let removed = super::blocking(move || {
            let removed = disk.remove_content(hash);
            Ok(removed.and_then(|()| match partial {
                true => disk.remove_partial(&hash.to_string()),
                false => Ok(0),
            }))
        })
        .await?;
        drop(writer);
        let space = &self.inner.space;
        if !gone.damaged {
            space.removed(gone.size);
        }
        space.partial_removed(gone.partial.unwrap_or(0));
        match removed {
            Ok(_) if !gone.damaged => Ok(gone.size),
            Ok(freed) => Ok(freed.min(gone.size)),
            Err(error) => {
                tracing::warn!(%error, CONTENT_HASH = %hash, "a dropped content's file stays until the next start");
                Ok(0)
            }
        }
    }
}

/// What the database knows no more.
struct Gone {
    size: u64,
    damaged: bool,
    /// The size of what was good of a damaged one.
    partial: Option<u64>,
    /// Nobody begins to fetch it until its files are gone.
    _paused: Option<FetchGuard>,
}

/// The row, and its entry in the index log. False when it was there.
pub(super) async fn insert(db: &mut SqliteConnection, publication: &Publication) -> Result<bool, StoreError> {
    let hash = publication.hash;
    let size = metadata::size_of(db, hash)
        .await?
        .ok_or(StoreError::NotStored { hash })?;
    if size != publication.size {
        return Err(StoreError::Mismatch { hash });
    }
    let row = sqlx::query("SELECT hash FROM holds WHERE publication = ?")
        .bind(&publication.id.as_bytes()[..])
        .fetch_optional(&mut *db)
        .await?;
    let known = row.map(|row| metadata::hash(&row, 0)).transpose()?;
    if known.is_some_and(|known| known != hash) {
        return Err(StoreError::Mismatch { hash });
    }
    sqlx::query(
        "INSERT INTO holds (publication, hash, state, owner, name, version, visibility, published_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (publication) DO UPDATE SET owner = excluded.owner,
         name = excluded.name, version = excluded.version, visibility = excluded.visibility,
         published_at = excluded.published_at",
    )
    .bind(&publication.id.as_bytes()[..])
    .bind(&hash.as_bytes()[..])
    .bind(index_log::state_name(HoldState::Complete))
    .bind(publication.owner.as_str())
    .bind(publication.name.as_str())
    .bind(signed(publication.version)?)
    .bind(publication.visibility.as_str())
    .bind(publication.published_at.to_string())
    .execute(&mut *db)
    .await?;
    if known.is_none() {
        index_log::append(db, publication.id, None, Some(HoldState::Complete)).await?;
    }
    Ok(known.is_none())
}

/// A row of [`COLUMNS`].
fn held(row: &SqliteRow) -> Result<HeldFile, StoreError> {
    let size = unsigned(row, 2)?;
    let damaged: Option<String> = row.try_get(9)?;
    let stored_bytes = match (&damaged, row.try_get::<Option<&[u8]>, _>(10)?) {
        (None, _) => size,
        (Some(_), Some(groups)) => Groups::from_bytes(size, groups).map_or(0, |groups| groups.bytes()),
        (Some(_), None) => 0,
    };
    let bad = |what| move |_| StoreError::Corrupt(what);
    Ok(HeldFile {
        publication: Publication {
            id: index_log::publication(row, 0)?,
            owner: row.try_get::<&str, _>(4)?.parse().map_err(bad("an owner"))?,
            name: row.try_get::<&str, _>(5)?.parse().map_err(bad("a file name"))?,
            version: unsigned(row, 6)?,
            hash: metadata::hash(row, 1)?,
            size,
            visibility: row.try_get::<&str, _>(7)?.parse().map_err(bad("a visibility"))?,
            published_at: row
                .try_get::<&str, _>(8)?
                .parse()
                .map_err(|_| StoreError::Corrupt("a time of publishing"))?,
        },
        stored_bytes,
        state: index_log::state(row.try_get(3)?)?,
        damaged,
        pinned: row.try_get::<i64, _>(11)? != 0,
    })
}
