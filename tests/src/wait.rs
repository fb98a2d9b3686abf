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
        pause();
    }
}

/// Between two looks.
#[expect(clippy::disallowed_methods, reason = "another process cannot be awaited")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
