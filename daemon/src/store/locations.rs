//! What the directory last said of publications, kept as text for when it is away: of each answer the account that asked,
//! because an answer is for nobody else, and may come to be written when another account has logged in. The oldest go
//! first; a crash loses at most the last ones.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Row};
use uuid::Uuid;

use super::{Store, error::StoreError};

/// So many answers are kept.
const MAX_LOCATIONS: i64 = 10_000;

/// An account. Names may be the same at two directories, or be given anew: these are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountId {
    /// The directory's cluster.
    pub cluster: Uuid,
    /// The account.
    pub user: Uuid,
}

impl Store {
    /// Keeps an answer to this account in place of the one before, soon.
    pub fn remember_location(&self, account: AccountId, publication: Uuid, answer: String) {
        let store = self.clone();
        self.inner.tasks.spawn(async move {
            if let Err(error) = store.keep_location(account, publication, answer).await {
                tracing::warn!("a location is not remembered: {error}");
            }
        });
    }

    pub(super) async fn keep_location(
        &self,
        account: AccountId,
        publication: Uuid,
        answer: String,
    ) -> Result<(), StoreError> {
        let mut writer = self.inner.metadata.writer().await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO locations (cluster, account, publication, answer, told_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (cluster, account, publication)
             DO UPDATE SET answer = excluded.answer, told_at = excluded.told_at",
        )
        .bind(&account.cluster.as_bytes()[..])
        .bind(&account.user.as_bytes()[..])
        .bind(&publication.as_bytes()[..])
        .bind(answer)
        .bind(Timestamp::now().to_string())
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "DELETE FROM locations WHERE (cluster, account, publication) IN
             (SELECT cluster, account, publication FROM locations ORDER BY told_at DESC LIMIT -1 OFFSET ?)",
        )
        .bind(MAX_LOCATIONS)
        .execute(&mut *tx)
        .await?;
        self.inner.before_commit()?;
        tx.commit().await?;
        Ok(())
    }

    /// The answer to this account that was kept for this publication.
    ///
    /// # Errors
    /// The database's.
    pub async fn remembered_location(
        &self,
        account: AccountId,
        publication: Uuid,
    ) -> Result<Option<String>, StoreError> {
        let row =
            sqlx::query("SELECT answer FROM locations WHERE cluster = ? AND account = ? AND publication = ?")
                .bind(&account.cluster.as_bytes()[..])
                .bind(&account.user.as_bytes()[..])
                .bind(&publication.as_bytes()[..])
                .fetch_optional(self.inner.metadata.reader())
                .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// All answers to this account, the newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn remembered_locations(&self, account: AccountId) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT answer FROM locations WHERE cluster = ? AND account = ? ORDER BY told_at DESC",
        )
        .bind(&account.cluster.as_bytes()[..])
        .bind(&account.user.as_bytes()[..])
        .fetch_all(self.inner.metadata.reader())
        .await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Forgets what this account was told of this publication, or all there is.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_locations(&self, only: Option<(AccountId, Uuid)>) -> Result<(), StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            store.inner.before_commit()?;
            let bytes = |id: Uuid| id.as_bytes().to_vec();
            sqlx::query(
                "DELETE FROM locations
                 WHERE ?1 IS NULL OR (cluster = ?1 AND account = ?2 AND publication = ?3)",
            )
            .bind(only.map(|(account, _)| bytes(account.cluster)))
            .bind(only.map(|(account, _)| bytes(account.user)))
            .bind(only.map(|(_, publication)| bytes(publication)))
            .execute(&mut *writer)
            .await?;
            Ok(())
        })
        .await
    }
}
