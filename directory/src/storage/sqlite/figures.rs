//! How much there is, on SQLite. To count all of it takes as long as there is much: one counts at a time, whoever else asks
//! waits for that, and what took long is not counted again soon. So a page that is read often leaves readers to the API.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::{Sqlite, rows};
use crate::storage::{FigureStore, Figures, Overview, Reply, StorageError};

/// A count that takes less is made whenever somebody asks.
const SHORT: Duration = Duration::from_millis(100);

/// A longer one may take this part of the time.
const PART: u32 = 50;

/// What was counted last. It is lost when the program ends.
pub(super) struct Counted {
    turn: Semaphore,
    last: Mutex<Option<Last>>,
}

struct Last {
    figures: Figures,
    until: Instant,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            last: Mutex::default(),
        }
    }
}

impl Counted {
    fn at(&self, now: Instant) -> Option<Figures> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let good = last.as_ref().filter(|last| now < last.until);
        good.map(|last| last.figures.clone())
    }

    fn keep(&self, figures: Figures, begun: Instant, ended: Instant) {
        let took = ended.saturating_duration_since(begun);
        let keep = if took < SHORT { Duration::ZERO } else { took * PART };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Last {
            figures,
            until: ended + keep,
        });
    }
}

impl Sqlite {
    async fn count(&self) -> Result<Figures, StorageError> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM users) AS accounts, \
             (SELECT count(*) FROM users WHERE disabled = 1) AS accounts_disabled, \
             (SELECT count(*) FROM groups) AS groups, \
             (SELECT count(*) FROM leases WHERE expires_at > ?1) AS peers_online, \
             (SELECT count(*) FROM peers) AS peers_known, \
             (SELECT count(*) FROM revoked_peers) AS peers_revoked, \
             (SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user \
              WHERE s.expires_at > ?1 AND u.disabled = 0) AS sessions, \
             (SELECT count(*) FROM (SELECT 1 FROM publications WHERE withdrawn_at IS NULL \
              GROUP BY owner, name)) AS files, \
             (SELECT count(*) FROM publications WHERE withdrawn_at IS NULL) AS publications, \
             (SELECT count(*) FROM holds) AS holds, (SELECT count(*) FROM events) AS events",
        )
        .bind(self.now())
        .fetch_one(&self.readers)
        .await?;
        let count = |column| rows::count(&row, column);
        Ok(Figures {
            accounts: count("accounts")?,
            accounts_disabled: count("accounts_disabled")?,
            groups: count("groups")?,
            peers_online: count("peers_online")?,
            peers_known: count("peers_known")?,
            peers_revoked: count("peers_revoked")?,
            sessions: count("sessions")?,
            files: count("files")?,
            publications: count("publications")?,
            holds: count("holds")?,
            events: count("events")?,
            database_bytes: self.bytes(),
            database: self.file.clone(),
        })
    }
}

impl FigureStore for Sqlite {
    fn overview(&self) -> Reply<'_, Overview> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT (SELECT count(*) FROM users) AS accounts, \
                 (SELECT count(*) FROM leases WHERE expires_at > ?1) AS peers_online, \
                 (SELECT count(*) FROM (SELECT 1 FROM publications WHERE withdrawn_at IS NULL \
                  GROUP BY owner, name)) AS files",
            )
            .bind(self.now())
            .fetch_one(&self.readers)
            .await?;
            let count = |column| rows::count(&row, column);
            Ok(Overview {
                accounts: count("accounts")?,
                peers_online: count("peers_online")?,
                files: count("files")?,
            })
        })
    }

    fn figures(&self) -> Reply<'_, Figures> {
        Box::pin(async move {
            // Never closed: without a turn it counts all the same.
            let _turn = self.counted.turn.acquire().await.ok();
            let begun = Instant::now();
            if let Some(figures) = self.counted.at(begun) {
                return Ok(figures);
            }
            let figures = self.count().await?;
            self.counted.keep(figures.clone(), begun, Instant::now());
            Ok(figures)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn what_took_long_to_count_is_not_counted_again_soon() {
        let folder = tempfile::tempdir().unwrap();
        let database = Sqlite::open(&folder.path().join("db"), Arc::new(SystemClock))
            .await
            .unwrap();
        let counted = database.count().await.unwrap();
        let other = Figures {
            accounts: 7,
            ..counted
        };
        let begun = Instant::now();
        let long = SHORT * 10_000;
        let ended = begun + long;
        database.counted.keep(other.clone(), begun, ended);
        assert_eq!(database.figures().await.unwrap().accounts, 7);
        assert!(database.counted.at(ended + long * PART).is_none());
        database.counted.keep(other, begun, begun);
        assert_eq!(database.figures().await.unwrap().accounts, 0);
    }
}
