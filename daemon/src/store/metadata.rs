//! The store's database, `metadata.db`: which contents are complete and durable, and who holds them. SQLite in WAL mode
//! with `synchronous=FULL`: what was committed survives a power cut, what was not is gone whole.
//!
//! One connection writes. Whoever has it is also the only one who may give or take names under `content/` and `layer/`,
//! so files and rows change in one order. Reads go through other connections and wait for nobody.
//!
//! Its form has a number, `user_version`, which is that of the daemon's whole state: whoever changes the form of any file
//! that an older p2pd would read, be it `session.json` or a file of contents, adds a step here, if only an empty one. It is
//! looked at before any other file is.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use p2p_proto::ContentHash;
use sqlx::{
    Connection, Row, SqliteConnection, SqlitePool,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::{error::StoreError, index_log};

/// Each step of the database's form, in order; its number is its place, from 1.
pub(super) const MIGRATIONS: [&str; 5] = [
    include_str!("../../migrations/0001_store.sql"),
    include_str!("../../migrations/0002_promises.sql"),
    include_str!("../../migrations/0003_locations.sql"),
    include_str!("../../migrations/0004_notes.sql"),
    include_str!("../../migrations/0005_pins.sql"),
];

/// Of the contents those that are whole and served.
macro_rules! good {
    () => {
        " WHERE NOT EXISTS (SELECT 1 FROM damaged WHERE damaged.hash = contents.hash)"
    };
}
pub(super) use good;

/// How long to wait for a connection: a commit of another takes some fsyncs, a restart of a large index some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

const READERS: u32 = 3;

/// The database.
pub(super) struct Metadata {
    writer: SqlitePool,
    reader: SqlitePool,
}

/// The one connection that writes.
pub(super) type Writer = PoolConnection<sqlx::Sqlite>;

impl Metadata {
    /// Makes the file (0600) where it is missing and brings it to this build's form.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a later form, which is left as it is.
    pub(super) async fn open(root: &Path) -> Result<Self, StoreError> {
        let path = root.join("metadata.db");
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("make the store's metadata"))?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let writer = pool(1)
            .after_release(|db, _| Box::pin(is_usable(db)))
            .connect_with(options.clone())
            .await?;
        if let Err(error) = migrate(&writer, path).await {
            // Nothing of ours stays beside a database that is another's.
            writer.close().await;
            return Err(error);
        }
        let reader = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, reader })
    }

    /// Waits for the others that write.
    pub(super) async fn writer(&self) -> Result<Writer, StoreError> {
        Ok(self.writer.acquire().await?)
    }

    pub(super) const fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    /// Reads a little.
    pub(super) async fn answers(&self) -> Result<(), StoreError> {
        let found = sqlx::query("SELECT 1 FROM contents LIMIT 1");
        found.fetch_optional(&self.reader).await?;
        Ok(())
    }

    /// Ends every connection, after what runs on it.
    pub(super) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// The size of a complete content.
    pub(super) async fn size_of(&self, hash: ContentHash) -> Result<Option<u64>, StoreError> {
        let mut reader = self.reader.acquire().await?;
        size_of(&mut reader, hash).await
    }

    /// How many contents there are, and their bytes.
    pub(super) async fn totals(&self) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query(concat!(
            "SELECT count(*), coalesce(sum(size), 0) FROM contents",
            good!()
        ))
        .fetch_one(&self.reader)
        .await?;
        Ok((unsigned(&row, 0)?, unsigned(&row, 1)?))
    }

    /// Every complete content.
    pub(super) async fn contents(&self) -> Result<Vec<(ContentHash, u64)>, StoreError> {
        let rows = sqlx::query(concat!("SELECT hash, size FROM contents", good!()))
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| Ok((hash(row, 0)?, unsigned(row, 1)?)))
            .collect()
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// When SQLite ends a transaction by itself, as it may when the disk is full, sqlx does not hear of it, and nothing more
/// could begin on that connection: another one takes its place.
async fn is_usable(db: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // What was dropped is rolled back first.
    db.ping().await?;
    match db.begin_with("BEGIN").await {
        Ok(nothing) => nothing.rollback().await.map(|()| true),
        Err(_) => Ok(false),
    }
}

async fn migrate(writer: &SqlitePool, path: PathBuf) -> Result<(), StoreError> {
    let mut tx = writer.begin_with("BEGIN EXCLUSIVE").await?;
    let row = sqlx::query("PRAGMA user_version").fetch_one(&mut *tx).await?;
    let found: i64 = row.try_get(0)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { path, found, known });
    }
    let done = usize::try_from(found).map_err(|_| StoreError::Corrupt("a negative state version"))?;
    for step in &MIGRATIONS[done..] {
        sqlx::raw_sql(*step).execute(&mut *tx).await?;
    }
    // A pragma takes no parameters; the number is our own.
    let version = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {known}"));
    sqlx::raw_sql(version).execute(&mut *tx).await?;
    index_log::begin_if_missing(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Forgets the contents that nobody holds; their files are then for the sweep.
pub(super) async fn forget_all_unheld(db: &mut SqliteConnection) -> Result<u64, StoreError> {
    let done = sqlx::query(
        "DELETE FROM contents WHERE hash NOT IN (SELECT hash FROM holds UNION SELECT hash FROM publishing)",
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// The size of a complete content, as this connection sees it.
pub(super) async fn size_of(db: &mut SqliteConnection, hash: ContentHash) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query(concat!("SELECT size FROM contents", good!(), " AND hash = ?"))
        .bind(&hash.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.map(|row| unsigned(&row, 0)).transpose()
}

/// Registers a content whose files are durable.
pub(super) async fn register(
    db: &mut SqliteConnection,
    hash: ContentHash,
    size: u64,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO contents (hash, size) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING")
        .bind(&hash.as_bytes()[..])
        .bind(signed(size)?)
        .execute(db)
        .await?;
    Ok(())
}

/// Forgets a content, whole or damaged, if nobody holds it; its size if it was there.
pub(super) async fn forget(db: &mut SqliteConnection, hash: ContentHash) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query(
        "DELETE FROM contents WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM holds WHERE hash = ?1)
         AND NOT EXISTS (SELECT 1 FROM publishing WHERE hash = ?1) RETURNING size",
    )
    .bind(&hash.as_bytes()[..])
    .fetch_optional(db)
    .await?;
    row.map(|row| unsigned(&row, 0)).transpose()
}

/// SQLite's integers are signed.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Corrupt("a number over 2^63"))
}

/// A column that is never negative.
pub(super) fn unsigned(row: &SqliteRow, column: usize) -> Result<u64, StoreError> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Corrupt("a negative number"))
}

/// A column with a hash.
pub(super) fn hash(row: &SqliteRow, column: usize) -> Result<ContentHash, StoreError> {
    let bytes: [u8; 32] = row
        .try_get::<&[u8], _>(column)?
        .try_into()
        .map_err(|_| StoreError::Corrupt("a hash that has not 32 bytes"))?;
    Ok(bytes.into())
}
