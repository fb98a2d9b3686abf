//! How much there is, on SQLite.

use sqlx::Row;

use super::Sqlite;
use crate::storage::{FigureStore, Figures, Overview, Reply, StorageError};

impl FigureStore for Sqlite {
    fn overview(&self) -> Reply<'_, Overview> {
        Box::pin(async move {
            let [accounts, peers_online, files] = self
                .count(
                    "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM leases WHERE expires_at > ?1), \
                     (SELECT count(*) FROM (SELECT 1 FROM publications WHERE withdrawn_at IS NULL GROUP BY owner, name))",
                )
                .await?;
            Ok(Overview {
                accounts,
                peers_online,
                files,
            })
        })
    }

    fn figures(&self) -> Reply<'_, Figures> {
        Box::pin(async move {
            let overview = self.overview().await?;
            let [sessions, peers, publications, holds, events] = self
                .count(
                    "SELECT (SELECT count(*) FROM sessions WHERE expires_at > ?1), (SELECT count(*) FROM peers), \
                     (SELECT count(*) FROM publications WHERE withdrawn_at IS NULL), (SELECT count(*) FROM holds), \
                     (SELECT count(*) FROM events)",
                )
                .await?;
            Ok(Figures {
                overview,
                sessions,
                peers,
                publications,
                holds,
                events,
            })
        })
    }
}

impl Sqlite {
    /// The columns of the one row that this gives; `?1` is the time.
    async fn count<const N: usize>(&self, sql: &'static str) -> Result<[u64; N], StorageError> {
        let row = sqlx::query(sql)
            .bind(self.now())
            .fetch_one(&self.readers)
            .await?;
        let mut counts = [0; N];
        for (column, count) in counts.iter_mut().enumerate() {
            *count = row.try_get::<i64, _>(column)?.max(0).unsigned_abs();
        }
        Ok(counts)
    }
}
