//! One transfer as others see it: its state and since when, why, how far it is, who gives, and how it ended. Owned by
//! [`super::Transfers`]; what of it must survive a restart is written by [`super::journal`].

mod givers;
mod state;
mod users;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Instant,
};

use jiff::Timestamp;
use p2p_proto::{ContentHash, Failure, FailureKind, FileName, PeerId, PeerName, UserName};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::{
    givers::Known,
    waiting::{Outputs, Waiting},
};
pub use self::{
    givers::{FEW, Giver, Heard, SILENT},
    state::{Intent, Outcome, Progress, State},
    waiting::Attached,
};
use super::{
    Halt,
    job::Job,
    limits::{Bucket, Download, Limits},
    telling::Voice,
    turns::{Priority, Rank},
};
use crate::{meter::Meter, store::Incoming};

/// One transfer.
pub struct Transfer {
    /// Its number; rises, also over restarts.
    pub id: u64,
    /// What it does.
    pub job: Job,
    /// When it began.
    pub began_at: Timestamp,
    /// What it is worth against others that wait for a turn.
    pub(super) rank: Arc<Rank>,
    /// Its own limit.
    pub(super) limit: Arc<Bucket>,
    users: watch::Sender<BTreeSet<u32>>,
    progress: watch::Sender<Progress>,
    intent: watch::Sender<Intent>,
    patient: AtomicBool,
    /// Its copy is about to be held.
    being_kept: AtomicBool,
    incoming: Mutex<Option<Incoming>>,
    waiting: Mutex<Waiting>,
    outputs: Mutex<Outputs>,
    givers: Mutex<BTreeMap<PeerName, Known>>,
    liars: Mutex<HashSet<PeerId>>,
    /// What works for it beside its owner.
    tasks: TaskTracker,
    /// Who reads bytes that stay nowhere else.
    readers: TaskTracker,
    meter: Meter,
    started: Instant,
    resumed: AtomicI64,
    voice: OnceLock<Voice>,
}

impl Transfer {
    /// A transfer that waits for its turn, for this user; for none when another peer asked for it.
    #[must_use]
    pub fn new(id: u64, job: Job, uid: Option<u32>) -> Self {
        let now = Timestamp::now();
        let progress = Progress {
            state: State::Queued,
            reason: String::new(),
            entered_at: now,
            done: 0,
            frontier: 0,
            size: job.size(),
            hash: job.hash(),
        };
        Self::resumed_as(id, job, uid.into_iter().collect(), now, progress)
    }

    /// A transfer as it was before a restart.
    #[must_use]
    pub fn resumed_as(
        id: u64,
        job: Job,
        users: BTreeSet<u32>,
        began_at: Timestamp,
        progress: Progress,
    ) -> Self {
        let intent = match progress.state {
            State::Paused => Intent::Pause,
            _ => Intent::Run,
        };
        Self {
            id,
            job,
            began_at,
            rank: Arc::default(),
            limit: Arc::default(),
            users: watch::Sender::new(users),
            progress: watch::Sender::new(progress),
            intent: watch::Sender::new(intent),
            patient: AtomicBool::new(false),
            being_kept: AtomicBool::new(false),
            incoming: Mutex::default(),
            waiting: Mutex::default(),
            outputs: Mutex::default(),
            givers: Mutex::default(),
            liars: Mutex::default(),
            tasks: TaskTracker::new(),
            readers: TaskTracker::new(),
            meter: Meter::default(),
            started: Instant::now(),
            resumed: AtomicI64::new(0),
            voice: OnceLock::new(),
        }
    }

    /// What the file is called.
    #[must_use]
    pub const fn name(&self) -> &FileName {
        self.job.name()
    }

    /// Whose file it is.
    #[must_use]
    pub const fn owner(&self) -> &UserName {
        self.job.owner()
    }

    /// What it is worth against others that wait for a turn.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.rank.get()
    }

    /// Its own limit, in bytes a second.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        self.limit.rate()
    }

    /// What it may ask others for.
    pub(super) fn limited_by(&self, limits: &Limits) -> Download {
        limits.download(self.id, Arc::clone(&self.limit))
    }

    /// It will end as a copy of this content in the store.
    pub(super) fn brings(&self, hash: ContentHash) -> bool {
        self.job.brings() == Some(hash) && !self.progress().state.is_final()
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

    /// Where verified bytes can be read while the transfer runs.
    #[must_use]
    pub fn incoming(&self) -> Option<Incoming> {
        lock(&self.incoming).clone()
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

    /// Waits until the content is in the store; for its files it does not.
    ///
    /// # Errors
    /// The failure that the transfer ended with.
    pub async fn fetched(&self) -> Result<Outcome, Failure> {
        let mut progress = self.subscribe();
        let fetched =
            |progress: &Progress| progress.state.is_final() || matches!(progress.state, State::Delivering);
        let last = progress.wait_for(fetched).await;
        match last.map(|progress| progress.state.clone()) {
            Ok(State::Done(outcome)) => Ok(outcome),
            Ok(State::Failed(failure)) => Err(failure),
            Ok(_) => Ok(self.outcome()),
            Err(_) => Err(interrupted("the transfer is gone")),
        }
    }

    /// Says what is wanted of it. A cancelled one stays so.
    pub(super) fn want(&self, intent: Intent) {
        self.intent.send_if_modified(|now| {
            let changes = *now != intent && *now != Intent::Cancel;
            if changes {
                *now = intent;
            }
            changes
        });
    }

    /// What is wanted of it.
    #[must_use]
    pub(super) fn intent(&self) -> Intent {
        *self.intent.borrow()
    }

    /// Waits until that is something else than `was`.
    pub(super) async fn intends_other_than(&self, was: Intent) -> Intent {
        let mut intent = self.intent.subscribe();
        let now = intent.wait_for(|now| *now != was).await.map(|now| *now);
        now.unwrap_or(Intent::Cancel)
    }

    /// Its copy is being made durable and held: to stop it is too late until that is done.
    pub(super) fn being_kept(&self, begins: bool) {
        self.being_kept.store(begins, Ordering::Relaxed);
    }

    pub(super) fn is_being_kept(&self) -> bool {
        self.being_kept.load(Ordering::Relaxed)
    }

    /// From now on it waits for holders instead of failing without them.
    pub(super) fn be_patient(&self) {
        self.patient.store(true, Ordering::Relaxed);
    }

    /// It waits for holders: somebody said so, or some of it has come already.
    pub(super) fn is_patient(&self) -> bool {
        self.patient.load(Ordering::Relaxed) || self.progress.borrow().done > 0
    }

    /// What works for it beside its owner.
    pub(super) const fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Waits until nothing works for it any more: what a halted go had begun has ended, and let go of the store's file.
    pub(super) async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// What it means that nobody can help now: a patient transfer waits, another one has failed.
    pub(super) fn without_help(&self, failure: Failure) -> Halt {
        match self.is_patient() {
            true => Halt::Wait(failure),
            false => Halt::Failed(failure),
        }
    }

    /// Enters the first state of a go; one that waits says so until the go has come to something.
    pub(super) fn sets_out(&self) {
        if !matches!(self.progress.borrow().state, State::Waiting) {
            self.enter(State::Locating, "");
        }
    }

    /// Enters a state. The reason is a sentence for a person, or nothing.
    pub(super) fn enter(&self, state: State, reason: impl Into<String>) {
        let reason = reason.into();
        self.progress.send_if_modified(|progress| {
            let same_state = std::mem::discriminant(&progress.state) == std::mem::discriminant(&state);
            let same = same_state && progress.reason == reason;
            if !same_state {
                progress.entered_at = Timestamp::now();
            }
            if !same {
                progress.state = state;
                progress.reason = reason;
                if let Some(voice) = self.voice() {
                    voice.entered(&progress.state, &progress.reason);
                }
            }
            !same
        });
    }

    /// From now on it tells with this voice, unless it has one.
    pub(super) fn speaks_with(&self, voice: impl FnOnce() -> Voice) -> &Voice {
        self.voice.get_or_init(voice)
    }

    /// What tells of it, once it has one.
    pub(super) fn voice(&self) -> Option<&Voice> {
        self.voice.get()
    }

    /// The content and its size are known.
    pub(super) fn learned(&self, hash: Option<ContentHash>, size: Option<u64>) {
        self.progress.send_modify(|progress| {
            progress.hash = hash.or(progress.hash);
            progress.size = size.or(progress.size);
        });
    }

    pub(super) fn receives_into(&self, incoming: Incoming) {
        *lock(&self.incoming) = Some(incoming);
    }

    /// Lets go of the store's file.
    pub(super) fn let_go(&self) -> Option<Incoming> {
        lock(&self.incoming).take()
    }

    /// So much was there before this attempt.
    pub(super) fn has(&self, done: u64, frontier: u64) {
        self.progress.send_modify(|progress| {
            progress.done = done;
            progress.frontier = frontier;
        });
    }

    pub(super) fn resumed(&self, bytes: u64) {
        self.resumed
            .store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Its place in the store is free for the next try before anybody hears of a failure.
    pub(super) fn finish(&self, result: Result<(), Failure>) {
        if result.is_err() {
            self.let_go();
        }
        for known in lock(&self.givers).values_mut() {
            known.heard = None;
        }
        match result {
            Ok(()) => self.enter(State::Done(self.outcome()), ""),
            Err(failure) => {
                let reason = failure.to_string();
                self.enter(State::Failed(failure), reason);
            }
        }
        // Those who wait for a file hear how it ended from the state.
        drop(self.take_outputs());
    }

    /// What it has done so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        Outcome {
            seconds: self.started.elapsed().as_secs_f64(),
            resumed: self.resumed.load(Ordering::Relaxed).unsigned_abs(),
            sources: self.sources(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a person should know of one that stands still.
pub(super) fn how_to_resume(id: u64) -> String {
    format!("to go on: p2pctl resume {id}")
}

/// The failure of a transfer that was ended from outside.
pub(super) fn interrupted(why: &str) -> Failure {
    Failure::new(FailureKind::Interrupted, why)
}
