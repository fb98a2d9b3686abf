//! The stream of events: who tells puts one at its end, a writer brings it to the file, and then watchers read it, each from
//! where he is. Nobody waits for anybody. What is told while the file hangs is kept in memory up to a bound, and what is
//! more is counted and said to be lost; a watcher who reads so slowly that what follows is forgotten hears that too.
//!
//! [`Bus`] owns the events: [`KEPT`] of them in memory and in `state_dir/events` (see [`super::log`]). A kill loses what was
//! told in its last instant, and nothing that a watcher has seen. A place is never given twice, also after a loss of power:
//! each run begins at the microsecond of its start, or a million places after the last one.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use super::log::Mark;
use super::{
    log::{Line, Log},
    state::{Item, KEPT, State},
    watcher::Watcher,
    what::What,
};
use crate::store::AccountId;

/// The events of this peer. Cheap to clone.
#[derive(Clone)]
pub struct Bus(Arc<Shared>);

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bus")
    }
}

struct Shared {
    state: Mutex<State>,
    /// Written to by one writer at a time.
    log: Mutex<Log>,
    failing: AtomicBool,
    writing: tokio::sync::Mutex<()>,
    /// Something waits to be written.
    told: Notify,
    /// The place of the last event that can be watched.
    newest: watch::Sender<u64>,
}

impl Bus {
    /// The events of earlier runs, and those to come.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (mut log, written) = Log::open(path)?;
        let whole = written.after.is_some();
        let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0);
        let state = State::of(written, now);
        if !whole {
            log.rewrite(&state.kept.lines())?;
        }
        Ok(Self(Arc::new(Shared {
            newest: watch::Sender::new(state.kept.last()),
            state: Mutex::new(state),
            log: Mutex::new(log),
            failing: AtomicBool::new(false),
            writing: tokio::sync::Mutex::default(),
            told: Notify::new(),
        })))
    }

    /// What is told from now on is this account's.
    pub fn is_of(&self, account: Option<AccountId>) {
        self.state().account = account;
    }

    /// Tells what happened now, to the account that is logged in or was last.
    pub fn tell(&self, what: What) {
        let account = self.state().account;
        self.tell_to(account, what);
    }

    /// Tells what happened now to this account.
    pub fn tell_to(&self, account: Option<AccountId>, what: What) {
        // Of transfers the log hears before they are written.
        if !matches!(what, What::Transfer { .. }) {
            what.log();
        }
        self.state().tell(account, what);
        self.0.told.notify_one();
    }

    /// What is known of the events of this cluster's directory: all up to the answer; nil when it had none, nothing when it
    /// was never asked.
    #[must_use]
    pub fn heard_up_to(&self, cluster: Uuid) -> Option<Uuid> {
        self.state().heard_up_to(cluster)
    }

    /// The directory does not know the event any more that was heard last: what it tells next is new, whatever its ids are.
    pub fn hears_anew(&self) {
        self.state().hears_anew();
    }

    /// Tells this account what happened at the directory: each with its id there and its time, the oldest first. What is
    /// known already is not told again. All up to the mark is known then.
    pub fn hear(&self, account: AccountId, events: Vec<(Uuid, Timestamp, What)>, mark: Mark) {
        self.state().hear(account, events, mark);
        self.0.told.notify_one();
    }

    /// Watches what follows the event with this id; from now on when it is empty. After an id that is forgotten or not
    /// known the first event says that some are lost, and the oldest that is kept follows.
    #[must_use]
    pub fn watch(&self, after: &str) -> Watcher {
        Watcher::after(self.clone(), self.0.newest.subscribe(), after)
    }

    /// Brings what is told to the file and to watchers, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.0.told.notified() => self.flush().await,
                () = stop.cancelled() => return self.flush().await,
            }
        }
    }

    /// Brings what was told to the file, and then to watchers.
    pub async fn flush(&self) {
        let _writing = self.0.writing.lock().await;
        let items = self.state().take_waiting();
        if items.is_empty() {
            return;
        }
        let bus = self.clone();
        match tokio::task::spawn_blocking(move || bus.write(&items)).await {
            Ok(Ok(())) => self.0.failing.store(false, Ordering::Relaxed),
            Ok(Err(error)) if !self.0.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!("events are not kept over a restart: {error}");
            }
            Ok(Err(_)) => {}
            Err(error) => tracing::error!("events are not written: their writer died: {error}"),
        }
        let last = self.state().written();
        self.0.newest.send_replace(last);
    }

    /// Adds to the file, or writes it anew when it is cut or too long.
    fn write(&self, items: &[Item]) -> io::Result<()> {
        let mut log = lock(&self.0.log);
        if !log.is_cut() && log.lines() + items.len() <= 2 * KEPT {
            let lines: Vec<Line<'_>> = items.iter().map(Item::line).collect();
            return log.append(&lines);
        }
        let mut kept = self.state().kept.clone();
        kept.add(items);
        log.rewrite(&kept.lines())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
