//! Who runs: at most so many transfers have a turn (`[transfer] max_active`), and the others wait for one. The next turn
//! goes to the one of the highest priority, of those to the one that has waited longest. A turn that somebody has is his
//! until he is done, whatever others are worth. In memory: after a crash nobody waits.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU8, Ordering},
};

use p2p_proto::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What a transfer is worth against the others that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// After the others.
    Low,
    /// As all are at first.
    #[default]
    Normal,
    /// Before the others.
    High,
}

impl Priority {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// As the wire and people say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

impl std::str::FromStr for Priority {
    type Err = Failure;

    fn from_str(word: &str) -> Result<Self, Failure> {
        let mut all = Self::ALL.into_iter();
        all.find(|priority| priority.word() == word).ok_or_else(|| {
            let message = format!("\"{word}\" is no priority; there are high, normal and low");
            Failure::new(FailureKind::Usage, message)
        })
    }
}

/// A priority that changes while somebody waits with it.
#[derive(Debug)]
pub struct Rank(AtomicU8);

impl Default for Rank {
    fn default() -> Self {
        Self::new(Priority::default())
    }
}

impl Rank {
    /// With this priority.
    #[must_use]
    pub const fn new(priority: Priority) -> Self {
        Self(AtomicU8::new(priority as u8))
    }

    /// From now on it is this.
    pub fn set(&self, priority: Priority) {
        self.0.store(priority as u8, Ordering::Relaxed);
    }

    /// As of now.
    #[must_use]
    pub fn get(&self) -> Priority {
        let now = self.0.load(Ordering::Relaxed);
        let mut all = Priority::ALL.into_iter();
        all.find(|priority| *priority as u8 == now).unwrap_or_default()
    }
}

/// The turns of all transfers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Turns(Arc<Mutex<State>>);

struct State {
    most: usize,
    taken: usize,
    /// In the order in which they came.
    waiting: Vec<Waiter>,
}

struct Waiter {
    rank: Arc<Rank>,
    hears: oneshot::Sender<()>,
}

impl Turns {
    /// At most so many at once; one at least.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            most: most.max(1),
            taken: 0,
            waiting: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on so many. Who has a turn keeps it.
    pub fn set_most(&self, most: usize) {
        let mut state = self.state();
        state.most = most.max(1);
        state.hand_out();
    }

    /// A turn, if one is free and nobody waits.
    pub fn try_take(&self) -> Option<Turn> {
        let mut state = self.state();
        (state.waiting.is_empty() && state.taken < state.most).then(|| {
            state.taken += 1;
            Turn(self.clone())
        })
    }

    /// Waits for a turn.
    pub async fn take(&self, rank: Arc<Rank>) -> Turn {
        let (hears, told) = oneshot::channel();
        let mut waits = Waits {
            turns: self.clone(),
            told,
        };
        {
            let mut state = self.state();
            state.waiting.retain(|waiter| !waiter.hears.is_closed());
            state.waiting.push(Waiter { rank, hears });
            state.hand_out();
        }
        // Whoever hears nothing any more has it: the sender goes only with a word.
        let _ = (&mut waits.told).await;
        waits.told.close();
        Turn(self.clone())
    }

    /// Somebody waits for a turn.
    pub fn is_wanted(&self) -> bool {
        let state = self.state();
        state.waiting.iter().any(|waiter| !waiter.hears.is_closed())
    }
}

impl State {
    fn hand_out(&mut self) {
        while self.taken < self.most {
            // Of those alike the first.
            let best = (self.waiting.iter().enumerate())
                .min_by_key(|(place, waiter)| (std::cmp::Reverse(waiter.rank.get()), *place));
            let Some((place, _)) = best else { return };
            let waiter = self.waiting.remove(place);
            // One that has gone wants none.
            if waiter.hears.send(()).is_ok() {
                self.taken += 1;
            }
        }
    }
}

/// One who waits. Dropped with a turn that it did not take, it gives that back.
struct Waits {
    turns: Turns,
    told: oneshot::Receiver<()>,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.told.close();
        if self.told.try_recv().is_ok() {
            drop(Turn(self.turns.clone()));
        }
    }
}

/// The right to run, until it is dropped.
pub(super) struct Turn(Turns);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.taken -= 1;
        state.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn rank(priority: Priority) -> Arc<Rank> {
        Arc::new(Rank::new(priority))
    }

    #[test]
    fn the_highest_is_next_and_of_those_the_first() {
        let turns = Turns::new(1);
        let first = turns.try_take().unwrap();
        assert!(turns.try_take().is_none() && !turns.is_wanted());
        let (low, late) = (rank(Priority::Low), rank(Priority::Normal));
        let mut waiting = [
            Box::pin(turns.take(Arc::clone(&low))),
            Box::pin(turns.take(rank(Priority::Normal))),
            Box::pin(turns.take(Arc::clone(&late))),
        ];
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        assert!(turns.is_wanted());
        late.set(Priority::High);
        drop(first);
        assert!((&mut waiting[0]).now_or_never().is_none() && (&mut waiting[1]).now_or_never().is_none());
        let high = (&mut waiting[2]).now_or_never().unwrap();
        // Not taken from who has it.
        low.set(Priority::High);
        assert!((&mut waiting[0]).now_or_never().is_none());
        drop(high);
        let next = (&mut waiting[0]).now_or_never().unwrap();
        turns.set_most(2);
        let last = (&mut waiting[1]).now_or_never().unwrap();
        turns.set_most(1);
        drop((next, last));
        let one = turns.try_take();
        assert!(one.is_some() && turns.try_take().is_none());
    }

    #[test]
    fn who_goes_leaves_his_turn_to_others() {
        let turns = Turns::new(1);
        let first = turns.try_take().unwrap();
        let mut gone = Box::pin(turns.take(rank(Priority::High)));
        let mut told = Box::pin(turns.take(rank(Priority::High)));
        let mut last = Box::pin(turns.take(rank(Priority::Low)));
        for one in [&mut gone, &mut told, &mut last] {
            assert!(one.now_or_never().is_none());
        }
        drop(gone);
        drop(first);
        // It was handed a turn, and did not come for it.
        drop(told);
        assert!((&mut last).now_or_never().is_some());
        assert!(turns.try_take().is_some());
    }

    #[test]
    fn words_come_back() {
        for priority in Priority::ALL {
            assert_eq!(priority.word().parse(), Ok(priority));
            assert_eq!(Rank::new(priority).get(), priority);
        }
        assert_eq!(Rank::default().get(), Priority::Normal);
        assert!("urgent".parse::<Priority>().is_err());
    }
}
