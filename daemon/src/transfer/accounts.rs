//! Whose a transfer is, and what that means while accounts take turns on this peer: it runs in its own account's session
//! only, and is nobody else's to see.

use std::sync::Arc;

use p2p_proto::{Failure, FailureKind};

use super::{Shared, journal::AccountId};
use crate::identity::session::Session;

impl Shared {
    pub(super) fn account(&self, id: u64) -> Option<AccountId> {
        self.registry.get(id).and_then(|entry| entry.account)
    }

    /// Whoever waits for a session, or for what it opens, looks again when it changes.
    pub(super) async fn look_again_with_each_session(&self) {
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
    pub(super) async fn logged_out(&self, id: u64) {
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
    pub(super) fn is_of_last_account(&self, id: u64) -> bool {
        match (self.sessions.account(), self.account(id)) {
            (Some(last), Some(account)) => (last.cluster, last.user_id) == (account.cluster, account.user),
            _ => true,
        }
    }

    /// The session is still the account's that began it.
    pub(super) fn is_of_this_account(&self, id: u64) -> Result<(), Failure> {
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
