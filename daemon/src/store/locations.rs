//! What the directory last said of publications, kept as text for when it is away. The oldest go first; a crash loses
//! at most the last ones.

use jiff::Timestamp;
use sqlx::{Connection, Row};
use uuid::Uuid;

use super::{Store, error::StoreError};

/// So many answers are kept.
const MAX_LOCATIONS: i64 = 10_000;

impl Store {
    /// Keeps an answer in place of the one before, soon.
    pub fn remember_location(&self, publication: Uuid, answer: String) {
        let store = self.clone();
        self.inner.tasks.spawn(async move {
            if let Err(error) = store.keep_location(publication, answer).await {
                tracing::warn!("a location is not remembered: {error}");
            }
        });
    }

    async fn keep_location(&self, publication: Uuid, answer: String) -> Result<(), StoreError> {
        let mut writer = self.inner.metadata.writer().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO locations (publication, answer, told_at) VALUES (?, ?, ?)
             ON CONFLICT (publication) DO UPDATE SET answer = excluded.answer, told_at = excluded.told_at",
        )
        .bind(&publication.as_bytes()[..])
        .bind(answer)
        .bind(Timestamp::now().to_string())
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "DELETE FROM locations WHERE publication IN
             (SELECT publication FROM locations ORDER BY told_at DESC LIMIT -1 OFFSET ?)",
        )
        .bind(MAX_LOCATIONS)
        .execute(&mut *tx)
        .await?;
        self.inner.before_commit()?;
        tx.commit().await?;
        Ok(())
    }

    /// The answer that was kept for this publication.
    ///
    /// # Errors
    /// The database's.
    pub async fn remembered_location(&self, publication: Uuid) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT answer FROM locations WHERE publication = ?")
            .bind(&publication.as_bytes()[..])
            .fetch_optional(self.inner.metadata.reader())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// All answers, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn remembered_locations(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT answer FROM locations ORDER BY told_at DESC")
            .fetch_all(self.inner.metadata.reader())
            .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Forgets this answer, or all of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_locations(&self, publication: Option<Uuid>) -> Result<(), StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            let which = publication.map(|id| id.as_bytes().to_vec());
            store.inner.before_commit()?;
            sqlx::query("DELETE FROM locations WHERE ?1 IS NULL OR publication = ?1")
                .bind(which)
                .execute(&mut *writer)
                .await?;
            Ok(())
        })
        .await
    }
}
