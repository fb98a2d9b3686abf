//! Waiting for a condition outside this process, which cannot be awaited otherwise than by looking.

use std::time::{Duration, Instant};

/// The longest wait for anything that should happen at once.
pub const SOON: Duration = Duration::from_secs(30);

/// Looks until there is something; panics with `what` when it takes longer than `limit`.
///
/// # Panics
/// After `limit`.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < limit, "waited {limit:?} for {what}");
        pause(Duration::from_millis(20));
    }
}

/// Looks every 50 ms until there is something, or `limit` is over.
pub fn often<T>(limit: Duration, look: impl FnMut() -> Option<T>) -> Option<T> {
    within(limit, Duration::from_millis(50), look)
}

/// Looks without a pause that would matter to what is looked at, until there is something or `limit` is over.
pub fn closely<T>(limit: Duration, look: impl FnMut() -> Option<T>) -> Option<T> {
    within(limit, Duration::from_micros(100), look)
}

fn within<T>(limit: Duration, between: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if begun.elapsed() >= limit {
            return None;
        }
        pause(between);
    }
}

/// Between two looks.
#[expect(clippy::disallowed_methods, reason = "another process cannot be awaited")]
fn pause(between: Duration) {
    std::thread::sleep(between);
}
