//! What is about to be published. Between the directory's word and the hold lies an instant in which a crash would leave
//! a name that nobody holds; so a row here comes with the content, before the directory is asked, and keeps it alive. The
//! hold, or giving up, removes it.

use p2p_proto::ContentHash;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Imported, Store,
    error::StoreError,
    index_log,
    metadata::{self, unsigned},
};

/// What was about to be published and has not come to an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// What it will be known as.
    pub id: Uuid,
    /// What is to be published.
    pub content: Imported,
    /// What the publisher wrote down ([`super::Purpose::Publish`]).
    pub note: String,
}

/// Notes that this content is about to be published; the note is not the store's to read.
pub(super) async fn insert(
    db: &mut SqliteConnection,
    publication: Uuid,
    hash: ContentHash,
    note: &str,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO publishing (publication, hash, note) VALUES (?, ?, ?)")
        .bind(&publication.as_bytes()[..])
        .bind(&hash.as_bytes()[..])
        .bind(note)
        .execute(db)
        .await?;
    Ok(())
}

impl Store {
    /// What has not come to an end, the oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn unpublished(&self) -> Result<Vec<Unpublished>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.publication, p.hash, c.size, p.note FROM publishing p
             JOIN contents c ON c.hash = p.hash ORDER BY p.publication",
        )
        .fetch_all(self.inner.metadata.reader())
        .await?;
        let read = |row: &SqliteRow| {
            let content = Imported {
                hash: metadata::hash(row, 1)?,
                size: unsigned(row, 2)?,
            };
            Ok(Unpublished {
                id: index_log::publication(row, 0)?,
                content,
                note: row.try_get(3)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// It came to nothing, or its hold is recorded: the content stands on its own again.
    ///
    /// # Errors
    /// The database's.
    pub async fn published_or_not(&self, publication: Uuid) -> Result<(), StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            store.inner.before_commit()?;
            sqlx::query("DELETE FROM publishing WHERE publication = ?")
                .bind(&publication.as_bytes()[..])
                .execute(&mut *writer)
                .await?;
            Ok(())
        })
        .await
    }
}
