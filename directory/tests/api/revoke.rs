//! Revoking a peer: its key is out until an admin lets it in again, whatever else is done with its account.

use axum::http::Method;
use p2p_directory::admin::types::{PEERS, Peer, Peers, Revoked, STATUS, Status, USERS, User};
use p2p_proto::{FailureKind, rest::problem::ProblemKind};
use rcgen::KeyPair;

use crate::support::{Directory, login_request, problem};

async fn change(directory: &Directory, peer: &str, what: &str) -> Revoked {
    directory
        .admin
        .call(Method::POST, &format!("{PEERS}/{peer}/{what}"))
        .await
        .unwrap()
}

async fn listed(directory: &Directory, name: &str) -> Peer {
    let peers: Peers = directory.admin.call(Method::GET, PEERS).await.unwrap();
    let found = peers.peers.into_iter().find(|peer| peer.name.as_str() == name);
    found.unwrap()
}

#[tokio::test]
async fn a_revoked_key_is_out_until_it_is_allowed_again() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let key = KeyPair::generate().unwrap();
    let serialized = key.serialize_pem();
    let key_again = || KeyPair::from_pem(&serialized).unwrap();
    let lost = directory.peer_with(key, "ana", "laptop").await;
    let bob = directory.peer("bob", "ws2").await;
    assert!(listed(&directory, "laptop").await.online);
    let done = change(&directory, "laptop", "revoke").await;
    assert!(done.changed && done.peer_id == lost.login.peer_id);
    assert!(
        !change(&directory, &lost.login.peer_id.to_string(), "revoke")
            .await
            .changed
    );

    let told = problem(lost.get("/me", &[]).await).await;
    assert_eq!(told.kind(), Some(ProblemKind::NoSession));
    assert!(
        told.detail
            .unwrap()
            .ends_with("an administrator revoked this peer")
    );
    assert!(!bob.sees_online("laptop").await);
    assert_eq!(bob.ping().await.deny.unwrap().peers, [lost.login.peer_id]);
    let refused = problem(
        directory
            .post_login(&login_request(&key_again(), "ana", "laptop"))
            .await,
    )
    .await;
    assert_eq!(refused.kind(), Some(ProblemKind::Forbidden));
    // Nor with another account, nor after its own was disabled and enabled.
    let as_bob = directory
        .post_login(&login_request(&key_again(), "bob", "x"))
        .await;
    assert_eq!(problem(as_bob).await.kind(), Some(ProblemKind::Forbidden));
    for what in ["disable", "enable"] {
        let path = format!("{USERS}/ana/{what}");
        let _: User = directory.admin.call(Method::POST, &path).await.unwrap();
    }
    assert_eq!(bob.ping().await.deny.unwrap().peers, [lost.login.peer_id]);
    let refused = directory
        .post_login(&login_request(&key_again(), "ana", "laptop"))
        .await;
    assert_eq!(problem(refused).await.kind(), Some(ProblemKind::Forbidden));
    // The machine set up anew is another peer, of the same name.
    let anew = directory.peer("ana", "laptop").await;
    assert_eq!(anew.login.peer_name.as_str(), "laptop");

    assert!(
        change(&directory, &lost.login.peer_id.to_string(), "allow")
            .await
            .changed
    );
    // Its old certificate stays denied until the login that is possible now.
    assert_eq!(bob.ping().await.deny.unwrap().peers, [lost.login.peer_id]);
    let back = directory.peer_with(key_again(), "ana", "laptop").await;
    assert!(bob.ping().await.deny.unwrap().peers.is_empty());
    assert!(bob.sees_online(back.login.peer_name.as_str()).await);
}

#[tokio::test]
async fn a_revocation_outlives_its_account_and_its_denial() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let key = KeyPair::generate().unwrap();
    let pem = key.serialize_pem();
    let lost = directory.peer_with(key, "ana", "laptop").await;
    change(&directory, "laptop", "revoke").await;
    directory.admin.delete(&format!("{USERS}/ana")).await.unwrap();
    directory.state.storage.prune(jiff::Timestamp::MAX).await.unwrap();
    let again = KeyPair::from_pem(&pem).unwrap();
    let refused = directory
        .post_login(&login_request(&again, "bob", "laptop"))
        .await;
    assert_eq!(problem(refused).await.kind(), Some(ProblemKind::Forbidden));
    let known = listed(&directory, "laptop").await;
    assert!(known.user.is_none() && known.revoked_at.is_some());
    assert!(change(&directory, "laptop", "allow").await.changed);
    assert_eq!(
        directory.peer_with(again, "bob", "laptop").await.login.peer_id,
        lost.login.peer_id
    );
}

#[tokio::test]
async fn mistakes_are_told_and_figures_add_up() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    ana.put("x", "x").await;
    for what in ["revoke", "allow"] {
        let path = format!("{PEERS}/nobody/{what}");
        let failure = directory
            .admin
            .call::<Revoked>(Method::POST, &path)
            .await
            .err()
            .unwrap();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (FailureKind::NotFound, "there is no peer nobody")
        );
    }
    assert!(!change(&directory, "ws1", "allow").await.changed);
    let status: Status = directory.admin.call(Method::GET, STATUS).await.unwrap();
    assert_eq!(
        (
            status.accounts,
            status.peers_online,
            status.peers_known,
            status.sessions,
            status.publications
        ),
        (1, 1, 1, 1, 1)
    );
    assert_eq!(status.ca_fingerprint, directory.state.authority.fingerprint());
    assert!(status.certificate_expires_at.unwrap() < status.ca_expires_at);
    assert!(status.database_bytes > 0 && status.free_bytes.unwrap() > 0 && status.database.exists());
}
