//! One transfer as others see it: its state and since when, why, how far it is, who gives, and how it ended. Owned by
//! [`super::Transfers`]; what of it must survive a restart is written by [`super::journal`].

use std::{
    collections::{BTreeMap, HashSet},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use p2p_proto::{ContentHash, Failure, FailureKind, FileName, PeerId, PeerName, UserName};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{Halt, job::Job};
use crate::{meter::Meter, store::Incoming};

/// Where a transfer stands; STATE.md tells which follows which.
#[derive(Clone, Debug)]
pub enum State {
    /// Others run first.
    Queued,
    /// Asking who has the content, or who has room for it.
    Locating,
    /// Talking to the first of them.
    Connecting,
    /// Bytes move.
    Transferring,
    /// Nothing moves; it goes on by itself.
    Waiting,
    /// Nothing moves until somebody resumes it.
    Paused,
    /// All bytes are there and are made durable.
    Verifying,
    /// They are written where the person wants them.
    Delivering,
    /// All is done.
    Done(Outcome),
    /// It came to nothing.
    Failed(Failure),
}

impl State {
    /// Every word for a state.
    pub const WORDS: [&str; 10] = [
        "queued",
        "locating",
        "connecting",
        "transferring",
        "waiting",
        "paused",
        "verifying",
        "delivering",
        "done",
        "failed",
    ];

    /// Nothing follows.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }

    /// As the wire and people say it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        let place = match self {
            Self::Queued => 0,
            Self::Locating => 1,
            Self::Connecting => 2,
            Self::Transferring => 3,
            Self::Waiting => 4,
            Self::Paused => 5,
            Self::Verifying => 6,
            Self::Delivering => 7,
            Self::Done(_) => 8,
            Self::Failed(_) => 9,
        };
        Self::WORDS[place]
    }
}

/// What a finished transfer did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// From start to end.
    pub seconds: f64,
    /// Bytes that an earlier attempt had left here.
    pub resumed: u64,
    /// Bytes from each holder.
    pub sources: Vec<(PeerName, u64)>,
}

/// How far a transfer is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// What a person should know of that; empty when the state says it all.
    pub reason: String,
    /// Since when.
    pub entered_at: Timestamp,
    /// Verified bytes.
    pub done: u64,
    /// Verified bytes from the start without a gap.
    pub frontier: u64,
    /// All bytes; none while nobody knows.
    pub size: Option<u64>,
    /// The content, once it is known.
    pub hash: Option<ContentHash>,
}

/// What its owner wants of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To go on.
    Run,
    /// To stand still.
    Pause,
    /// To end.
    Cancel,
}

/// One peer in a transfer.
#[derive(Clone, Debug)]
pub struct Giver {
    /// Who.
    pub name: PeerName,
    /// Verified bytes from it, or to it.
    pub bytes: u64,
    /// It was asked for bytes and has sent none since, or less than [`FEW`].
    pub silent_since: Option<Timestamp>,
    /// It still sends a few bytes now and then.
    pub trickles: bool,
}

/// When a peer was last heard, shared with the connection that hears it.
#[derive(Clone, Debug)]
pub struct Heard(Arc<Ear>);

#[derive(Debug)]
struct Ear {
    at: AtomicI64,
    /// Bytes since then.
    few: AtomicU64,
    /// When the last of them came.
    drop_at: AtomicI64,
    /// All bytes.
    count: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        let now = Timestamp::now().as_millisecond();
        Self(Arc::new(Ear {
            at: AtomicI64::new(now),
            few: AtomicU64::new(0),
            drop_at: AtomicI64::new(now),
            count: AtomicU64::new(0),
        }))
    }
}

impl Heard {
    /// It was heard now.
    pub fn now(&self) {
        self.0.few.store(0, Ordering::Relaxed);
        self.0
            .at
            .store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
    }

    /// So many bytes came. Fewer than [`FEW`] in all are as good as none.
    pub fn bytes(&self, count: u64) {
        self.0.count.fetch_add(count, Ordering::Relaxed);
        if self.0.few.fetch_add(count, Ordering::Relaxed) + count >= FEW {
            self.now();
        } else {
            let now = Timestamp::now().as_millisecond();
            self.0.drop_at.store(now, Ordering::Relaxed);
        }
    }

    /// All bytes that came.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.at.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Something still came when it was silent already.
    fn trickles(&self) -> bool {
        let silence = self.0.drop_at.load(Ordering::Relaxed) - self.0.at.load(Ordering::Relaxed);
        silence >= i64::try_from(SILENT.as_millis()).unwrap_or(i64::MAX)
    }
}

#[derive(Default)]
struct Known {
    bytes: u64,
    /// While it is asked for bytes.
    heard: Option<Heard>,
}

/// One transfer.
pub struct Transfer {
    /// Its number; rises, also over restarts.
    pub id: u64,
    /// What it does.
    pub job: Job,
    /// The Unix user who began it; none for one that another peer asked for.
    pub uid: Option<u32>,
    /// When it began.
    pub began_at: Timestamp,
    progress: watch::Sender<Progress>,
    intent: watch::Sender<Intent>,
    patient: AtomicBool,
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
}

/// A peer that was asked and says nothing for so long is called silent.
pub const SILENT: Duration = Duration::from_secs(5);

/// Fewer bytes than this are as good as none: who sends one a second is not heard.
pub const FEW: u64 = 1024;

impl Transfer {
    /// A transfer that waits for its turn.
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
        Self::resumed_as(id, job, uid, now, progress)
    }

    /// A transfer as it was before a restart.
    #[must_use]
    pub fn resumed_as(id: u64, job: Job, uid: Option<u32>, began_at: Timestamp, progress: Progress) -> Self {
        let intent = match progress.state {
            State::Paused => Intent::Pause,
            _ => Intent::Run,
        };
        Self {
            id,
            job,
            uid,
            began_at,
            progress: watch::Sender::new(progress),
            intent: watch::Sender::new(intent),
            patient: AtomicBool::new(false),
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

    /// Verified bytes from each holder so far.
    #[must_use]
    pub fn sources(&self) -> Vec<(PeerName, u64)> {
        let givers = self.givers();
        let gave = givers.iter().filter(|giver| giver.bytes > 0);
        gave.map(|giver| (giver.name.clone(), giver.bytes)).collect()
    }

    /// Every peer that has a part in it.
    #[must_use]
    pub fn givers(&self) -> Vec<Giver> {
        let now = Timestamp::now();
        lock(&self.givers)
            .iter()
            .map(|(name, known)| Giver {
                name: name.clone(),
                bytes: known.bytes,
                silent_since: known
                    .heard
                    .as_ref()
                    .map(Heard::at)
                    .filter(|at| now.duration_since(*at).unsigned_abs() >= SILENT),
                trickles: known.heard.as_ref().is_some_and(Heard::trickles),
            })
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
        Attached {
            reader: Some(self.readers.token()),
            transfer: Arc::clone(self),
        }
    }

    /// Waits until all who read while it comes have what they wanted.
    pub(super) async fn read_by_all(&self) {
        self.readers.close();
        self.readers.wait().await;
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

    /// A peer gave what is not the content.
    pub(super) fn lied(&self, peer: PeerId) {
        lock(&self.liars).insert(peer);
    }

    /// Who did.
    pub(super) fn liars(&self) -> HashSet<PeerId> {
        lock(&self.liars).clone()
    }

    /// How many peers are asked for bytes now.
    pub(super) fn asked(&self) -> usize {
        lock(&self.givers)
            .values()
            .filter(|known| known.heard.is_some())
            .count()
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
            }
            !same
        });
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

    /// A peer is asked for bytes; with `None` no longer.
    pub(super) fn asks(&self, peer: &PeerName, heard: Option<Heard>) {
        lock(&self.givers).entry(peer.clone()).or_default().heard = heard;
    }

    pub(super) fn received(&self, from: &PeerName, bytes: u64, frontier: u64) {
        self.meter.add(bytes);
        lock(&self.givers).entry(from.clone()).or_default().bytes += bytes;
        self.progress.send_modify(|progress| {
            progress.done += bytes;
            progress.frontier = progress.frontier.max(frontier);
        });
    }

    /// Another counts the bytes: so many are done, at or from this peer.
    pub(super) fn reached(&self, peer: Option<&PeerName>, done: u64) {
        if let Some(peer) = peer {
            lock(&self.givers).entry(peer.clone()).or_default().bytes = done;
        }
        self.progress.send_if_modified(|progress| {
            let more = done.saturating_sub(progress.done);
            self.meter.add(more);
            progress.done = done;
            more > 0
        });
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
            Ok(()) => {
                let outcome = Outcome {
                    seconds: self.started.elapsed().as_secs_f64(),
                    resumed: self.resumed.load(Ordering::Relaxed).unsigned_abs(),
                    sources: self.sources(),
                };
                self.enter(State::Done(outcome), "");
            }
            Err(failure) => {
                let reason = failure.to_string();
                self.enter(State::Failed(failure), reason);
            }
        }
        lock(&self.outputs).closed = true;
    }

    /// The finished content shall be written into this file too.
    ///
    /// # Errors
    /// The file comes back when the transfer has ended already.
    pub fn deliver(&self, file: OwnedFd) -> Result<oneshot::Receiver<Result<(), Failure>>, OwnedFd> {
        let mut outputs = lock(&self.outputs);
        if outputs.closed {
            return Err(file);
        }
        let (told, hears) = oneshot::channel();
        outputs.files.push((file, told));
        Ok(hears)
    }

    /// The files that shall be written; when there is none, none can come any more.
    pub(super) fn take_outputs(&self) -> Vec<Output> {
        let mut outputs = lock(&self.outputs);
        let files = std::mem::take(&mut outputs.files);
        outputs.closed |= files.is_empty();
        files
    }
}

/// A file to write, and who hears how that went.
pub(super) type Output = (OwnedFd, oneshot::Sender<Result<(), Failure>>);

#[derive(Default)]
struct Outputs {
    files: Vec<Output>,
    closed: bool,
}

#[derive(Default)]
struct Waiting {
    people: usize,
    goes_on_alone: bool,
}

/// One who waits for a transfer.
pub struct Attached {
    /// For what.
    pub transfer: Arc<Transfer>,
    reader: Option<TaskTrackerToken>,
}

impl Attached {
    /// The right to read the bytes while they come: those that stay nowhere else wait for it to be dropped.
    pub fn reader(&mut self) -> Option<TaskTrackerToken> {
        self.reader.take()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut waiting = lock(&self.transfer.waiting);
        waiting.people -= 1;
        if waiting.people == 0 && !waiting.goes_on_alone {
            self.transfer.want(Intent::Cancel);
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
