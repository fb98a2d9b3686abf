//! What outlives a session: which CA is pinned for which directory and who vouched for it, and whose files the store holds.
//! Owned, and written to `state_dir/known.json`, by [`super::session::Sessions`].

use std::collections::{BTreeMap, BTreeSet};

use p2p_proto::UserName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{session::SessionRecord, trust::TrustedCa};
use crate::store::AccountId;

/// The user whose sessions are the machine's.
pub const ROOT: u32 = 0;

/// This user rules this daemon: root does, and whoever runs it, who may read all that it has.
#[must_use]
pub fn rules(uid: u32) -> bool {
    ruled_by(uid, nix::unistd::geteuid().as_raw())
}

/// What the system calls this user. It may have to ask other machines, so it is asked where one may wait.
pub async fn user_name(uid: u32) -> Option<String> {
    let found = tokio::task::spawn_blocking(move || nix::unistd::User::from_uid(uid.into()));
    found.await.ok()?.ok()?.map(|user| user.name)
}

const fn ruled_by(uid: u32, runs: u32) -> bool {
    uid == ROOT || uid == runs
}

/// An account of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The directory's cluster.
    pub cluster: Uuid,
    /// The account's id.
    pub user_id: Uuid,
    /// Its name.
    pub user: UserName,
}

impl Account {
    /// Which it is, without its name.
    #[must_use]
    pub const fn id(&self) -> AccountId {
        AccountId {
            cluster: self.cluster,
            user: self.user_id,
        }
    }
}

/// What is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// Directory URL → its CA in PEM.
    #[serde(default)]
    pinned: BTreeMap<String, String>,
    /// Directory URL → the Unix users who said that this CA is its.
    #[serde(default)]
    vouched: BTreeMap<String, BTreeSet<u32>>,
    /// The directory of the last session.
    #[serde(default)]
    pub(super) last_directory: Option<String>,
    /// Whose files the store holds.
    #[serde(default)]
    pub(super) account: Option<Account>,
    /// The Unix user who made the last session; 0 for the machine.
    #[serde(default)]
    pub(super) made_by: u32,
}

impl Known {
    /// The CA that is pinned for this directory, whoever vouched for it.
    pub(super) fn pinned(&self, url: &str) -> Option<TrustedCa> {
        TrustedCa::of_pem(self.pinned.get(url)?.clone()).ok()
    }

    /// The CA that this user need not be asked about: he vouched for it himself, or one who rules this daemon did.
    pub(super) fn pinned_for(&self, url: &str, uid: u32) -> Option<TrustedCa> {
        let vouched = self.vouched.get(url)?.iter();
        vouched
            .copied()
            .any(|who| who == uid || rules(who))
            .then(|| self.pinned(url))?
    }

    /// Remembers a session that begins or is renewed.
    pub(super) fn remember(&mut self, record: &SessionRecord) {
        self.pin(&record.directory, &record.ca, record.made_by);
        self.last_directory = Some(record.directory.clone());
        self.account = Some(Account {
            cluster: record.cluster,
            user_id: record.user_id,
            user: record.user.clone(),
        });
        self.made_by = record.made_by;
    }

    fn pin(&mut self, url: &str, ca: &str, uid: u32) {
        let before = self.pinned.insert(url.to_owned(), ca.to_owned());
        let vouched = self.vouched.entry(url.to_owned()).or_default();
        if before.as_deref() != Some(ca) {
            // Those vouched for another one.
            vouched.clear();
        }
        vouched.insert(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ca() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        ca.pem()
    }

    #[test]
    fn a_pin_is_for_who_made_it_and_for_all_when_root_did() {
        let (url, first, other) = ("https://dir.lab:7400", ca(), ca());
        let mut known = Known::default();
        assert_eq!(known.pinned_for(url, 4_000_001), None);
        known.pin(url, &first, 4_000_001);
        assert_eq!(known.pinned_for(url, 4_000_001).unwrap().pem, first);
        assert_eq!(known.pinned_for(url, 4_000_002), None, "nobody asked him");
        assert_eq!(known.pinned_for(url, ROOT), None);
        known.pin(url, &first, 4_000_002);
        assert!(known.pinned_for(url, 4_000_001).is_some() && known.pinned_for(url, 4_000_002).is_some());
        known.pin(url, &other, 4_000_002);
        assert_eq!(known.pinned_for(url, 4_000_001), None, "it was another CA");
        known.pin(url, &other, ROOT);
        assert_eq!(known.pinned_for(url, 4_000_001).unwrap().pem, other);
        assert_eq!(known.pinned_for("https://else:7400", 4_000_001), None);
    }

    #[test]
    fn who_runs_the_daemon_rules_it_as_root_does() {
        assert!(ruled_by(ROOT, 4_000_001) && ruled_by(4_000_001, 4_000_001) && ruled_by(ROOT, ROOT));
        assert!(!ruled_by(4_000_002, 4_000_001) && !ruled_by(4_000_001, ROOT));
    }
}
