//! What an admin does while a request is under way counts: the request was let in before, and changes nothing after.

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use p2p_directory::{
    admin::types::{PEERS, USERS, User},
    clock::Clock,
    storage::{
        Account, Ended, LogIn, NewPassword, NewSession, Session, SessionStore, StorageError, UserStore,
    },
};
use p2p_proto::{
    peer_id::sha256,
    rest::{
        index::IndexDelta,
        reports::{Fault, ReportRequest},
    },
};
use reqwest::Method;
use uuid::Uuid;

use crate::support::{Directory, Peer, publish_request};

/// The peer's session, as a request has it that was let in just now.
async fn let_in(peer: &Peer<'_>) -> Session {
    let token = BASE64URL_NOPAD
        .decode(peer.login.session_token.as_bytes())
        .unwrap();
    let storage: &dyn SessionStore = &*peer.directory.state.storage;
    storage.session(sha256(&token)).await.unwrap().unwrap()
}

async fn account(directory: &Directory, name: &str) -> Account {
    let storage: &dyn UserStore = &*directory.state.storage;
    storage.user(&name.parse().unwrap()).await.unwrap().unwrap()
}

/// That nothing is done for it, and why.
#[track_caller]
fn ended<T>(done: Result<T, StorageError>, why: Option<Ended>) {
    match done {
        Err(StorageError::NoSession(found)) => assert_eq!(found, why),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was done"),
    }
}

#[tokio::test]
async fn a_session_that_ended_meanwhile_changes_nothing() {
    let directory = Directory::with_users(&["ana", "bob", "cy", "dan", "eve"]).await;
    let watcher = directory.peer("ana", "watcher").await;
    let file = watcher.put("x", "x").await;
    let storage = &*directory.state.storage;
    for (user, why) in [
        ("bob", None),
        ("cy", Some(Ended::Revoked)),
        ("dan", Some(Ended::Disabled)),
        ("eve", Some(Ended::Removed)),
    ] {
        let peer = directory.peer(user, user).await;
        let session = let_in(&peer).await;
        let path = format!("{USERS}/{user}");
        match why {
            None => assert_eq!(peer.logout().await, 204),
            Some(Ended::Revoked) => {
                let path = format!("{PEERS}/{user}/revoke");
                let _: serde_json::Value = directory.admin.call(Method::POST, &path).await.unwrap();
            }
            Some(Ended::Disabled) => {
                let path = format!("{path}/disable");
                let _: User = directory.admin.call(Method::POST, &path).await.unwrap();
            }
            Some(Ended::Removed) => assert!(storage.remove_user(&user.parse().unwrap()).await.unwrap()),
        }
        let ping = peer.ping_request();
        let until = directory.state.lease_until();
        ended(storage.ping(&session, &ping, until).await, why);
        let delta = IndexDelta {
            index_id: Uuid::new_v4(),
            after_seq: 0,
            seq: 0,
            digest: p2p_proto::index::IndexDigest::default(),
            changes: Vec::new(),
        };
        ended(storage.apply_index(&session, &delta, 10).await, why);
        ended(
            storage.publish(&session, &publish_request("y", "y"), 10).await,
            why,
        );
        ended(storage.withdraw(&session, file.id).await, why);
        ended(storage.release(&session, file.id, true).await, why);
        ended(storage.renew(&session, Timestamp::MAX, Timestamp::MAX).await, why);
        let report = ReportRequest {
            publication: file.id,
            holder: watcher.login.peer_id,
            fault: Fault::Bytes,
        };
        ended(storage.report(&session, &report, 10).await, why);
        assert!(!watcher.sees_online(user).await, "{user}");
    }
}

/// A login whose password was looked at just now.
fn login(directory: &Directory, peer: &Peer<'_>, account: Account) -> NewSession {
    let later = directory.state.lease_until();
    NewSession {
        token_hash: sha256(b"another token"),
        user: account.id,
        password_hash: account.password_hash,
        peer: peer.login.peer_id,
        peer_name: peer.login.peer_name.clone(),
        addresses: Vec::new(),
        expires_at: later,
        certificate_expires_at: later,
        lease_until: later,
    }
}

#[tokio::test]
async fn a_login_under_way_undoes_neither_a_disable_nor_a_new_password() {
    let directory = Directory::with_users(&["ana", "eve"]).await;
    let watcher = directory.peer("ana", "watcher").await;
    let peer = directory.peer("eve", "eves").await;
    let storage = &*directory.state.storage;

    let before = account(&directory, "eve").await;
    let name = before.name.clone();
    storage.set_disabled(&name, true).await.unwrap();
    let denied = watcher.ping().await.deny.unwrap();
    assert_eq!(denied.peers, [peer.login.peer_id]);
    // Versions are times, so that none comes twice after the same backup was restored twice.
    let now = directory.clock.now().as_millisecond();
    assert!(i64::try_from(denied.version).unwrap() >= now);
    let refused = storage.log_in(login(&directory, &peer, before)).await.unwrap();
    assert_eq!(refused, LogIn::Refused);
    assert_eq!(watcher.ping().await.deny, Some(denied));
    assert!(!watcher.sees_online("eves").await);

    storage.set_disabled(&name, false).await.unwrap();
    let before = account(&directory, "eve").await;
    set(&directory, None, "another").await;
    let refused = storage.log_in(login(&directory, &peer, before)).await.unwrap();
    assert_eq!(refused, LogIn::Refused);

    let before = account(&directory, "eve").await;
    let good = storage.log_in(login(&directory, &peer, before)).await.unwrap();
    assert!(matches!(good, LogIn::Done(_)));
    let before = account(&directory, "eve").await;
    storage.remove_user(&name).await.unwrap();
    let refused = storage.log_in(login(&directory, &peer, before)).await.unwrap();
    assert_eq!(refused, LogIn::Refused);
}

/// Sets eve's password, for which this one was shown; whether that was done.
async fn set(directory: &Directory, shown: Option<&str>, hash: &str) -> bool {
    let new = NewPassword {
        user: account(directory, "eve").await.id,
        shown: shown.map(str::to_owned),
        hash: hash.to_owned(),
    };
    directory.state.storage.set_password(new).await.unwrap()
}

#[tokio::test]
async fn a_change_under_way_does_not_undo_an_admins_new_password() {
    let directory = Directory::with_users(&["eve"]).await;
    let before = account(&directory, "eve").await.password_hash;
    assert!(set(&directory, None, "the admin's").await);
    assert!(!set(&directory, Some(&before), "eve's").await);
    assert_eq!(account(&directory, "eve").await.password_hash, "the admin's");
    assert!(set(&directory, Some("the admin's"), "eve's next").await);
    let name = "eve".parse().unwrap();
    directory.state.storage.set_disabled(&name, true).await.unwrap();
    assert!(!set(&directory, Some("eve's next"), "eve's last").await);
}
