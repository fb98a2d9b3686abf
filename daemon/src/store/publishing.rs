//! What is about to be published. Between the directory's word and the hold lies an instant in which a crash would leave
//! a name that nobody holds; so the request is durable before it is sent, and keeps its content alive. The hold, or
//! giving up, removes it.

use p2p_proto::ContentHash;
use sqlx::{Connection, Row};
use uuid::Uuid;

use super::{Store, error::StoreError};

impl Store {
    /// Notes that this request, which is not the store's to read, is about to be sent.
    ///
    /// # Errors
    /// The database's.
    pub async fn will_publish(
        &self,
        publication: Uuid,
        hash: ContentHash,
        request: String,
    ) -> Result<(), StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("INSERT INTO publishing (publication, hash, request) VALUES (?, ?, ?)")
                .bind(&publication.as_bytes()[..])
                .bind(&hash.as_bytes()[..])
                .bind(request)
                .execute(&mut *tx)
                .await?;
            store.inner.before_commit()?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }

    /// The requests whose end an earlier run did not see.
    ///
    /// # Errors
    /// The database's.
    pub async fn unfinished_publishing(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT request FROM publishing ORDER BY publication")
            .fetch_all(self.inner.metadata.reader())
            .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
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
