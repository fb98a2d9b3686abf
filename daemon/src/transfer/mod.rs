//! What to fetch from whom: the only place that decides. Knows nothing of the control socket.
//!
//! A [`Transfer`] is one download, one upload, or one copy on another peer ([`job`]). [`Transfers`] owns them all and
//! runs each ([`drive`]): a go of [`download`] or [`copy`], a wait when nobody can help now, and the next go with what is
//! there.
//! [`locate`] says who has a content, [`plan`] which piece comes next, [`source`] talks to one holder, [`deliver`] brings
//! the bytes to the person who waits; [`limits`] says how fast bytes may go and come, [`turns`] who of those that wait
//! is next; [`publish`] is the way in, and [`pending`] asks again for what the directory did not
//! confirm; [`heal`] fetches anew what was found damaged. Those of one content stand in [`line`]. Which states a transfer
//! goes through is in STATE.md beside this file.
//!
//! [`telling`] is what watchers hear of a transfer. [`journal`] writes what must survive: after a restart every transfer that had not ended goes on, with the bytes that the
//! store had made durable.

mod accounts;
mod copy;
pub mod deliver;
pub mod download;
mod drive;
pub mod heal;
pub mod job;
pub mod journal;
mod layer;
pub mod limits;
mod line;
pub mod locate;
mod orders;
mod pace;
mod pending;
pub mod place;
pub mod plan;
pub mod progress;
mod proof;
pub mod publish;
mod registry;
mod roll;
mod source;
mod steering;
mod swarm;
mod telling;
pub mod turns;
mod uploading;

use std::sync::{Arc, Mutex};

use p2p_proto::{ContentHash, Failure, FailureKind};
use p2p_service::lifecycle::Lifecycle;
use tokio::sync::{Notify, watch};

use self::{
    copy::Copy,
    download::Fetch,
    drive::{Work, run},
    job::{Job, Keep},
    journal::{AccountId, Journal},
    limits::Limits,
    line::Lines,
    locate::Locator,
    place::Replication,
    progress::{Intent, State, Transfer},
    registry::{Entry, Registry},
    telling::Voice,
    turns::Turns,
};
pub use self::{orders::Order, uploading::Uploading};
use crate::{
    directory::index::Announcer,
    events::Bus,
    identity::session::Sessions,
    meter::Meter,
    store::{Store, StoreError},
};

/// What keeps a transfer from going on.
#[derive(Debug)]
pub enum Halt {
    /// It comes to nothing.
    Failed(Failure),
    /// Not now; for this reason.
    Wait(Failure),
}

impl Halt {
    /// What the directory said. It ends a transfer when it would say so again; a directory that is away, fails or knows
    /// no session may say otherwise later.
    fn of_directory(said: Failure) -> Self {
        if locate::is_final(&said) {
            Self::Failed(said)
        } else {
            Self::Wait(said)
        }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// All transfers of this daemon. Cheap to clone.
#[derive(Clone)]
pub struct Transfers(Arc<Shared>);

struct Shared {
    sessions: Arc<Sessions>,
    store: Store,
    announcer: Announcer,
    locator: Locator,
    received: Meter,
    limits: Limits,
    turns: Turns,
    lines: Lines,
    lifecycle: Lifecycle,
    journal: Arc<Journal>,
    registry: Registry,
    replications: Mutex<Vec<Arc<Replication>>>,
    /// Those that wait shall look again.
    look_again: Notify,
    /// Rises when a transfer begins or ends.
    changes: watch::Sender<u64>,
}

impl Transfers {
    /// The transfers of the last run, which go on at [`Self::restore`]; at most `max_active` fetch at once, within these
    /// limits.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(
        sessions: Arc<Sessions>,
        store: Store,
        announcer: Announcer,
        (max_active, limits): (u16, Limits),
        lifecycle: Lifecycle,
    ) -> Result<Self, StoreError> {
        let journal = Arc::new(Journal::new(store.clone()));
        let (known, last_id) = journal.load().await?;
        Ok(Self(Arc::new(Shared {
            locator: Locator::new(Arc::clone(&sessions), store.clone()),
            sessions,
            store,
            announcer,
            received: Meter::default(),
            limits,
            turns: Turns::new(max_active.into()),
            lines: Lines::default(),
            lifecycle,
            journal,
            registry: Registry::new(known, last_id),
            replications: Mutex::default(),
            look_again: Notify::new(),
            changes: watch::Sender::new(0),
        })))
    }

    /// From now on it tells how transfers go. Before [`Self::restore`].
    pub fn tells(&self, bus: Bus) {
        self.0.journal.tells(bus);
    }

    /// Lets go on what had not ended, and writes what changes from now on.
    pub fn restore(&self) {
        let journal = Arc::clone(&self.0.journal);
        let soft = self.0.lifecycle.soft().clone();
        self.0
            .lifecycle
            .spawn_request(async move { journal.run(soft).await });
        let shared = Arc::clone(&self.0);
        self.0
            .lifecycle
            .spawn_request(async move { shared.look_again_with_each_session().await });
        let mut entries = self.0.registry.entries();
        // Who is worth most is at the turns first.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.transfer.priority()));
        for Entry { transfer, account } in entries {
            if transfer.progress().state.is_final() {
                continue;
            }
            self.0.gives_voice(&transfer, account);
            transfer.be_patient();
            self.0.limit_copy(&transfer);
            let work = match transfer.job.clone() {
                Job::Download {
                    publication,
                    kept: true,
                    ..
                } => Work::Fetch(Fetch::new(publication, Keep::InStore)),
                Job::Replicate {
                    publication,
                    peer_id,
                    peer,
                } => Work::Copy(Copy::new(publication, (peer_id, peer), None)),
                Job::Download { .. } | Job::Upload { .. } => {
                    let message = "p2pd was stopped while it ran; start it again";
                    self.0.end(&transfer, Err(progress::interrupted(message)));
                    continue;
                }
            };
            self.0.begin(&transfer, work);
        }
    }

    /// Every transfer that has not ended, and the last ones that have, by number.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Transfer>> {
        self.0
            .registry
            .entries()
            .into_iter()
            .map(|entry| entry.transfer)
            .collect()
    }

    /// The same, of the account that is logged in, or was last.
    #[must_use]
    pub fn of_account(&self) -> Vec<Arc<Transfer>> {
        let mut all = self.all();
        all.retain(|transfer| self.0.is_of_last_account(transfer.id));
        all
    }

    /// The transfer with this number.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, id: u64) -> Result<Arc<Transfer>, Failure> {
        let found = self.0.registry.get(id).map(|entry| entry.transfer);
        let found = found.filter(|_| self.0.is_of_last_account(id));
        found.ok_or_else(|| Self::unknown(id))
    }

    /// The answer for a transfer that is not there.
    #[must_use]
    pub fn unknown(id: u64) -> Failure {
        Failure::new(FailureKind::NotFound, format!("no transfer {id}")).hint("p2pctl transfers")
    }

    /// Says what is wanted of a transfer.
    ///
    /// # Errors
    /// `NotFound`; `Usage` when it has ended, or cannot stand still.
    pub fn want(&self, id: u64, intent: Intent) -> Result<Arc<Transfer>, Failure> {
        let transfer = self.get(id)?;
        let now = transfer.progress().state;
        let usage = |what: &str| Err(Failure::new(FailureKind::Usage, format!("transfer {id} {what}")));
        match intent {
            Intent::Cancel if now.is_final() => return Ok(transfer),
            _ if now.is_final() => return usage(&format!("has ended: {}", now.word())),
            Intent::Pause if transfer.job.brings().is_none() => {
                return usage("cannot stand still: only a download into the store can");
            }
            _ => transfer.want(intent),
        }
        self.0.note(&transfer, true);
        Ok(transfer)
    }

    /// Writes what changed of transfers.
    pub async fn flush(&self) {
        self.0.journal.flush().await;
    }

    /// Those that wait look again now.
    pub fn look_again(&self) {
        self.0.look_again.notify_waiters();
    }

    /// Rises when a transfer begins or ends.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Who knows where contents are.
    #[must_use]
    pub fn locator(&self) -> &Locator {
        &self.0.locator
    }

    /// Transfers that run now.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.count(|state| !state.is_final() && !matches!(state, State::Queued | State::Paused))
    }

    /// Transfers that wait for their turn.
    #[must_use]
    pub fn queued(&self) -> u32 {
        self.count(|state| matches!(state, State::Queued))
    }

    /// All bytes that came in since the start.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.0.received.total()
    }

    /// Bytes per second that come in.
    #[must_use]
    pub fn download_rate(&self) -> u64 {
        self.0.received.rate()
    }

    fn count(&self, which: impl Fn(&State) -> bool) -> u32 {
        let fits = |transfer: &Transfer| which(&transfer.progress().state);
        self.0.registry.count(fits) as u32
    }
}

impl Shared {
    /// Another transfer than this one will end as a copy of this content.
    fn others_bring(&self, id: u64, hash: ContentHash) -> bool {
        let bring = self.registry.that_bring(hash);
        bring.iter().any(|other| other.id != id)
    }

    /// A new transfer, of the account that is logged in.
    fn register(&self, job: Job, uid: Option<u32>) -> Result<Arc<Transfer>, Failure> {
        let account = AccountId::of(&*self.sessions.require()?);
        let transfer = self.registry.add(job, uid, Some(account))?;
        self.note(&transfer, true);
        self.gives_voice(&transfer, Some(account)).is_queued();
        Ok(transfer)
    }

    fn gives_voice<'a>(&self, transfer: &'a Transfer, account: Option<AccountId>) -> &'a Voice {
        transfer.speaks_with(|| Voice::of(transfer, Arc::clone(&self.journal), account))
    }

    fn begin(self: &Arc<Self>, transfer: &Arc<Transfer>, work: Work) {
        let (shared, transfer) = (Arc::clone(self), Arc::clone(transfer));
        self.lifecycle
            .spawn_request(async move { run(shared, transfer, work).await });
    }

    /// What of the transfer must survive is written soon.
    fn note(&self, transfer: &Transfer, live: bool) {
        // Without a copy in the store nothing of it can go on after a restart.
        let live = live && !matches!(transfer.job, Job::Download { kept: false, .. });
        self.journal.note(transfer, self.account(transfer.id), live);
        self.changes.send_modify(|count| *count += 1);
    }

    fn end(&self, transfer: &Transfer, result: Result<(), Failure>) {
        crate::metrics::ended(result.as_ref().err());
        let end = telling::end(&result, transfer.intent());
        transfer.finish(result);
        self.forget_copy(transfer);
        self.note(transfer, false);
        if let Some(voice) = transfer.voice() {
            voice.says(end.0, &end.1);
        }
    }
}
