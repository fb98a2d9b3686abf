//! One transfer as others see it: its state, how far it is, who gives, and how it ended.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use p2p_proto::{ContentHash, Failure, FailureKind, PeerName, rest::publications::Publication};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{meter::Meter, store::Incoming};

/// Where a transfer stands; STATE.md tells which follows which.
#[derive(Clone, Debug)]
pub enum State {
    /// Others run first.
    Queued,
    /// Asking the directory.
    Locating,
    /// Nothing moves, for this reason.
    Waiting(String),
    /// Asking holders for the layer.
    Connecting,
    /// Pieces come.
    Transferring,
    /// All pieces are here and are made durable.
    Committing,
    /// The content is here.
    Done(Outcome),
    /// It is not, for this reason.
    Failed(Failure),
}

impl State {
    /// Nothing follows.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }
}

/// What a finished transfer did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// From start to end.
    pub seconds: f64,
    /// Bytes from each holder.
    pub sources: Vec<(PeerName, u64)>,
}

/// How far a transfer is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// Verified bytes.
    pub done: u64,
    /// Verified bytes from the start without a gap.
    pub frontier: u64,
}

/// One download.
pub struct Transfer {
    /// Its number, since the daemon started.
    pub id: u64,
    /// What it fetches.
    pub publication: Publication,
    /// It ends as a copy in the store.
    pub kept: bool,
    progress: watch::Sender<Progress>,
    incoming: Mutex<Option<Incoming>>,
    waiting: Mutex<Waiting>,
    sources: Mutex<BTreeMap<PeerName, u64>>,
    meter: Meter,
    started: Instant,
    cancel: CancellationToken,
}

impl Transfer {
    /// A transfer that waits for its turn.
    #[must_use]
    pub fn new(id: u64, publication: Publication, kept: bool) -> Self {
        let progress = Progress {
            state: State::Queued,
            done: 0,
            frontier: 0,
        };
        Self {
            id,
            publication,
            kept,
            progress: watch::Sender::new(progress),
            incoming: Mutex::default(),
            waiting: Mutex::default(),
            sources: Mutex::default(),
            meter: Meter::default(),
            started: Instant::now(),
            cancel: CancellationToken::new(),
        }
    }

    /// It will end as a copy of this content in the store.
    pub(super) fn brings(&self, hash: ContentHash) -> bool {
        self.kept && self.publication.hash == hash && !self.progress().state.is_final()
    }

    /// As of now.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Follows the changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Bytes per second over the last seconds.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.meter.rate()
    }

    /// Verified bytes from each holder so far.
    #[must_use]
    pub fn sources(&self) -> Vec<(PeerName, u64)> {
        let sources = lock(&self.sources);
        sources
            .iter()
            .map(|(name, bytes)| (name.clone(), *bytes))
            .collect()
    }

    /// Where verified bytes can be read while the transfer runs.
    #[must_use]
    pub fn incoming(&self) -> Option<Incoming> {
        lock(&self.incoming).clone()
    }

    /// Somebody waits for it. When the last one who waits is gone, a transfer that nobody wanted to go on alone ends,
    /// and what came is thrown away.
    #[must_use]
    pub fn attach(self: &Arc<Self>, goes_on_alone: bool) -> Attached {
        let mut waiting = lock(&self.waiting);
        waiting.people += 1;
        waiting.goes_on_alone |= goes_on_alone;
        Attached(Arc::clone(self))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The failure that the transfer ended with.
    pub async fn ended(&self) -> Result<Outcome, Failure> {
        let mut progress = self.subscribe();
        let last = progress.wait_for(|progress| progress.state.is_final()).await;
        match last.map(|progress| progress.state.clone()) {
            Ok(State::Done(outcome)) => Ok(outcome),
            Ok(State::Failed(failure)) => Err(failure),
            _ => Err(interrupted("the transfer is gone")),
        }
    }

    pub(super) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    pub(super) fn enter(&self, state: State) {
        self.progress.send_modify(|progress| progress.state = state);
    }

    pub(super) fn receives_into(&self, incoming: Incoming) {
        *lock(&self.incoming) = Some(incoming);
    }

    pub(super) fn received(&self, from: &PeerName, bytes: u64, frontier: u64) {
        self.meter.add(bytes);
        *lock(&self.sources).entry(from.clone()).or_default() += bytes;
        self.progress.send_modify(|progress| {
            progress.done += bytes;
            progress.frontier = progress.frontier.max(frontier);
        });
    }

    pub(super) fn finish(&self, result: Result<(), Failure>) {
        if result.is_err() {
            // Its place in the store is free for the next try before anybody hears of the failure.
            lock(&self.incoming).take();
        }
        let outcome = Outcome {
            seconds: self.started.elapsed().as_secs_f64(),
            sources: self.sources(),
        };
        self.enter(result.map_or_else(State::Failed, |()| State::Done(outcome)));
    }
}

#[derive(Default)]
struct Waiting {
    people: usize,
    goes_on_alone: bool,
}

/// One who waits for a transfer.
pub struct Attached(Arc<Transfer>);

impl Drop for Attached {
    fn drop(&mut self) {
        let mut waiting = lock(&self.0.waiting);
        waiting.people -= 1;
        if waiting.people == 0 && !waiting.goes_on_alone {
            self.0.cancel.cancel();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The failure of a transfer that was ended from outside.
pub(super) fn interrupted(why: &str) -> Failure {
    Failure::new(FailureKind::Interrupted, why)
}
