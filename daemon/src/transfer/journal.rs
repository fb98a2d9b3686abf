//! What of each transfer survives a restart: what it does, who wants it, and how it stands when that matters (paused, or
//! ended and how). Written soon after each such change, several in one transaction. A crash before that loses the change
//! and no byte: what came of a content is the store's to remember.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use p2p_proto::{ContentHash, Failure};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    job::Job,
    progress::{self, Intent, Outcome, Progress, State, Transfer},
    turns::Priority,
};
pub use crate::store::AccountId;
use crate::{
    events::{Bus, Teller, What},
    identity::session::Session,
    store::{Store, StoreError, TransferRow},
};

/// Events that wait for what they tell of to be written.
const MOST_TO_TELL: usize = 4096;

/// So many ended transfers are remembered.
pub const KEEP_ENDED: u32 = 100;

impl AccountId {
    /// The session's.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self {
            cluster: session.record.cluster,
            user: session.record.user_id,
        }
    }
}

/// A transfer on disk. Fields are only ever added.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    job: Job,
    /// Who of this machine wants it.
    #[serde(default)]
    users: BTreeSet<u32>,
    /// Whose it is: of the session at its begin.
    #[serde(default)]
    account: Option<AccountId>,
    began_at: Timestamp,
    entered_at: Timestamp,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    done: u64,
    #[serde(default)]
    known_hash: Option<ContentHash>,
    #[serde(default)]
    known_size: Option<u64>,
    #[serde(default)]
    outcome: Option<Outcome>,
    #[serde(default)]
    failure: Option<Failure>,
    #[serde(default)]
    priority: Priority,
    /// Its own limit, in bytes a second.
    #[serde(default)]
    limit: Option<u64>,
}

/// What is to be written, and where.
pub struct Journal {
    store: Store,
    dirty: Mutex<BTreeMap<u64, TransferRow>>,
    noted: Notify,
    /// What is told when all before it is written.
    to_tell: Mutex<Vec<(Option<AccountId>, What)>>,
    teller: Teller,
    /// One writer at a time, so that an older state never follows a newer one.
    writing: tokio::sync::Mutex<()>,
}

impl Journal {
    /// A journal in this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            dirty: Mutex::default(),
            noted: Notify::new(),
            to_tell: Mutex::default(),
            teller: Teller::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// From now on it tells what it is told to.
    pub fn tells(&self, bus: Bus) {
        self.teller.tells(bus);
    }

    /// Tells this to the account, after what was noted is written.
    pub fn tell(&self, account: Option<AccountId>, what: What) {
        let Some(bus) = self.teller.bus() else { return };
        let mut to_tell = self.to_tell.lock().unwrap_or_else(PoisonError::into_inner);
        if to_tell.len() < MOST_TO_TELL {
            to_tell.push((account, what));
        } else {
            // Nothing is written any more, and all of it is not kept for that.
            bus.tell_to(account, what);
        }
        drop(to_tell);
        self.noted.notify_one();
    }

    /// The transfers as they were, and the highest number ever used. What cannot be read is left out and logged.
    ///
    /// # Errors
    /// The store's.
    pub async fn load(&self) -> Result<(Vec<(Transfer, Option<AccountId>)>, u64), StoreError> {
        let (rows, last) = self.store.transfer_rows().await?;
        let read = |row: TransferRow| match serde_json::from_str::<Record>(&row.record) {
            Ok(record) => Some(record.into_transfer(row.id)),
            Err(error) => {
                tracing::warn!(TRANSFER = row.id, "a remembered transfer cannot be read: {error}");
                None
            }
        };
        Ok((rows.into_iter().filter_map(read).collect(), last))
    }

    /// Notes how the transfer stands; it is written soon.
    pub fn note(&self, transfer: &Transfer, account: Option<AccountId>, live: bool) {
        let record = Record::of(transfer, account);
        let record = match serde_json::to_string(&record) {
            Ok(record) => record,
            Err(error) => return tracing::error!(TRANSFER = transfer.id, "not remembered: {error}"),
        };
        let row = TransferRow {
            id: transfer.id,
            live,
            content: transfer.job.brings(),
            record,
        };
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        dirty.insert(transfer.id, row);
        drop(dirty);
        self.noted.notify_one();
    }

    /// Writes what was noted, and then tells. What has begun ends, whether or not the caller waits for it.
    pub async fn flush(self: &Arc<Self>) {
        let journal = Arc::clone(self);
        if let Err(error) = tokio::spawn(async move { journal.write().await }).await {
            tracing::error!("transfers are not remembered: {error}");
        }
    }

    async fn write(&self) {
        let _writing = self.writing.lock().await;
        // These first: what they speak of was noted before.
        let to_tell = std::mem::take(&mut *self.to_tell.lock().unwrap_or_else(PoisonError::into_inner));
        let dirty = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        if !dirty.is_empty() {
            let rows = dirty.into_values().collect();
            if let Err(error) = self.store.write_transfers(rows, KEEP_ENDED).await {
                tracing::error!("transfers are not remembered: {error}");
            }
        }
        if let Some(bus) = self.teller.bus() {
            for (account, what) in to_tell {
                bus.tell_to(account, what);
            }
        }
    }

    /// Writes soon after each note, until `stop`.
    pub async fn run(self: &Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.noted.notified() => self.flush().await,
                () = stop.cancelled() => return self.flush().await,
            }
        }
    }
}

impl Record {
    fn of(transfer: &Transfer, account: Option<AccountId>) -> Self {
        let now = transfer.progress();
        let (outcome, failure) = match &now.state {
            State::Done(outcome) => (Some(outcome.clone()), None),
            State::Failed(failure) => (None, Some(failure.clone())),
            _ => (None, None),
        };
        Self {
            job: transfer.job.clone(),
            users: transfer.users(),
            account,
            began_at: transfer.began_at,
            entered_at: now.entered_at,
            paused: transfer.intent() == Intent::Pause,
            reason: now.reason,
            done: now.done,
            known_hash: now.hash,
            known_size: now.size,
            outcome,
            failure,
            priority: transfer.priority(),
            limit: transfer.limit(),
        }
    }

    fn into_transfer(self, id: u64) -> (Transfer, Option<AccountId>) {
        let state = match (self.outcome, self.failure) {
            (Some(outcome), _) => State::Done(outcome),
            (None, Some(failure)) => State::Failed(failure),
            (None, None) if self.paused => State::Paused,
            (None, None) => State::Queued,
        };
        let progress = Progress {
            reason: match state {
                State::Queued => "p2pd was started anew".to_owned(),
                State::Paused => progress::how_to_resume(id),
                _ => self.reason,
            },
            state,
            entered_at: self.entered_at,
            done: self.done,
            frontier: 0,
            hash: self.known_hash.or_else(|| self.job.hash()),
            size: self.known_size.or_else(|| self.job.size()),
        };
        let transfer = Transfer::resumed_as(id, self.job, self.users, self.began_at, progress);
        transfer.rank.set(self.priority);
        transfer.limit.set(self.limit);
        (transfer, self.account)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

    use super::*;
    use crate::store::StoreConfig;

    #[tokio::test]
    async fn who_goes_while_it_is_written_takes_nothing_with_him() {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            path: folder.path().join("store"),
            max_size: None,
            reserve_free: 0,
        };
        let journal = Arc::new(Journal::new(Store::open(config).await.unwrap()));
        let bus = Bus::open(&folder.path().join("events")).unwrap();
        journal.tells(bus.clone());
        let mut watcher = bus.watch("");
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let running = bus.clone();
        tokio::spawn(async move { running.run(stop).await });

        let job = Job::Upload {
            owner: "ana".parse().unwrap(),
            name: "scan.tar".parse().unwrap(),
            size: None,
        };
        let told = What::LimitChanged {
            upload: Some(1),
            download: None,
            transfer: None,
        };
        journal.note(&Transfer::new(1, job, Some(1)), None, true);
        journal.tell(None, told.clone());
        {
            let mut flush = pin!(journal.flush());
            let begun = poll_fn(|context| Poll::Ready(flush.as_mut().poll(context).is_pending())).await;
            assert!(begun);
        }
        let heard = tokio::time::timeout(Duration::from_secs(30), watcher.next()).await;
        assert_eq!(heard.expect("the event")[0].what, told);
    }
}
