//! The storage on SQLite: one file, write-ahead logging, one writer. Every change is one `BEGIN IMMEDIATE` transaction
//! that is on disk (`synchronous=FULL`) before the call answers; after a crash SQLite rolls back what was not.

mod admin;
mod events;
mod figures;
mod groups;
mod holds;
#[cfg(test)]
mod oldest;
mod peers;
mod placement;
mod publications;
mod publish;
mod reports;
mod rows;
mod search;
mod sessions;
mod users;
mod visible;

use std::{
    fs::{File, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use sqlx::{
    Connection, Row, SqliteConnection, SqlitePool, Transaction,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use self::rows::millis;
use super::{Reply, Session, Storage, StorageError};
use crate::clock::Clock;

/// How long a call waits for its turn with the database.
const TURN: Duration = Duration::from_secs(10);

/// How many read at once.
const READERS: u32 = 4;

type Write = Transaction<'static, sqlx::Sqlite>;

/// The storage on SQLite.
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Of the watchdog: it takes no turn of the readers', and waits for none.
    probe: SqlitePool,
    clock: Arc<dyn Clock>,
    file: PathBuf,
    counted: figures::Counted,
}

impl Sqlite {
    /// Opens the database, makes it when it is missing, and brings it to this version.
    ///
    /// # Errors
    /// When it cannot be opened, is of a later version, or is damaged.
    pub async fn open(file: &Path, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        make_private(file).map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(TURN);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(TURN)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1)
            .after_release(|db, _| Box::pin(is_usable(db)))
            .connect_with(options.clone())
            .await?;
        if let Err(error) = migrate(&writer).await {
            // Nothing of ours stays beside a database that is another's.
            writer.close().await;
            return Err(error);
        }
        let readers = pool(READERS)
            .connect_with(options.clone().read_only(true))
            .await?;
        let probe = pool(1).connect_with(options.read_only(true)).await?;
        let sqlite = Self {
            writer,
            readers,
            probe,
            clock,
            file: file.to_owned(),
            counted: figures::Counted::default(),
        };
        sqlite.make_cluster().await?;
        Ok(sqlite)
    }

    async fn make_cluster(&self) -> Result<(), StorageError> {
        let mut tx = self.begin().await?;
        sqlx::query("INSERT OR IGNORE INTO meta (key, value) VALUES ('cluster', ?), ('deny_version', '0')")
            .bind(Uuid::new_v4().to_string())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    async fn begin(&self) -> Result<Write, StorageError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A change that this session asks for: since it was looked up, others may have ended it.
    async fn begin_for(&self, session: &Session) -> Result<Write, StorageError> {
        let mut tx = self.begin().await?;
        sessions::still_there(&mut tx, session).await?;
        Ok(tx)
    }

    fn now(&self) -> i64 {
        millis(self.clock.now())
    }

    /// What the database and its log take on the disk.
    fn bytes(&self) -> u64 {
        let log = {
            let mut name = self.file.clone().into_os_string();
            name.push("-wal");
            PathBuf::from(name)
        };
        let size = |file: &Path| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        size(&self.file) + size(&log)
    }
}

/// Brings the database to this build's form. The number of that is the whole state's: whoever changes the form of a key's
/// file adds a step too, if only an empty one.
async fn migrate(writer: &SqlitePool) -> Result<(), StorageError> {
    let steps = sqlx::migrate!("./migrations");
    match steps.run(writer).await {
        Err(MigrateError::VersionMissing(_)) => {
            let row = sqlx::query("SELECT max(version) FROM _sqlx_migrations")
                .fetch_one(writer)
                .await?;
            let known = steps.iter().map(|step| step.version).max();
            Err(StorageError::Newer {
                found: row.try_get(0)?,
                known: known.unwrap_or(0),
            })
        }
        done => Ok(done?),
    }
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

/// An empty database is an empty file. It holds password hashes, and SQLite gives its mode to the files beside it.
fn make_private(file: &Path) -> io::Result<()> {
    let opened = File::options().create(true).append(true).mode(0o600).open(file)?;
    opened.set_permissions(Permissions::from_mode(0o600))
}

impl Storage for Sqlite {
    fn cluster(&self) -> Reply<'_, Uuid> {
        Box::pin(async move {
            let row = sqlx::query("SELECT value FROM meta WHERE key = 'cluster'")
                .fetch_one(&self.readers)
                .await?;
            rows::text(&row, "value")
        })
    }

    fn check(&self) -> Reply<'_, ()> {
        Box::pin(async move {
            let row = sqlx::query("SELECT count(*) FROM meta")
                .fetch_one(&self.probe)
                .await?;
            row.try_get::<i64, _>(0)?;
            Ok(())
        })
    }

    fn prune(&self, before: Timestamp) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            for sql in [
                "DELETE FROM ended_sessions WHERE at < ?",
                "DELETE FROM sessions WHERE expires_at < ?",
                "DELETE FROM denied_peers WHERE denied_at < ?",
            ] {
                sqlx::query(sql).bind(millis(before)).execute(&mut *tx).await?;
            }
            events::prune(&mut tx, millis(before)).await?;
            sqlx::query("DELETE FROM holder_reports WHERE at <= ?")
                .bind(self.reports_since())
                .execute(&mut *tx)
                .await?;
            Ok(tx.commit().await?)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.probe.close().await;
            self.readers.close().await;
            self.writer.close().await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn it_answers_the_watchdog_while_every_reader_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("directory.db");
        let database = Sqlite::open(&file, Arc::new(SystemClock)).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..READERS {
            held.push(database.readers.acquire().await.unwrap());
        }
        database.check().await.unwrap();
    }
}
