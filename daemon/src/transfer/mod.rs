//! What to fetch from whom: the only place that decides. Knows nothing of the control socket.
//!
//! A [`Transfer`] is one download, one upload, or one copy on another peer ([`job`]). [`Transfers`] owns them all and
//! runs each: a go of [`download`] or [`place`], a wait when nobody can help now, and the next go with what is there.
//! [`locate`] says who has a content, [`plan`] which piece comes next, [`source`] talks to one holder, [`deliver`] brings
//! the bytes to the person who waits; [`publish`] is the way in, and [`pending`] asks again for what the directory did not confirm; [`heal`] fetches anew what was found damaged. Which states
//! a transfer goes through is in STATE.md beside this file.
//!
//! [`journal`] writes what must survive: after a restart every transfer that had not ended goes on, with the bytes that the
//! store had made durable.

pub mod deliver;
pub mod download;
pub mod heal;
pub mod job;
pub mod journal;
mod layer;
pub mod locate;
mod pace;
mod pending;
pub mod place;
pub mod plan;
pub mod progress;
pub mod publish;
mod roll;
mod source;
mod swarm;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use p2p_proto::{ContentHash, Failure, FailureKind, PeerName, rest::publications::Publication};
use p2p_service::lifecycle::Lifecycle;
use tokio::sync::{Notify, Semaphore, watch};

use self::{
    download::Fetch,
    job::{Job, Keep},
    journal::{AccountId, Journal, KEEP_ENDED},
    locate::Locator,
    place::{Copy, Replication},
    progress::{Attached, Intent, State, Transfer},
};
use crate::{
    directory::index::Announcer,
    identity::session::{Session, Sessions},
    meter::Meter,
    store::{Store, StoreError},
};

/// Transfers that have not ended; more are refused.
const MAX_LIVE: usize = 10_000;

/// Imports of one user that have not ended: each reads a file, which may be slow, on a thread of its own.
const MAX_IMPORTS: usize = 32;

/// The first pause of a transfer that waits, and the longest: each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What keeps a transfer from going on.
#[derive(Debug)]
pub enum Halt {
    /// It comes to nothing.
    Failed(Failure),
    /// Not now; for this reason.
    Wait(Failure),
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
    slots: Semaphore,
    lifecycle: Lifecycle,
    journal: Arc<Journal>,
    next_id: AtomicU64,
    /// Those that run and the last ones that ended.
    all: Mutex<BTreeMap<u64, Entry>>,
    replications: Mutex<Vec<Arc<Replication>>>,
    /// Those that wait shall look again.
    look_again: Notify,
    /// Rises when a transfer begins or ends.
    changes: watch::Sender<u64>,
}

#[derive(Clone)]
struct Entry {
    transfer: Arc<Transfer>,
    account: Option<AccountId>,
}

/// What somebody wants fetched.
pub struct Order {
    /// What.
    pub publication: Publication,
    /// Where it stays.
    pub keep: Keep,
    /// It waits for holders instead of failing without them.
    pub wait: bool,
    /// It goes on when nobody waits for it.
    pub goes_on_alone: bool,
    /// The Unix user who wants it; none for a peer.
    pub uid: Option<u32>,
    /// The peer that asks for a copy.
    pub placed_by: Option<PeerName>,
}

impl Order {
    /// A copy in the store, for as long as it takes.
    #[must_use]
    pub const fn copy(publication: Publication, placed_by: Option<PeerName>) -> Self {
        Self {
            publication,
            keep: Keep::InStore,
            wait: true,
            goes_on_alone: true,
            uid: None,
            placed_by,
        }
    }
}

/// What a transfer has to do.
enum Work {
    Fetch(Fetch),
    Copy(Copy),
}

/// How a run ended.
enum End {
    /// For good.
    Over(Result<(), Failure>),
    /// The daemon stops; it goes on after the next start.
    Later,
}

impl Transfers {
    /// The transfers of the last run, which go on at [`Self::restore`]; at most `max_active` fetch at once.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(
        sessions: Arc<Sessions>,
        store: Store,
        announcer: Announcer,
        max_active: u16,
        lifecycle: Lifecycle,
    ) -> Result<Self, StoreError> {
        let journal = Arc::new(Journal::new(store.clone()));
        let (known, last_id) = journal.load().await?;
        let all = known.into_iter().map(|(transfer, account)| {
            let transfer = Arc::new(transfer);
            (transfer.id, Entry { transfer, account })
        });
        Ok(Self(Arc::new(Shared {
            locator: Locator::new(Arc::clone(&sessions), store.clone()),
            sessions,
            store,
            announcer,
            received: Meter::default(),
            slots: Semaphore::new(max_active.max(1).into()),
            lifecycle,
            journal,
            next_id: AtomicU64::new(last_id + 1),
            all: Mutex::new(all.collect()),
            replications: Mutex::default(),
            look_again: Notify::new(),
            changes: watch::Sender::new(0),
        })))
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
        for entry in self.0.entries() {
            let transfer = entry.transfer;
            if transfer.progress().state.is_final() {
                continue;
            }
            transfer.be_patient();
            let work = match transfer.job.clone() {
                Job::Download {
                    publication,
                    kept: true,
                    ..
                } => Work::Fetch(Fetch {
                    publication,
                    keep: Keep::InStore,
                }),
                Job::Replicate {
                    publication,
                    peer_id,
                    peer,
                } => Work::Copy(Copy {
                    publication,
                    peer_id,
                    peer,
                    place: None,
                    gone_since: None,
                }),
                Job::Download { .. } | Job::Upload { .. } => {
                    let message = "p2pd was stopped while it ran; start it again";
                    self.0.end(&transfer, Err(progress::interrupted(message)));
                    continue;
                }
            };
            self.0.begin(&transfer, work);
        }
    }

    /// Starts fetching a publication, or joins the transfer that does so already. A content that is here already is
    /// done at once.
    ///
    /// # Errors
    /// `NotLoggedIn`; when too many transfers run.
    pub async fn start(&self, order: Order) -> Result<Attached, Failure> {
        self.0.sessions.require()?;
        let Order {
            publication,
            keep,
            wait,
            goes_on_alone,
            uid,
            placed_by,
        } = order;
        let kept = matches!(keep, Keep::InStore);
        let here = matches!(self.0.store.content(publication.hash).await, Ok(Some(_)));
        let same = |job: &Job| matches!(job, Job::Download { publication: other, kept: true, .. } if other.id == publication.id);
        if kept
            && !here
            && let Some(running) = self.0.find_live(same)
        {
            if wait {
                running.be_patient();
            }
            // Asked for again here, it is wanted again. Another peer cannot say that of what somebody here paused.
            if placed_by.is_none() {
                running.want(Intent::Run);
                self.0.look_again.notify_waiters();
            }
            return Ok(running.attach(goes_on_alone));
        }
        let job = Job::Download {
            publication: publication.clone(),
            kept,
            placed_by,
        };
        let transfer = self.0.register(job, uid)?;
        if wait {
            transfer.be_patient();
        }
        let attached = transfer.attach(goes_on_alone);
        self.0.begin(&transfer, Work::Fetch(Fetch { publication, keep }));
        Ok(attached)
    }

    /// Follows an import; its [`Uploading`] tells how it goes, and dropped it has failed.
    ///
    /// # Errors
    /// When too many transfers run.
    fn uploading(&self, job: Job, uid: Option<u32>) -> Result<Uploading, Failure> {
        let transfer = self.0.register(job, uid)?;
        transfer.enter(State::Transferring, "");
        Ok(Uploading {
            shared: Arc::clone(&self.0),
            transfer,
            ended: AtomicBool::new(false),
        })
    }

    /// Every transfer that has not ended, and the last ones that have, by number.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Transfer>> {
        self.0.entries().into_iter().map(|entry| entry.transfer).collect()
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
        let found = self.0.map().get(&id).map(|entry| Arc::clone(&entry.transfer));
        let found = found.filter(|_| self.0.is_of_last_account(id));
        found.ok_or_else(|| {
            Failure::new(FailureKind::NotFound, format!("no transfer {id}")).hint("p2pctl transfers")
        })
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

    /// Bytes per second that come in.
    #[must_use]
    pub fn download_rate(&self) -> u64 {
        self.0.received.rate()
    }

    fn count(&self, which: impl Fn(&State) -> bool) -> u32 {
        let all = self.0.map();
        let fits = all
            .values()
            .filter(|entry| which(&entry.transfer.progress().state));
        fits.count() as u32
    }
}

impl Shared {
    fn map(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> Vec<Entry> {
        self.map().values().cloned().collect()
    }

    fn find_live(&self, which: impl Fn(&Job) -> bool) -> Option<Arc<Transfer>> {
        let all = self.map();
        let mut live = all
            .values()
            .filter(|entry| which(&entry.transfer.job) && !entry.transfer.progress().state.is_final());
        live.next().map(|entry| Arc::clone(&entry.transfer))
    }

    /// The transfer before this one that brings the same content.
    fn earlier_of_same_content(&self, id: u64, hash: ContentHash) -> Option<Arc<Transfer>> {
        let all = self.map();
        let mut same = all.range(..id).filter(|(_, entry)| entry.transfer.brings(hash));
        same.next().map(|(_, entry)| Arc::clone(&entry.transfer))
    }

    fn register(&self, job: Job, uid: Option<u32>) -> Result<Arc<Transfer>, Failure> {
        let session = self.sessions.require()?;
        let account = Some(AccountId::of(&session));
        let mut all = self.map();
        let ended = |entry: &Entry| entry.transfer.progress().state.is_final();
        let live = || all.values().filter(|entry| !ended(entry));
        let imports = || {
            let imports = live().filter(|entry| matches!(entry.transfer.job, Job::Upload { .. }));
            imports.filter(|entry| entry.transfer.uid == uid)
        };
        let crowd = if live().count() >= MAX_LIVE {
            Some(format!("{MAX_LIVE} transfers have not ended yet"))
        } else if matches!(job, Job::Upload { .. }) && imports().count() >= MAX_IMPORTS {
            Some(format!("{MAX_IMPORTS} uploads of this user have not ended yet"))
        } else {
            None
        };
        if let Some(message) = crowd {
            return Err(Failure::new(FailureKind::NotPermitted, message).hint("p2pctl transfers"));
        }
        let done: Vec<u64> = all
            .iter()
            .filter(|(_, entry)| ended(entry))
            .map(|(id, _)| *id)
            .collect();
        for id in done.iter().rev().skip(KEEP_ENDED as usize) {
            all.remove(id);
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let transfer = Arc::new(Transfer::new(id, job, uid));
        all.insert(
            id,
            Entry {
                transfer: Arc::clone(&transfer),
                account,
            },
        );
        drop(all);
        self.note(&transfer, true);
        Ok(transfer)
    }

    fn begin(self: &Arc<Self>, transfer: &Arc<Transfer>, work: Work) {
        let (shared, transfer) = (Arc::clone(self), Arc::clone(transfer));
        self.lifecycle
            .spawn_request(async move { run(shared, transfer, work).await });
    }

    fn account(&self, id: u64) -> Option<AccountId> {
        self.map().get(&id).and_then(|entry| entry.account)
    }

    /// What of the transfer must survive is written soon.
    fn note(&self, transfer: &Transfer, live: bool) {
        // Without a copy in the store nothing of it can go on after a restart.
        let live = live && !matches!(transfer.job, Job::Download { kept: false, .. });
        self.journal.note(transfer, self.account(transfer.id), live);
        self.changes.send_modify(|count| *count += 1);
    }

    fn end(&self, transfer: &Transfer, result: Result<(), Failure>) {
        if let Err(failure) = &result {
            tracing::warn!(TRANSFER = transfer.id, "{}: {failure}", transfer.name());
        }
        transfer.finish(result);
        self.note(transfer, false);
    }

    /// Whoever waits for a session, or for what it opens, looks again when it changes.
    async fn look_again_with_each_session(&self) {
        let mut sessions = self.sessions.subscribe();
        loop {
            tokio::select! {
                () = self.lifecycle.soft().cancelled() => return,
                changed = sessions.changed() => if changed.is_err() { return },
            }
            self.look_again.notify_waiters();
        }
    }

    /// The transfer's account is logged in no more: nobody is, or somebody else. A logout that a login follows at once
    /// may be missed as such.
    async fn logged_out(&self, id: u64) {
        let account = self.account(id);
        let mut sessions = self.sessions.subscribe();
        let others = |session: &Option<Arc<Session>>| match (session, account) {
            (Some(session), Some(account)) => AccountId::of(session) != account,
            (session, _) => session.is_none(),
        };
        // A sender that is gone means that the daemon stops, and that is told elsewhere.
        if sessions.wait_for(others).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// It is the account's that is logged in, or was last. What others did here is not this one's to know.
    fn is_of_last_account(&self, id: u64) -> bool {
        match (self.sessions.account(), self.account(id)) {
            (Some(last), Some(account)) => (last.cluster, last.user_id) == (account.cluster, account.user),
            _ => true,
        }
    }

    /// The session is still the account's that began it.
    fn is_of_this_account(&self, id: u64) -> Result<(), Failure> {
        let (Some(session), Some(account)) = (self.sessions.current(), self.account(id)) else {
            return Ok(());
        };
        if AccountId::of(&session) == account {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::NotPermitted,
            "it belongs to another account",
        ))
    }
}

/// Runs one transfer to its end, whatever that is.
async fn run(shared: Arc<Shared>, transfer: Arc<Transfer>, mut work: Work) {
    let end = drive(&shared, &transfer, &mut work).await;
    transfer.settled().await;
    let incoming = transfer.let_go();
    match end {
        End::Later => {
            if let Some(incoming) = incoming
                && let Err(error) = incoming.checkpoint().await
            {
                tracing::warn!(TRANSFER = transfer.id, "{}: {error}", transfer.name());
            }
            shared.note(&transfer, true);
            let message = format!("p2pd stops; transfer {} goes on when it runs again", transfer.id);
            transfer.finish(Err(Failure::new(FailureKind::Unreachable, message)));
        }
        End::Over(result) => {
            drop(incoming);
            let thrown_away = transfer.intent() == Intent::Cancel || transfer.job.brings().is_none();
            if thrown_away && let Work::Fetch(fetch) = &work {
                discard(&shared, fetch).await;
            }
            shared.end(&transfer, result);
        }
    }
    shared.journal.flush().await;
}

/// Nobody wants what came.
async fn discard(shared: &Shared, fetch: &Fetch) {
    if matches!(fetch.keep, Keep::OnlyIn(_)) {
        return;
    }
    match shared.store.discard(fetch.publication.hash).await {
        // Another transfer has taken it over.
        Ok(_) | Err(StoreError::Busy { .. }) => {}
        Err(error) => tracing::warn!("{}: {error}", fetch.publication.name),
    }
}

/// Goes, waits, stands still, as it must, until it is over or the daemon stops.
async fn drive(shared: &Arc<Shared>, transfer: &Arc<Transfer>, work: &mut Work) -> End {
    let soft = shared.lifecycle.soft().clone();
    let mut pause = FIRST_PAUSE;
    loop {
        match transfer.intent() {
            Intent::Run => {}
            Intent::Cancel => return End::Over(Err(progress::interrupted("cancelled"))),
            Intent::Pause => {
                transfer.settled().await;
                if let Some(incoming) = transfer.let_go()
                    && let Err(error) = incoming.checkpoint().await
                {
                    return End::Over(Err(error.into()));
                }
                transfer.enter(State::Paused, progress::how_to_resume(transfer.id));
                tokio::select! {
                    _ = transfer.intends_other_than(Intent::Pause) => {}
                    () = soft.cancelled() => return End::Later,
                }
                transfer.enter(State::Queued, "");
                shared.note(transfer, true);
                continue;
            }
        }
        let before = transfer.progress().done;
        transfer.settled().await;
        let went = tokio::select! {
            biased;
            () = soft.cancelled() => return End::Later,
            _ = transfer.intends_other_than(Intent::Run) => continue,
            () = shared.logged_out(transfer.id) => Err(Halt::Wait(Failure::not_logged_in())),
            went = go(shared, transfer, work) => went,
        };
        let why = match went {
            Ok(()) => return End::Over(Ok(())),
            Err(Halt::Failed(failure)) => return End::Over(Err(failure)),
            Err(Halt::Wait(why)) => why,
        };
        if transfer.progress().done > before {
            pause = FIRST_PAUSE;
        }
        // This may last, and what came shall not depend on it.
        if let Some(incoming) = transfer.incoming()
            && let Err(error) = incoming.checkpoint().await
        {
            tracing::warn!(TRANSFER = transfer.id, "{}: {error}", transfer.name());
        }
        transfer.enter(State::Waiting, why.message);
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = shared.look_again.notified() => {}
            _ = transfer.intends_other_than(Intent::Run) => {}
            () = soft.cancelled() => return End::Later,
        }
    }
}

async fn go(shared: &Arc<Shared>, transfer: &Arc<Transfer>, work: &mut Work) -> Result<(), Halt> {
    shared.is_of_this_account(transfer.id)?;
    match work {
        Work::Fetch(fetch) => download::go(shared, transfer, fetch).await,
        Work::Copy(copy) => place::go(shared, transfer, copy).await,
    }
}

/// An import that is being followed.
pub struct Uploading {
    shared: Arc<Shared>,
    transfer: Arc<Transfer>,
    ended: AtomicBool,
}

impl Uploading {
    /// Somebody wants it to end.
    pub async fn cancelled(&self) {
        while self.transfer.intends_other_than(Intent::Run).await != Intent::Cancel {}
    }

    /// So many bytes are imported.
    pub fn reached(&self, bytes: u64) {
        self.transfer.reached(None, bytes);
    }

    /// All bytes are here; the directory is asked to publish them.
    pub fn imported(&self, hash: ContentHash, size: u64) {
        self.transfer.learned(Some(hash), Some(size));
        self.transfer.reached(None, size);
        self.transfer.enter(State::Verifying, "");
    }

    /// That was all.
    pub fn end(&self, result: Result<(), Failure>) {
        self.ended.store(true, Ordering::Relaxed);
        self.shared.end(&self.transfer, result);
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        if !self.ended.load(Ordering::Relaxed) {
            let failure = progress::interrupted("the upload was cut; nothing was published");
            self.shared.end(&self.transfer, Err(failure));
        }
    }
}
