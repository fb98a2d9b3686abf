//! The scrub: reads every content back in turn, slowly, so that damage is found while another peer still has what heals
//! it. Owns nothing; the times are in `verified`, so a restart goes on with the oldest.

use std::{sync::Arc, time::Duration};

use p2p_proto::ContentHash;
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::{
    Pace, Store,
    error::StoreError,
    metadata::{self, good},
    partials,
};

/// How long to wait after an error of the database or the system.
const AFTER_ERROR: Duration = Duration::from_secs(60);

impl Store {
    /// Until `stop`: verifies the content that was verified longest ago, never before all others, with at most `rate` bytes
    /// a second; each again when `every` has passed. What is damaged is put aside and shows in [`Store::damaged`].
    pub async fn scrub(&self, rate: u64, every: Duration, stop: CancellationToken) {
        stop.run_until_cancelled(self.scrub_on(rate, every)).await;
    }

    async fn scrub_on(&self, rate: u64, every: Duration) {
        let pace = Pace {
            bytes_per_second: rate,
        };
        loop {
            match self.scrub_next(pace, every).await {
                Ok(wait) if wait.is_zero() => {}
                Ok(wait) => {
                    // Or until something came that was never verified.
                    let _ = tokio::time::timeout(wait, self.inner.arrived.notified()).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the scrub rests");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    /// Verifies one that is due; how long until the next one may be.
    async fn scrub_next(&self, pace: Pace, every: Duration) -> Result<Duration, StoreError> {
        let Some((hash, at)) = self.oldest().await? else {
            return Ok(every.max(AFTER_ERROR));
        };
        let age =
            at.map(|at| Duration::from_millis(partials::now().saturating_sub(at).max(0).unsigned_abs()));
        if let Some(age) = age
            && age < every
        {
            return Ok((every - age).max(Duration::from_millis(1)));
        }
        match self.verify(hash, Some(pace), Arc::new(|_| {})).await {
            // It was dropped meanwhile.
            Ok(_) | Err(StoreError::NotStored { .. }) => Ok(Duration::ZERO),
            Err(error) => Err(error),
        }
    }

    async fn oldest(&self) -> Result<Option<(ContentHash, Option<i64>)>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT contents.hash, v.at FROM contents LEFT JOIN verified v ON v.hash = contents.hash",
            good!(),
            // No time at all sorts first.
            " ORDER BY v.at, contents.hash LIMIT 1"
        ))
        .fetch_optional(self.inner.metadata.reader())
        .await?;
        row.map(|row| Ok((metadata::hash(&row, 0)?, row.try_get(1)?)))
            .transpose()
    }
}
