//! How fast bytes go by: a count, and the rate over the last seconds. In memory only.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The rate is taken over so long.
const WINDOW: Duration = Duration::from_secs(3);

/// Samples within one of these are one.
const GRAIN: Duration = Duration::from_millis(100);

/// Counts bytes. Cheap to clone; the clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Samples>>);

#[derive(Debug, Default)]
struct Samples {
    total: u64,
    recent: VecDeque<(Instant, u64)>,
}

impl Meter {
    /// So many bytes went by now.
    pub fn add(&self, bytes: u64) {
        self.add_at(bytes, Instant::now());
    }

    /// All bytes so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.samples().total
    }

    /// Bytes per second over the last seconds.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate_at(Instant::now())
    }

    fn add_at(&self, bytes: u64, now: Instant) {
        let mut samples = self.samples();
        samples.total += bytes;
        match samples.recent.back_mut() {
            Some((at, sum)) if now.duration_since(*at) < GRAIN => *sum += bytes,
            _ => samples.recent.push_back((now, bytes)),
        }
        samples.forget(now);
    }

    fn rate_at(&self, now: Instant) -> u64 {
        let mut samples = self.samples();
        samples.forget(now);
        let Some((first, _)) = samples.recent.front() else {
            return 0;
        };
        let span = now.duration_since(*first).max(GRAIN);
        let bytes: u64 = samples.recent.iter().map(|(_, bytes)| bytes).sum();
        (bytes as f64 / span.as_secs_f64()) as u64
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, Samples> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Samples {
    fn forget(&mut self, now: Instant) {
        while self
            .recent
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) > WINDOW)
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_last_seconds() {
        let meter = Meter::default();
        let start = Instant::now();
        for tenth in 0..20 {
            meter.add_at(100, start + GRAIN * tenth);
        }
        let rate = meter.rate_at(start + GRAIN * 20);
        assert!((900..=1100).contains(&rate), "{rate}");
        assert_eq!(meter.rate_at(start + Duration::from_secs(60)), 0);
        assert_eq!(meter.total(), 2000);
    }
}
