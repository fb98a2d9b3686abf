//! The index of holds and its log: what the directory is told. The head (id, sequence, digest) and the log change in
//! the transaction that changes the hold, so after a crash the two sides differ by whole changes and the log names them.

use p2p_proto::{
    ContentHash,
    index::{Hold, HoldState, IndexDigest},
    rest::{index::HoldChange, session::IndexState},
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Store,
    error::StoreError,
    metadata::{signed, unsigned},
};

/// The log keeps at least so many changes, and at least twice as many as there are holds, so that a full resend in
/// several runs is not overtaken by the pruning.
const KEEP: u64 = 10_000;

/// Pruned once in so many changes.
const PRUNE_EVERY: u64 = 1024;

/// One entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedChange {
    /// The sequence after it.
    pub seq: u64,
    /// What changed.
    pub change: HoldChange,
    /// Over all holds after it.
    pub digest: IndexDigest,
}

impl Store {
    /// The index as it is now.
    ///
    /// # Errors
    /// The database's.
    pub async fn index_state(&self) -> Result<IndexState, StoreError> {
        let mut reader = self.inner.metadata.reader().acquire().await?;
        head(&mut reader).await
    }

    /// What changed after a sequence, in order, at most `limit` (and at least 1). None when that is not known any more or never
    /// was: then all has to be sent, after [`Store::restart_index`].
    ///
    /// # Errors
    /// The database's.
    pub async fn index_changes(
        &self,
        after_seq: u64,
        limit: usize,
    ) -> Result<Option<Vec<LoggedChange>>, StoreError> {
        // One transaction: head and log of one instant.
        let mut tx = self.inner.metadata.reader().begin().await?;
        let now = head(&mut tx).await?.seq;
        if after_seq >= now {
            return Ok((after_seq == now).then(Vec::new));
        }
        let rows = sqlx::query(
            "SELECT seq, publication, state, digest FROM index_log WHERE seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(signed(after_seq)?)
        .bind(i64::try_from(limit.max(1)).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
        let changes = rows.iter().map(logged).collect::<Result<Vec<_>, _>>()?;
        // The first one is missing: pruned.
        Ok(changes
            .first()
            .is_some_and(|first| first.seq == after_seq + 1)
            .then_some(changes))
    }

    /// Begins a new index: another id, and a log that is one [`HoldChange::Held`] per hold.
    ///
    /// # Errors
    /// The database's.
    pub async fn restart_index(&self) -> Result<(), StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            let mut tx = sqlx::Connection::begin_with(&mut *writer, "BEGIN IMMEDIATE").await?;
            restart(&mut tx).await?;
            store.inner.before_commit()?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }
}

/// Makes the head of a new database.
pub(super) async fn begin_if_missing(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO index_head (one, index_id, seq, digest) VALUES (1, ?, 0, ?) ON CONFLICT DO NOTHING",
    )
    .bind(&Uuid::new_v4().as_bytes()[..])
    .bind(String::from(IndexDigest::default()))
    .execute(db)
    .await?;
    Ok(())
}

/// Appends a change. `before` is the hold as it was, `after` as it is now; one of them is there.
pub(super) async fn append(
    db: &mut SqliteConnection,
    publication: Uuid,
    before: Option<HoldState>,
    after: Option<HoldState>,
) -> Result<(), StoreError> {
    let mut now = head(db).await?;
    now.seq += 1;
    for state in before.into_iter().chain(after) {
        now.digest.toggle(&Hold { publication, state });
    }
    log(db, now.seq, publication, after, now.digest).await?;
    set_head(db, now).await?;
    if now.seq.is_multiple_of(PRUNE_EVERY) {
        prune(db, now.seq, KEEP).await?;
    }
    Ok(())
}

/// All holds of a content are so from now on, and the log says it of those that were not.
pub(super) async fn set_states(
    db: &mut SqliteConnection,
    hash: ContentHash,
    after: HoldState,
) -> Result<(), StoreError> {
    let rows = sqlx::query("SELECT publication, state FROM holds WHERE hash = ? AND state <> ?")
        .bind(&hash.as_bytes()[..])
        .bind(state_name(after))
        .fetch_all(&mut *db)
        .await?;
    sqlx::query("UPDATE holds SET state = ?2 WHERE hash = ?1")
        .bind(&hash.as_bytes()[..])
        .bind(state_name(after))
        .execute(&mut *db)
        .await?;
    for row in &rows {
        let before = state(row.try_get(1)?)?;
        append(db, publication(row, 0)?, Some(before), Some(after)).await?;
    }
    Ok(())
}

/// Leaves the last changes up to `seq`: `keep` of them, or twice as many as there are holds.
pub(super) async fn prune(db: &mut SqliteConnection, seq: u64, keep: u64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM index_log WHERE seq <= ?1 - max(?2, 2 * (SELECT count(*) FROM holds))")
        .bind(signed(seq)?)
        .bind(signed(keep)?)
        .execute(db)
        .await?;
    Ok(())
}

async fn restart(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM index_log").execute(&mut *db).await?;
    let rows = sqlx::query("SELECT publication, state FROM holds")
        .fetch_all(&mut *db)
        .await?;
    let mut now = IndexState {
        index_id: Uuid::new_v4(),
        seq: 0,
        digest: IndexDigest::default(),
    };
    for row in &rows {
        let hold = Hold {
            publication: publication(row, 0)?,
            state: state(row.try_get(1)?)?,
        };
        now.seq += 1;
        now.digest.toggle(&hold);
        log(db, now.seq, hold.publication, Some(hold.state), now.digest).await?;
    }
    set_head(db, now).await
}

async fn head(db: &mut SqliteConnection) -> Result<IndexState, StoreError> {
    let row = sqlx::query("SELECT index_id, seq, digest FROM index_head")
        .fetch_one(db)
        .await?;
    Ok(IndexState {
        index_id: publication(&row, 0)?,
        seq: unsigned(&row, 1)?,
        digest: digest(&row, 2)?,
    })
}

async fn set_head(db: &mut SqliteConnection, now: IndexState) -> Result<(), StoreError> {
    sqlx::query("UPDATE index_head SET index_id = ?, seq = ?, digest = ?")
        .bind(&now.index_id.as_bytes()[..])
        .bind(signed(now.seq)?)
        .bind(String::from(now.digest))
        .execute(db)
        .await?;
    Ok(())
}

async fn log(
    db: &mut SqliteConnection,
    seq: u64,
    publication: Uuid,
    after: Option<HoldState>,
    digest: IndexDigest,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO index_log (seq, publication, state, digest) VALUES (?, ?, ?, ?)")
        .bind(signed(seq)?)
        .bind(&publication.as_bytes()[..])
        .bind(after.map(state_name))
        .bind(String::from(digest))
        .execute(db)
        .await?;
    Ok(())
}

fn logged(row: &SqliteRow) -> Result<LoggedChange, StoreError> {
    let publication = publication(row, 1)?;
    let change = match row.try_get::<Option<&str>, _>(2)? {
        Some(name) => HoldChange::Held(Hold {
            publication,
            state: state(name)?,
        }),
        None => HoldChange::Dropped(publication),
    };
    Ok(LoggedChange {
        seq: unsigned(row, 0)?,
        change,
        digest: digest(row, 3)?,
    })
}

/// As the database writes it.
pub(super) const fn state_name(state: HoldState) -> &'static str {
    match state {
        HoldState::Partial => "partial",
        HoldState::Complete => "complete",
    }
}

/// As the database wrote it.
pub(super) fn state(name: &str) -> Result<HoldState, StoreError> {
    match name {
        "partial" => Ok(HoldState::Partial),
        "complete" => Ok(HoldState::Complete),
        _ => Err(StoreError::Corrupt("an unknown state of a hold")),
    }
}

/// A column with the 16 bytes of a UUID.
pub(super) fn publication(row: &SqliteRow, column: usize) -> Result<Uuid, StoreError> {
    Uuid::from_slice(row.try_get(column)?).map_err(|_| StoreError::Corrupt("an id that is no UUID"))
}

fn digest(row: &SqliteRow, column: usize) -> Result<IndexDigest, StoreError> {
    IndexDigest::try_from(row.try_get::<String, _>(column)?).map_err(|_| StoreError::Corrupt("a digest"))
}
