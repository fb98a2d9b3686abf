//! Rows of transfers: the store keeps them for whoever runs the transfers, and does not read what is in them. A crash
//! leaves each row as it was last written.

use p2p_proto::ContentHash;
use sqlx::{Connection, Row};

use super::{
    Store,
    error::StoreError,
    metadata::{self, signed, unsigned},
};

/// One transfer, as it was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRow {
    /// Its number; rises, never used twice.
    pub id: u64,
    /// It has not ended.
    pub live: bool,
    /// What of it comes into the store: while it is live, what came of that is kept however old it is.
    pub content: Option<ContentHash>,
    /// What its owner wrote.
    pub record: String,
}

impl Store {
    /// Every row, by number, and the highest number that was ever used.
    ///
    /// # Errors
    /// The database's.
    pub async fn transfer_rows(&self) -> Result<(Vec<TransferRow>, u64), StoreError> {
        let rows = sqlx::query("SELECT id, live, content, record FROM transfers ORDER BY id")
            .fetch_all(self.inner.metadata.reader())
            .await?;
        let last = sqlx::query("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'transfers'")
            .fetch_one(self.inner.metadata.reader())
            .await?;
        let rows = rows.iter().map(|row| {
            Ok(TransferRow {
                id: unsigned(row, 0)?,
                live: row.try_get::<i64, _>(1)? != 0,
                content: match row.try_get::<Option<&[u8]>, _>(2)? {
                    Some(_) => Some(metadata::hash(row, 2)?),
                    None => None,
                },
                record: row.try_get(3)?,
            })
        });
        Ok((rows.collect::<Result<_, StoreError>>()?, unsigned(&last, 0)?))
    }

    /// Writes these rows, in one transaction, and forgets all ended ones but the last `keep_ended`.
    ///
    /// # Errors
    /// The database's; then none was written.
    pub async fn write_transfers(&self, rows: Vec<TransferRow>, keep_ended: u32) -> Result<(), StoreError> {
        let store = self.clone();
        self.finish(async move {
            let mut writer = store.inner.metadata.writer().await?;
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            for row in rows {
                sqlx::query(
                    "INSERT INTO transfers (id, live, content, record) VALUES (?, ?, ?, ?) ON CONFLICT (id)
                     DO UPDATE SET live = excluded.live, content = excluded.content, record = excluded.record",
                )
                .bind(signed(row.id)?)
                .bind(i64::from(row.live))
                .bind(row.content.map(|hash| hash.as_bytes().to_vec()))
                .bind(row.record)
                .execute(&mut *tx)
                .await?;
            }
            sqlx::query(
                "DELETE FROM transfers WHERE live = 0 AND id NOT IN
                 (SELECT id FROM transfers WHERE live = 0 ORDER BY id DESC LIMIT ?)",
            )
            .bind(i64::from(keep_ended))
            .execute(&mut *tx)
            .await?;
            store.inner.before_commit()?;
            tx.commit().await?;
            Ok(())
        })
        .await
    }
}
