//! Says a thing once per key and minute, so that a flood of the same trouble from one source is one line, and the next one
//! says how many there were. In memory only. What all sources together may say is bounded in [`crate::logging`].

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The most keys that are remembered; beyond it nothing more is said until some are forgotten.
const MAX_KEYS: usize = 1024;

/// Remembers what was said when.
#[derive(Debug)]
pub struct OncePerMinute<K>(Mutex<HashMap<K, Said>>);

#[derive(Clone, Copy, Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

/// How many times the same was not said since it was said last; for the end of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct More(pub u64);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, " (and {more} more like it before)"),
        }
    }
}

impl<K> Default for OncePerMinute<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> OncePerMinute<K> {
    /// True when nothing was said of this key for a minute.
    pub fn may_say(&self, key: K) -> bool {
        self.say(key).is_some()
    }

    /// The same, with the number of those of which nothing was said since.
    pub fn say(&self, key: K) -> Option<More> {
        self.say_at(key, Instant::now())
    }

    fn say_at(&self, key: K, now: Instant) -> Option<More> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() >= MAX_KEYS {
            said.retain(|_, said| now.duration_since(said.at) < MINUTE);
        }
        let full = said.len() >= MAX_KEYS;
        match said.get_mut(&key) {
            Some(last) if now.duration_since(last.at) < MINUTE => {
                last.unsaid += 1;
                None
            }
            Some(last) => {
                let more = More(last.unsaid);
                *last = Said { at: now, unsaid: 0 };
                Some(more)
            }
            None if full => None,
            None => {
                said.insert(key, Said { at: now, unsaid: 0 });
                Some(More(0))
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
        assert_eq!(once.say_at(1, now), Some(More(0)));
        assert_eq!(once.say_at(1, now + MINUTE / 2), None);
        assert_eq!(once.say_at(1, now + MINUTE / 2), None);
        assert_eq!(once.say_at(2, now), Some(More(0)));
        let again = once.say_at(1, now + MINUTE).unwrap();
        assert_eq!(again.to_string(), " (and 2 more like it before)");
        assert_eq!(once.say_at(1, now + 2 * MINUTE), Some(More(0)));
        assert_eq!(More(0).to_string(), "");
    }

    #[test]
    fn memory_is_bounded() {
        let once = OncePerMinute::default();
        let now = Instant::now();
        assert_eq!(
            (0..2 * MAX_KEYS)
                .filter(|key| once.say_at(*key, now).is_some())
                .count(),
            MAX_KEYS
        );
        assert!(once.say_at(usize::MAX, now + MINUTE).is_some());
    }
}
