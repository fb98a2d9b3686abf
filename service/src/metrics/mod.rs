//! Numbers for a monitoring system, in the text format of Prometheus (version 0.0.4). Counters live in memory from the
//! start of the program; a [`Page`] is made of them, and of what else is known, when somebody asks. Labels are of few known
//! words: never names, addresses or ids of others.

mod page;
mod serve;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

pub use self::{
    page::{CONTENT_TYPE, Kind, Page},
    serve::{bind_metrics, serve_metrics},
};

/// Rises only.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Since the start.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now of something that comes and goes.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

/// One of those; it is gone when this is dropped.
#[derive(Debug)]
pub struct Here(&'static Level);

impl Level {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more, until what this gives is dropped.
    #[must_use]
    pub fn enter(&'static self) -> Here {
        self.0.fetch_add(1, Ordering::Relaxed);
        Here(self)
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Upper bounds of a histogram of times, in seconds.
pub const BOUNDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// How long things took.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    /// Those up to each of [`BOUNDS`] and above the one before; the last are longer than all.
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Durations {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound);
        self.counts[place.unwrap_or(BOUNDS.len())] += 1;
        self.sum += took;
    }
}

/// Connections that are open now.
pub static CONNECTIONS: Level = Level::new();

/// Connections that were closed at once since there were too many, in all or of one source.
pub static TOO_MANY: Counter = Counter::new();

/// Connections whose handshake failed or took too long.
pub static HANDSHAKES_FAILED: Counter = Counter::new();

/// When the program was started, in seconds since 1970: a figure that every program has.
#[must_use]
pub fn unix_seconds() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_come_and_go() {
        static LEVEL: Level = Level::new();
        let (first, second) = (LEVEL.enter(), LEVEL.enter());
        assert_eq!(LEVEL.get(), 2);
        drop((first, second));
        assert_eq!(LEVEL.get(), 0);
    }

    #[test]
    fn times_fall_into_their_buckets() {
        let mut durations = Durations::default();
        for ms in [1, 2, 10_000] {
            durations.add(Duration::from_millis(ms));
        }
        assert_eq!(durations.counts[..2], [1, 1]);
        assert_eq!(durations.counts[BOUNDS.len()], 1);
        assert_eq!(durations.sum, Duration::from_millis(10_003));
    }
}
