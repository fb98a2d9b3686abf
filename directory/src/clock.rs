//! The time, as one thing that is passed around: the system's clock in a program, one that is set by hand in tests.

use std::{fmt, time::Duration};

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// The longest sleep before the clock is read again, so that a clock that was set is noticed.
const STEP: Duration = Duration::from_secs(30);

/// Tells the time and waits for it.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> Timestamp;

    /// Ends when `at` has come.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()>;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            while let Ok(left) = Duration::try_from(at.duration_since(self.now())) {
                if left.is_zero() {
                    break;
                }
                // A millisecond more: a timer may fire within the millisecond before.
                tokio::time::sleep(left.min(STEP) + Duration::from_millis(1)).await;
            }
        })
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl ManualClock {
    /// A clock that shows this time.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(watch::Sender::new(now))
    }

    /// Moves it forward and wakes whoever waits for a time.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = after(*now, by));
    }

    /// Sets it, also back.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        let mut now = self.0.subscribe();
        Box::pin(async move {
            // The sender lives as long as self.
            let _ = now.wait_for(|now| *now >= at).await;
        })
    }
}

/// The time that long after; the end of all time when there is none.
#[must_use]
pub fn after(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The time that long before; the beginning of all time when there is none.
#[must_use]
pub fn before(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_sub(by).ok())
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_moved() {
        let clock = std::sync::Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let at = after(clock.now(), Duration::from_secs(60));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(at).await }
        });
        clock.advance(Duration::from_secs(61));
        sleeper.await.unwrap();
    }

    #[tokio::test]
    async fn the_past_has_come() {
        SystemClock.sleep_until(Timestamp::UNIX_EPOCH).await;
        assert_eq!(after(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
    }
}
