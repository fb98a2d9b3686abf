//! Who of this machine may do what. There is one session: made by root or by the configuration it is the machine's, and
//! everybody who may open the socket acts with it; made by another user it is his alone, and root's. The rule holds for
//! the last session too while nobody is logged in: what the store keeps is still its account's. Who runs the daemon is as
//! root to it.

use std::collections::BTreeSet;

use p2p_proto::{Failure, FailureKind};

use super::rpc::ControlRpc;
use crate::{
    events::{Event, What},
    identity::{
        known::{ROOT, rules, user_name},
        session::Account,
    },
    transfer::progress::Transfer,
};

impl ControlRpc {
    /// This user may use the session.
    pub(super) fn acts(&self, uid: u32) -> bool {
        let maker = self.sessions.made_by();
        rules(uid) || maker == ROOT || uid == maker || self.config.now().control.shared_session
    }

    /// The same, or the sentence that says whose session it is.
    ///
    /// # Errors
    /// `NotPermitted`.
    pub(super) async fn must_act(&self, uid: u32) -> Result<(), Failure> {
        if self.acts(uid) {
            return Ok(());
        }
        Err(self.not_yours("it is not yours to use").await)
    }

    /// This user may end the session, or put another one in its place: its own user and root may, and anybody where there
    /// is none: where they may log in then is `Sessions::must_be_at`.
    ///
    /// # Errors
    /// `NotPermitted`.
    pub(super) async fn must_own(&self, uid: u32) -> Result<(), Failure> {
        if self.sessions.is_owned_by(uid) || self.sessions.current().is_none() {
            return Ok(());
        }
        Err(self.not_yours("it is not yours to end or replace").await)
    }

    /// This user may see the transfer, and steer it.
    pub(super) fn sees(&self, uid: u32, transfer: &Transfer) -> bool {
        transfer.is_wanted_by(uid) || self.sessions.is_owned_by(uid)
    }

    /// The event as this user may hear of it, none when he may not. What names a transfer is for those who may see that,
    /// what names a file, a peer or a group for those who may use the session; and what names anything, for the account
    /// only whose it is.
    pub(super) fn heard(&self, uid: u32, event: &Event) -> Option<Event> {
        let own =
            event.account.is_none() || event.account == self.sessions.account().as_ref().map(Account::id);
        let acts = self.acts(uid);
        let owns = self.sessions.is_owned_by(uid);
        let what = heard(&event.what, own, acts, |users| owns || users.contains(&uid))?;
        Some(Event {
            what,
            ..event.clone()
        })
    }

    async fn not_yours(&self, what: &str) -> Failure {
        let maker = self.sessions.made_by();
        let name = user_name(maker).await.unwrap_or_else(|| format!("user {maker}"));
        let session = match (self.sessions.current(), self.sessions.account()) {
            (Some(session), _) => format!("this peer is logged in as {} by {name}", session.record.user),
            (None, Some(account)) => format!(
                "what this peer keeps is {}'s, logged in last by {name}",
                account.user
            ),
            (None, None) => format!("this peer is {name}'s"),
        };
        let failure = Failure::new(FailureKind::NotPermitted, format!("{session}; {what}"));
        match maker {
            ROOT => failure.hint("Ask root"),
            _ => failure.hint(format!(
                "Ask {name}, or root for: [control] shared_session = true"
            )),
        }
    }
}

/// What happened as it is heard of by somebody who may use the session or not, and sees transfers that these want.
fn heard(what: &What, own: bool, acts: bool, sees: impl Fn(&BTreeSet<u32>) -> bool) -> Option<What> {
    let audible = match what {
        What::Joined { .. } | What::Left { .. } => own && acts,
        _ => match what.transfer() {
            Some(transfer) => own && acts && sees(&transfer.users),
            None if what.publication().is_some() || what.peer().is_some() => own && acts,
            None => own || what.user().is_none(),
        },
    };
    audible.then(|| match what {
        // As in `status`: that nobody is logged in is for all to know, why it is not.
        What::SessionEnded { user, .. } if !acts => What::SessionEnded {
            user: user.clone(),
            reason: String::new(),
        },
        what => what.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outsider_hears_no_group_and_no_reason() {
        let joined = What::Joined {
            group: "lab".parse().unwrap(),
            user: "ana".parse().unwrap(),
        };
        let ended = What::SessionEnded {
            user: "ana".parse().unwrap(),
            reason: "an administrator disabled the account".into(),
        };
        let hears = |what: &What, own, acts| heard(what, own, acts, |_| false);
        assert_eq!(hears(&joined, true, true), Some(joined.clone()));
        assert_eq!(hears(&joined, true, false), None);
        assert_eq!(hears(&joined, false, true), None);
        assert_eq!(hears(&ended, true, true), Some(ended.clone()));
        assert_eq!(hears(&ended, true, false).unwrap().reason(), "");
        assert_eq!(hears(&ended, false, true), None);
    }
}
