//! What somebody wants fetched, and the transfer that does it: a new one, or one that does so already.

use std::time::Duration;

use p2p_proto::{Failure, FailureKind, PeerName, rest::publications::Publication};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    Transfers,
    download::Fetch,
    drive::Work,
    job::{Job, Keep},
    journal::AccountId,
    progress::{Attached, Intent},
};

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

/// How long a transfer that is cancelled may take to end, when somebody waits for that.
const ENDS_SOON: Duration = Duration::from_secs(10);

impl Transfers {
    /// It is held here; what was removed meanwhile is not mended.
    pub async fn holds(&self, publication: Uuid) -> bool {
        matches!(self.0.store.hold(publication).await, Ok(Some(_)))
    }

    /// Cancels what would add a copy of this publication to the store, and waits for its end.
    ///
    /// # Errors
    /// When one is about to hold it, and takes its time.
    pub async fn stop_bringing(&self, publication: Uuid) -> Result<(), Failure> {
        for transfer in self.all() {
            let brings = matches!(&transfer.job, Job::Download { publication: own, kept: true, .. } if own.id == publication);
            if brings && !transfer.progress().state.is_final() {
                transfer.want(Intent::Cancel);
                if timeout(ENDS_SOON, transfer.ended()).await.is_err() {
                    let message = format!("{} is being written just now", transfer.name());
                    return Err(Failure::new(FailureKind::Internal, message).hint("Try again"));
                }
            }
        }
        Ok(())
    }

    /// Starts fetching a publication, or joins the account's transfer that does so already: then it is this user's too. A
    /// content that is here already is done at once.
    ///
    /// # Errors
    /// `NotLoggedIn`; when too many transfers run.
    pub async fn start(&self, order: Order) -> Result<Attached, Failure> {
        let account = AccountId::of(&*self.0.sessions.require()?);
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
            && let Some(running) = self.0.registry.find_live(account, same)
        {
            if wait {
                running.be_patient();
            }
            if let Some(uid) = uid {
                running.joined_by(uid);
            }
            // Asked for again here, it is wanted again. Another peer cannot say that of what somebody here paused.
            if placed_by.is_none() {
                running.want(Intent::Run);
                self.0.look_again.notify_waiters();
            }
            self.0.note(&running, true);
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
        self.0
            .begin(&transfer, Work::Fetch(Fetch::new(publication, keep)));
        Ok(attached)
    }
}
