//! Says a thing once per key and minute, so that a flood of the same trouble is one line. In memory only.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The most keys that are remembered; beyond it nothing more is said until some are forgotten.
const MAX_KEYS: usize = 1024;

/// Remembers what was said when.
#[derive(Debug)]
pub struct OncePerMinute<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for OncePerMinute<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> OncePerMinute<K> {
    /// True when nothing was said of this key for a minute.
    pub fn may_say(&self, key: K) -> bool {
        self.may_say_at(key, Instant::now())
    }

    fn may_say_at(&self, key: K, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MAX_KEYS {
            said.retain(|_, at| now.duration_since(*at) < MINUTE);
        }
        match said.get(&key) {
            Some(at) if now.duration_since(*at) < MINUTE => false,
            None if said.len() >= MAX_KEYS => false,
            _ => {
                said.insert(key, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_per_key_and_minute() {
        let once = OncePerMinute::default();
        let now = Instant::now();
        assert!(once.may_say_at(1, now));
        assert!(!once.may_say_at(1, now + MINUTE / 2));
        assert!(once.may_say_at(2, now));
        assert!(once.may_say_at(1, now + MINUTE));
    }

    #[test]
    fn memory_is_bounded() {
        let once = OncePerMinute::default();
        let now = Instant::now();
        assert_eq!(
            (0..2 * MAX_KEYS).filter(|key| once.may_say_at(*key, now)).count(),
            MAX_KEYS
        );
        assert!(once.may_say_at(usize::MAX, now + MINUTE));
    }
}
