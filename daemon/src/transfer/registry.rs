//! All transfers of this daemon by number: those that have not ended, and the last ones that have. What may be under way
//! at once is counted where a transfer is added. In memory; the journal writes what survives.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use p2p_proto::{ContentHash, Failure, FailureKind, PeerName};

use super::{
    job::Job,
    journal::{AccountId, KEEP_ENDED},
    progress::Transfer,
};

/// Transfers that have not ended; more are refused.
const MAX_LIVE: usize = 10_000;

/// Imports of one user that have not ended: each reads a file, which may be slow, on a thread of its own.
const MAX_IMPORTS: usize = 32;

/// Copies for other peers that have not ended; more are refused.
const MAX_PLACED: usize = 256;

/// The same, for one peer.
const MAX_PLACED_BY_ONE: usize = 64;

/// A transfer, and whose it is.
#[derive(Clone)]
pub(super) struct Entry {
    pub transfer: Arc<Transfer>,
    pub account: Option<AccountId>,
}

/// Those that run and the last ones that ended.
pub(super) struct Registry {
    all: Mutex<BTreeMap<u64, Entry>>,
    next_id: AtomicU64,
}

impl Registry {
    /// These, whose highest number ever was `last_id`.
    pub fn new(known: Vec<(Transfer, Option<AccountId>)>, last_id: u64) -> Self {
        let all = known.into_iter().map(|(transfer, account)| {
            let transfer = Arc::new(transfer);
            (transfer.id, Entry { transfer, account })
        });
        Self {
            all: Mutex::new(all.collect()),
            next_id: AtomicU64::new(last_id + 1),
        }
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by number.
    pub fn entries(&self) -> Vec<Entry> {
        self.map().values().cloned().collect()
    }

    /// The one with this number.
    pub fn get(&self, id: u64) -> Option<Entry> {
        self.map().get(&id).cloned()
    }

    /// How many there are of which this is true.
    pub fn count(&self, which: impl Fn(&Transfer) -> bool) -> usize {
        self.map().values().filter(|entry| which(&entry.transfer)).count()
    }

    /// The first of this account that has not ended and does such a job.
    pub fn find_live(&self, account: AccountId, which: impl Fn(&Job) -> bool) -> Option<Arc<Transfer>> {
        let all = self.map();
        let own = all.values().filter(|entry| entry.account == Some(account));
        let mut live = own.map(|entry| &entry.transfer).filter(|other| is_live(other));
        live.find(|transfer| which(&transfer.job)).cloned()
    }

    /// Those that will end as a copy of this content in the store.
    pub fn that_bring(&self, hash: ContentHash) -> Vec<Arc<Transfer>> {
        let all = self.map();
        let bring = live(&all).filter(|transfer| transfer.brings(hash));
        bring.cloned().collect()
    }

    /// Adds a transfer for this job, under the next number.
    ///
    /// # Errors
    /// `NotPermitted`, and `DiskFull` for another peer's copy, when too many have not ended.
    pub fn add(
        &self,
        job: Job,
        uid: Option<u32>,
        account: Option<AccountId>,
    ) -> Result<Arc<Transfer>, Failure> {
        let mut all = self.map();
        if let Some(crowd) = crowd(&all, &job, uid) {
            return Err(crowd);
        }
        forget_the_oldest(&mut all);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let transfer = Arc::new(Transfer::new(id, job, uid));
        let entry = Entry {
            transfer: Arc::clone(&transfer),
            account,
        };
        all.insert(id, entry);
        Ok(transfer)
    }
}

fn is_live(transfer: &Transfer) -> bool {
    !transfer.progress().state.is_final()
}

fn live(all: &BTreeMap<u64, Entry>) -> impl Iterator<Item = &Arc<Transfer>> {
    let transfers = all.values().map(|entry| &entry.transfer);
    transfers.filter(|transfer| is_live(transfer))
}

/// Too many have not ended for one more of this kind.
fn crowd(all: &BTreeMap<u64, Entry>, job: &Job, uid: Option<u32>) -> Option<Failure> {
    let too_many =
        |message: String| Some(Failure::new(FailureKind::NotPermitted, message).hint("p2pctl transfers"));
    if live(all).count() >= MAX_LIVE {
        return too_many(format!("{MAX_LIVE} transfers have not ended yet"));
    }
    if matches!(job, Job::Upload { .. }) {
        let his = |other: &Transfer| uid.is_none_or(|uid| other.is_wanted_by(uid));
        let imports = live(all).filter(|other| matches!(other.job, Job::Upload { .. }) && his(other));
        if imports.count() >= MAX_IMPORTS {
            return too_many(format!("{MAX_IMPORTS} uploads of this user have not ended yet"));
        }
    }
    let by = job.placed_by()?;
    let placed: Vec<&PeerName> = live(all).filter_map(|other| other.job.placed_by()).collect();
    let by_one = placed.iter().filter(|other| **other == by).count();
    let full = placed.len() >= MAX_PLACED || by_one >= MAX_PLACED_BY_ONE;
    // A quota, as the caller hears it.
    full.then(|| Failure::new(FailureKind::DiskFull, "has too many copies to make already"))
}

/// Of those that ended only the last ones are remembered.
fn forget_the_oldest(all: &mut BTreeMap<u64, Entry>) {
    let ended = all.iter().filter(|(_, entry)| !is_live(&entry.transfer));
    let ended: Vec<u64> = ended.map(|(id, _)| *id).collect();
    for id in ended.iter().rev().skip(KEEP_ENDED as usize) {
        all.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use jiff::Timestamp;
    use p2p_proto::{Visibility, rest::publications::Publication};
    use uuid::Uuid;

    use super::*;

    fn copy(number: u128, by: Option<&str>) -> Job {
        Job::Download {
            publication: Publication {
                id: Uuid::from_u128(number),
                owner: "ana".parse().unwrap(),
                name: format!("{number}.tar").parse().unwrap(),
                version: 1,
                hash: ContentHash::of(&number.to_le_bytes()),
                size: 1,
                visibility: Visibility::Public,
                published_at: Timestamp::UNIX_EPOCH,
            },
            kept: true,
            placed_by: by.map(|name| name.parse().unwrap()),
        }
    }

    /// So many at the same time; those that were added, and why another was refused.
    fn at_once(registry: &Registry, jobs: Vec<Job>) -> (Vec<Arc<Transfer>>, Option<Failure>) {
        let together = Barrier::new(jobs.len());
        let added: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = jobs
                .into_iter()
                .map(|job| {
                    scope.spawn(|| {
                        together.wait();
                        registry.add(job, None, None)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let refused = added.iter().find_map(|added| added.clone().err());
        (added.into_iter().flatten().collect(), refused)
    }

    #[test]
    fn of_many_copies_that_are_placed_at_once_only_so_many_are_taken() {
        let registry = Registry::new(Vec::new(), 0);
        let by_one = |by: &str| (0..100).map(|number| copy(number, Some(by))).collect();
        let (added, refused) = at_once(&registry, by_one("a"));
        assert_eq!(added.len(), MAX_PLACED_BY_ONE);
        let status = tonic::Status::from(refused.expect("a refusal"));
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(status.message(), "has too many copies to make already");
        for by in ["b", "c", "d"] {
            assert_eq!(at_once(&registry, by_one(by)).0.len(), MAX_PLACED_BY_ONE);
        }
        assert_eq!(
            at_once(&registry, by_one("e")).0.len(),
            0,
            "all together are too many"
        );
        assert_eq!(
            at_once(&registry, vec![copy(1, None)]).0.len(),
            1,
            "not another peer's"
        );
        added[0].finish(Ok(()));
        assert_eq!(at_once(&registry, by_one("a")).0.len(), 1, "one has ended");
    }
}
