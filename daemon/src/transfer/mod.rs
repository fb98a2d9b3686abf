//! What to fetch from whom: the only place that decides. Knows nothing of the control socket.
//!
//! A [`Transfer`] is one download: [`download`] runs it, [`plan`] says which piece comes next, [`source`] talks to one
//! holder, [`deliver`] brings the bytes to the person who waits. [`publish`] is the way in. Which states a transfer goes
//! through is in STATE.md beside this file.
//!
//! Transfers live in memory; a restart forgets them and removes what they had not finished.

pub mod deliver;
pub mod download;
pub mod plan;
pub mod progress;
pub mod publish;
mod source;
mod swarm;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use p2p_proto::{Failure, rest::publications::Publication};
use p2p_service::lifecycle::Lifecycle;
use tokio::sync::Semaphore;

use self::{
    download::Keep,
    progress::{State, Transfer},
};
use crate::{directory::index::Announcer, identity::session::Sessions, meter::Meter, store::Store};

/// All downloads of this daemon. Cheap to clone.
#[derive(Clone)]
pub struct Transfers(Arc<Shared>);

struct Shared {
    sessions: Arc<Sessions>,
    store: Store,
    announcer: Announcer,
    received: Meter,
    slots: Semaphore,
    lifecycle: Lifecycle,
    next_id: AtomicU64,
    running: Mutex<HashMap<u64, Arc<Transfer>>>,
}

impl Transfers {
    /// No transfers yet; at most `max_active` will run at once.
    #[must_use]
    pub fn new(
        sessions: Arc<Sessions>,
        store: Store,
        announcer: Announcer,
        max_active: u16,
        lifecycle: Lifecycle,
    ) -> Self {
        Self(Arc::new(Shared {
            sessions,
            store,
            announcer,
            received: Meter::default(),
            slots: Semaphore::new(max_active.max(1).into()),
            lifecycle,
            next_id: AtomicU64::new(1),
            running: Mutex::default(),
        }))
    }

    /// Starts fetching a publication, or joins the transfer that does so already. A content that is here already is
    /// done at once.
    ///
    /// # Errors
    /// `NotLoggedIn`, and those of the store.
    pub async fn start(
        &self,
        publication: Publication,
        keep: Keep,
        wait: bool,
    ) -> Result<Arc<Transfer>, Failure> {
        self.0.sessions.require()?;
        let here = self.0.store.content(publication.hash).await?.is_some();
        let kept = matches!(keep, Keep::InStore);
        let transfer = {
            let mut running = self.running();
            if kept
                && !here
                && let Some(same) = running.values().find(|other| other.brings(publication.hash))
            {
                return Ok(Arc::clone(same));
            }
            let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
            let transfer = Arc::new(Transfer::new(id, publication, kept));
            running.insert(id, Arc::clone(&transfer));
            transfer
        };
        let task = run(Arc::clone(&self.0), Arc::clone(&transfer), keep, wait);
        self.0.lifecycle.spawn_request(task);
        Ok(transfer)
    }

    /// Transfers that run now.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.count(|state| !matches!(state, State::Queued))
    }

    /// Transfers that wait for their turn.
    #[must_use]
    pub fn queued(&self) -> u32 {
        self.count(|state| matches!(state, State::Queued))
    }

    /// Bytes per second that come in.
    #[must_use]
    pub fn download_rate(&self) -> u64 {
        self.0.received.rate()
    }

    fn count(&self, which: impl Fn(&State) -> bool) -> u32 {
        let running = self.running();
        running
            .values()
            .filter(|transfer| which(&transfer.progress().state))
            .count() as u32
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Transfer>>> {
        self.0.running()
    }
}

impl Shared {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Transfer>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one transfer to its end, whatever that is.
async fn run(shared: Arc<Shared>, transfer: Arc<Transfer>, keep: Keep, wait: bool) {
    let hard = shared.lifecycle.hard().clone();
    let outcome = tokio::select! {
        outcome = download::fetch(&shared, &transfer, keep, wait) => outcome,
        () = transfer.cancelled() => Err(progress::interrupted("nobody waits for it any more")),
        () = hard.cancelled() => Err(progress::interrupted("p2pd stops")),
    };
    if let Err(failure) = &outcome {
        tracing::warn!(TRANSFER = transfer.id, CONTENT_HASH = %transfer.publication.hash,
            "{}: {failure}", transfer.publication.name);
    }
    transfer.finish(outcome);
    shared.running().remove(&transfer.id);
}
