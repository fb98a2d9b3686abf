//! What people change of transfers that run: what they are worth, how fast they may go. It counts at once, and survives a
//! restart with the transfer's journal.

use std::sync::Arc;

use p2p_proto::{ContentHash, Failure, FailureKind, PeerId};

use super::{
    Shared, Transfers,
    job::Job,
    limits::{self, Limits, Way},
    progress::Transfer,
    turns::Priority,
};

impl Transfers {
    /// Ends a transfer for this user; it goes on when others of this machine, or another peer, want it. False when nobody
    /// else does: then nothing was done.
    pub fn leave(&self, transfer: &Transfer, uid: u32) -> bool {
        let goes_on = !transfer.progress().state.is_final() && transfer.left_by(uid);
        if goes_on {
            self.0.note(transfer, true);
        }
        goes_on
    }

    /// How fast bytes may go and come.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// From now on so many fetch at once. Those that do go on.
    pub fn set_max_active(&self, most: u16) {
        self.0.turns.set_most(most.into());
    }

    /// Says what a transfer is worth against others that wait.
    ///
    /// # Errors
    /// `NotFound`; `Usage` when it has ended.
    pub fn set_priority(&self, id: u64, priority: Priority) -> Result<Arc<Transfer>, Failure> {
        let transfer = self.live(id)?;
        transfer.rank.set(priority);
        self.0.note(&transfer, true);
        Ok(transfer)
    }

    /// Which way the bytes of a transfer go, where they go between peers.
    #[must_use]
    pub const fn way(transfer: &Transfer) -> Option<Way> {
        match transfer.job {
            Job::Download { .. } => Some(Way::Down),
            Job::Replicate { .. } => Some(Way::Up),
            Job::Upload { .. } => None,
        }
    }

    /// Gives a transfer a limit of its own, in bytes a second, or takes it away.
    ///
    /// # Errors
    /// `NotFound`; `Usage` when it has ended, or its bytes do not go that way.
    pub fn set_limit(&self, id: u64, way: Way, rate: Option<u64>) -> Result<Arc<Transfer>, Failure> {
        let transfer = self.live(id)?;
        limits::check(rate)?;
        let usage = |what: &str| Err(Failure::new(FailureKind::Usage, format!("transfer {id} {what}")));
        match (Self::way(&transfer), way) {
            (Some(Way::Down), Way::Up) => return usage("is a download: it has a limit --down"),
            (Some(Way::Up), Way::Down) => return usage("is a copy that goes out: it has a limit --up"),
            (None, _) => return usage("is an import: it sends nothing"),
            _ => transfer.limit.set(rate),
        }
        self.0.limit_copy(&transfer);
        if transfer.progress().state.is_final() {
            // It ended meanwhile.
            self.0.forget_copy(&transfer);
        }
        self.0.note(&transfer, true);
        Ok(transfer)
    }

    /// The transfer with this number, which has not ended.
    fn live(&self, id: u64) -> Result<Arc<Transfer>, Failure> {
        let transfer = self.get(id)?;
        let now = transfer.progress().state;
        if now.is_final() {
            let message = format!("transfer {id} has ended: {}", now.word());
            return Err(Failure::new(FailureKind::Usage, message));
        }
        Ok(transfer)
    }
}

impl Shared {
    /// What a copy that goes out is limited to is known to whoever sends it.
    pub(super) fn limit_copy(&self, transfer: &Transfer) {
        let Some(copy) = copy(transfer) else { return };
        match transfer.limit() {
            Some(_) => self
                .limits
                .limit_copy(transfer.id, copy, Arc::clone(&transfer.limit)),
            None => self.limits.forget_copy(transfer.id, copy),
        }
    }

    /// Its copy is sent as fast as others are.
    pub(super) fn forget_copy(&self, transfer: &Transfer) {
        if let Some(copy) = copy(transfer) {
            self.limits.forget_copy(transfer.id, copy);
        }
    }
}

/// What a transfer follows that another peer copies, and who does.
const fn copy(transfer: &Transfer) -> Option<(PeerId, ContentHash)> {
    match &transfer.job {
        Job::Replicate {
            publication, peer_id, ..
        } => Some((*peer_id, publication.hash)),
        Job::Download { .. } | Job::Upload { .. } => None,
    }
}
