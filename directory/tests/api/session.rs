//! `POST /session/renew`, `/logout`, `GET /me`, and how sessions end.

use std::time::Duration;

use axum::http::Method as AdminMethod;
use p2p_directory::admin::types::{USERS, User};
use p2p_proto::rest::{
    problem::ProblemKind,
    session::{Credentials, Me, RenewRequest},
};
use rcgen::KeyPair;
use reqwest::{Method, StatusCode};

use crate::support::{Directory, csr, good, problem_kind};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn renew_request(key: &KeyPair) -> RenewRequest {
    RenewRequest {
        csr: csr(key),
        api_level: 1,
    }
}

#[tokio::test]
async fn a_session_renews_its_certificate_after_it_ended() {
    let directory = Directory::with_users(&["ana"]).await;
    let peer = directory.peer("ana", "ws1").await;
    directory.clock.advance(8 * DAY);
    let renewed: Credentials = good(peer.post("/session/renew", &renew_request(&peer.key)).await).await;
    let before = &peer.login.credentials;
    assert_eq!(
        renewed
            .certificate_expires_at
            .duration_since(before.certificate_expires_at)
            .as_hours(),
        8 * 24
    );
    assert_eq!(
        renewed
            .session_expires_at
            .duration_since(before.session_expires_at)
            .as_hours(),
        8 * 24
    );
}

#[tokio::test]
async fn only_the_sessions_key_is_certified() {
    let directory = Directory::with_users(&["ana"]).await;
    let peer = directory.peer("ana", "ws1").await;
    let other = renew_request(&KeyPair::generate().unwrap());
    assert_eq!(
        problem_kind(peer.post("/session/renew", &other).await).await,
        ProblemKind::Forbidden
    );
}

#[tokio::test]
async fn a_session_ends_at_its_time() {
    let directory = Directory::with_users(&["ana"]).await;
    let peer = directory.peer("ana", "ws1").await;
    let me: Me = good(peer.get("/me", &[]).await).await;
    assert_eq!(
        (me.user.as_str(), me.peer_name.as_str(), me.peer_id),
        ("ana", "ws1", peer.login.peer_id)
    );
    directory.clock.advance(90 * DAY);
    assert_eq!(
        problem_kind(peer.get("/me", &[]).await).await,
        ProblemKind::NoSession
    );
    let renewal = peer.post("/session/renew", &renew_request(&peer.key)).await;
    assert_eq!(problem_kind(renewal).await, ProblemKind::NoSession);
}

#[tokio::test]
async fn logout_ends_the_session_and_unlists_the_peer() {
    let directory = Directory::with_users(&["ana"]).await;
    let (leaver, stayer) = (
        directory.peer("ana", "ws1").await,
        directory.peer("ana", "ws2").await,
    );
    assert!(stayer.sees_online("ws1").await);
    assert_eq!(leaver.logout().await, StatusCode::NO_CONTENT);
    assert!(!stayer.sees_online("ws1").await);
    assert!(stayer.sees_online("ws2").await);
    let ping = leaver.post("/ping", &leaver.ping_request()).await;
    assert_eq!(problem_kind(ping).await, ProblemKind::NoSession);
    assert_eq!(leaver.logout().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_new_login_of_a_peer_replaces_its_session() {
    let directory = Directory::with_users(&["ana"]).await;
    let first = directory.peer("ana", "ws1").await;
    let token = first.login.session_token.clone();
    let second = directory.peer_with(first.key, "ana", "ws1").await;
    let old = directory
        .request(Method::GET, "/api/v1/me")
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(problem_kind(old).await, ProblemKind::NoSession);
    assert!(second.sees_online("ws1").await);
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_and_its_peers_are_denied() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let _: User = directory
        .admin
        .call(AdminMethod::POST, &format!("{USERS}/ana/disable"))
        .await
        .unwrap();
    let ping = ana.post("/ping", &ana.ping_request()).await;
    assert_eq!(problem_kind(ping).await, ProblemKind::NoSession);
    assert!(!bob.sees_online("ws1").await);
    let denied = bob.ping().await.deny.unwrap();
    assert_eq!(denied.peers, [ana.login.peer_id]);
    let mut known = bob.ping_request();
    known.deny_version = denied.version;
    let pong: p2p_proto::rest::session::PingResponse = good(bob.post("/ping", &known).await).await;
    assert_eq!(pong.deny, None);
    let _: User = directory
        .admin
        .call(AdminMethod::POST, &format!("{USERS}/ana/enable"))
        .await
        .unwrap();
    assert!(bob.ping().await.deny.unwrap().peers.is_empty());
    directory.peer("ana", "ws1").await;
}

#[tokio::test]
async fn without_a_session_nothing_is_told() {
    let directory = Directory::start().await;
    for path in ["/me", "/peers", "/search", "/files?ref=x", "/download?ref=x"] {
        let response = directory
            .request(Method::GET, &format!("/api/v1{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(problem_kind(response).await, ProblemKind::NoSession, "{path}");
    }
    for path in ["/logout", "/ping", "/index", "/publications", "/session/renew"] {
        let response = directory
            .request(Method::POST, &format!("/api/v1{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(problem_kind(response).await, ProblemKind::NoSession, "{path}");
    }
}
