//! Whose a transfer is on this machine: of the Unix user who began it, and of those who asked for the same later and joined
//! it. Each of them may see it and steer it; who has had enough leaves it, and for the last one of them it ends.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::Transfer;

impl Transfer {
    /// The users who want it; none for one that only another peer asked for.
    #[must_use]
    pub fn users(&self) -> BTreeSet<u32> {
        self.users.borrow().clone()
    }

    /// This user is one of those.
    #[must_use]
    pub fn is_wanted_by(&self, uid: u32) -> bool {
        self.users.borrow().contains(&uid)
    }

    /// Follows who does.
    pub(in crate::transfer) fn subscribe_users(&self) -> watch::Receiver<BTreeSet<u32>> {
        self.users.subscribe()
    }

    /// From now on he is.
    pub(in crate::transfer) fn joined_by(&self, uid: u32) {
        self.users.send_if_modified(|users| users.insert(uid));
    }

    /// This user wants it no more, and it goes on for others. False when nobody else wants it: then it stays his.
    pub(in crate::transfer) fn left_by(&self, uid: u32) -> bool {
        let for_a_peer = self.job.placed_by().is_some();
        self.users
            .send_if_modified(|users| (users.len() > 1 || for_a_peer) && users.remove(&uid))
    }

    /// Waits until this user wants it no more.
    pub async fn given_up_by(&self, uid: u32) {
        let mut users = self.users.subscribe();
        // The transfer holds the other end.
        let _ = users.wait_for(|users| !users.contains(&uid)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::job::Job;

    #[test]
    fn who_leaves_ends_it_for_nobody_else() {
        let job = Job::Upload {
            owner: "ana".parse().unwrap(),
            name: "scan.tar".parse().unwrap(),
            size: None,
        };
        let transfer = Transfer::new(1, job, Some(1));
        assert!(!transfer.left_by(1), "the only one");
        transfer.joined_by(2);
        assert!(!transfer.left_by(3), "not one of them");
        assert!(transfer.left_by(1) && !transfer.is_wanted_by(1));
        assert!(!transfer.left_by(2) && transfer.is_wanted_by(2));
    }
}
