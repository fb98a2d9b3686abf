//! Tells the directory what this peer holds. The store keeps the log of changes; a ping compares sequence and digest, and
//! what is missing is sent: the changes since, or all of them under a new index id.

use std::sync::Arc;

use p2p_proto::{
    Failure, FailureKind,
    rest::{
        index::{IndexDelta, MAX_CHANGES},
        session::IndexState,
    },
};
use tokio::sync::{Mutex, Notify};

use crate::{identity::session::Session, store::Store};

/// More runs than the most holds of a peer need: a directory that never has enough is given up until the next ping.
const MAX_RUNS: u32 = 4096;

/// So often a full resend is begun before it is left to the next ping.
const MAX_RESTARTS: u32 = 2;

/// Sends the index; one run at a time.
#[derive(Clone)]
pub struct Announcer {
    store: Store,
    agreed: Arc<Mutex<Option<Agreed>>>,
    announced: Arc<Notify>,
}

/// What the directory answered when it last had all of ours. The two differ when it does not know a publication.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Agreed {
    ours: IndexState,
    theirs: IndexState,
}

impl Announcer {
    /// An announcer of this store's holds.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            agreed: Arc::new(Mutex::new(None)),
            announced: Arc::default(),
        }
    }

    /// Brings the directory up to date from what it had last.
    ///
    /// # Errors
    /// Those of the directory and the store; the next ping heals it.
    pub async fn announce(&self, session: &Session) -> Result<(), Failure> {
        let mut agreed = self.agreed.lock().await;
        let theirs = agreed.map(|agreed| agreed.theirs);
        self.bring_up(session, theirs, &mut agreed).await?;
        self.announced.notify_one();
        Ok(())
    }

    /// Does what must not meet a run of changes on its way, after the directory has heard of all before.
    ///
    /// # Errors
    /// As [`Self::announce`], and then nothing is done.
    pub async fn after_all<T>(&self, session: &Session, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut agreed = self.agreed.lock().await;
        let theirs = agreed.map(|agreed| agreed.theirs);
        self.bring_up(session, theirs, &mut agreed).await?;
        Ok(work.await)
    }

    /// Waits until something new was announced: the rest of what a ping says has changed too.
    pub async fn announced(&self) {
        self.announced.notified().await;
    }

    /// The same, from what the directory says that it has.
    ///
    /// # Errors
    /// As [`Self::announce`].
    pub async fn reconcile(&self, session: &Session, theirs: Option<IndexState>) -> Result<(), Failure> {
        let mut agreed = self.agreed.lock().await;
        self.bring_up(session, theirs, &mut agreed).await
    }

    async fn bring_up(
        &self,
        session: &Session,
        mut theirs: Option<IndexState>,
        agreed: &mut Option<Agreed>,
    ) -> Result<(), Failure> {
        let mut restarts = 0;
        for _ in 0..MAX_RUNS {
            let ours = self.store.index_state().await?;
            let same = theirs == Some(ours)
                || agreed.is_some_and(|agreed| agreed.ours == ours && Some(agreed.theirs) == theirs);
            if same || (theirs.is_none() && ours.seq == 0) {
                *agreed = theirs.map(|theirs| Agreed { ours, theirs });
                return Ok(());
            }
            let after = match theirs {
                Some(theirs) if theirs.index_id == ours.index_id => theirs.seq,
                _ => 0,
            };
            let delta = if after < ours.seq {
                self.delta(ours, after).await?
            } else {
                None
            };
            let answer = match &delta {
                Some(delta) => session.client.index(delta).await?,
                None => None,
            };
            if let Some(answer) = answer {
                if !answer.unknown.is_empty() {
                    tracing::info!(
                        "the directory does not know {} of the files held here",
                        answer.unknown.len()
                    );
                }
                theirs = Some(answer.index);
                let at_end = answer.index.index_id == ours.index_id && answer.index.seq == ours.seq;
                *agreed = at_end.then_some(Agreed {
                    ours,
                    theirs: answer.index,
                });
            } else {
                if restarts == MAX_RESTARTS {
                    return Err(Failure::new(
                        FailureKind::Unreachable,
                        "the directory does not take the index",
                    ));
                }
                restarts += 1;
                self.store.restart_index().await?;
                theirs = None;
                *agreed = None;
            }
        }
        Err(Failure::new(
            FailureKind::Unreachable,
            "the directory does not take the index",
        ))
    }

    async fn delta(&self, ours: IndexState, after_seq: u64) -> Result<Option<IndexDelta>, Failure> {
        let Some(run) = self.store.index_changes(after_seq, MAX_CHANGES).await? else {
            return Ok(None);
        };
        let Some(last) = run.last() else {
            return Ok(None);
        };
        Ok(Some(IndexDelta {
            index_id: ours.index_id,
            after_seq,
            seq: last.seq,
            digest: last.digest,
            changes: run.iter().map(|entry| entry.change).collect(),
        }))
    }
}
