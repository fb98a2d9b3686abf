//! How much of everything one account, one peer and one address may have, as `[limits]` says.

use std::time::Duration;

use p2p_directory::{app::Bounds, config::Limits};
use p2p_proto::{
    index::HoldState,
    rest::{index::HoldChange, problem::ProblemKind},
};
use rcgen::KeyPair;
use reqwest::Method;
use serde_json::json;

use crate::support::{Directory, login_request, problem, problem_kind, publish_request};

async fn limited(users: &[&str], limits: Limits) -> Directory {
    Directory::bounded(users, limits, Bounds::default()).await
}

#[tokio::test]
async fn an_account_has_so_many_publications() {
    let limits = Limits {
        publications_per_account: 2,
        ..Limits::default()
    };
    let directory = limited(&["ana", "bob"], limits).await;
    let ana = directory.peer("ana", "ws1").await;
    let first = ana.put("a", "one").await;
    ana.put("a", "two").await;
    let more = publish_request("b", "three");
    let found = problem(ana.post("/publications", &more).await).await;
    assert_eq!(found.kind(), Some(ProblemKind::Invalid));
    assert_eq!(
        found.detail.unwrap(),
        "ana has 2 publications, the most there may be"
    );
    // What is there already is no other one, a withdrawn one leaves its place, and others have theirs.
    ana.put("a", "two").await;
    directory.peer("bob", "ws2").await.put("b", "three").await;
    assert!(ana.withdraw(first.id).await.status().is_success());
    ana.publish(&more).await;
}

#[tokio::test]
async fn a_peer_has_so_many_holds() {
    let limits = Limits {
        holds_per_peer: 2,
        ..Limits::default()
    };
    let directory = limited(&["ana"], limits).await;
    let mut ana = directory.peer("ana", "ws1").await;
    let ids = [ana.put("a", "one").await.id, ana.put("b", "two").await.id];
    let third = ana.put("c", "three").await.id;
    ana.hold(&ids, HoldState::Complete).await;
    let held = json!({ "held": { "publication": third, "state": "complete" } });
    let mut delta = serde_json::to_value(ana.delta(Vec::new())).unwrap();
    delta["changes"] = json!([held]);
    delta["seq"] = 3.into();
    assert_eq!(
        problem_kind(ana.post("/index", &delta).await).await,
        ProblemKind::Invalid
    );
    // Nothing of it is stored, and one may take the place of another.
    assert_eq!(ana.ping().await.index, ana.ping_request().index.into());
    delta["changes"] = json!([{ "dropped": ids[0] }, held]);
    delta["seq"] = 4.into();
    assert!(ana.post("/index", &delta).await.status().is_success());
}

#[tokio::test]
async fn a_delta_and_a_peer_have_what_is_configured() {
    let limits = Limits {
        index_changes: 2,
        addresses_per_peer: 1,
        ..Limits::default()
    };
    let directory = limited(&["ana"], limits).await;
    let mut ana = directory.peer("ana", "ws1").await;
    let file = ana.put("a", "one").await.id;
    ana.hold(&[file; 2], HoldState::Complete).await;
    let three = ana.delta(vec![HoldChange::Dropped(file); 3]);
    let found = problem(ana.post("/index", &three).await).await;
    assert_eq!(found.kind(), Some(ProblemKind::Invalid));
    assert_eq!(found.detail.unwrap(), "3 changes; a delta has at most 2");
    let mut ping = ana.ping_request();
    ping.addresses = vec!["10.0.0.1:7401".parse().unwrap(); 2];
    let found = problem(ana.post("/ping", &ping).await).await;
    assert_eq!(found.detail.as_deref(), Some("2 addresses; a peer has at most 1"));
    let mut login = login_request(&KeyPair::generate().unwrap(), "ana", "ws2");
    login.addresses = ping.addresses;
    let found = problem_kind(directory.post_login(&login).await).await;
    assert_eq!(found, ProblemKind::Invalid);
}

#[tokio::test]
async fn a_ping_has_eight_addresses() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let mut ping = ana.ping_request();
    ping.addresses = vec!["10.0.0.1:7401".parse().unwrap(); 8];
    assert!(ana.post("/ping", &ping).await.status().is_success());
    ping.addresses.push("10.0.0.1:7401".parse().unwrap());
    assert_eq!(
        problem_kind(ana.post("/ping", &ping).await).await,
        ProblemKind::Invalid
    );
}

#[tokio::test]
async fn a_peer_asks_at_a_pace() {
    let limits = Limits {
        requests_per_second: 1,
        ..Limits::default()
    };
    let directory = limited(&["ana"], limits).await;
    let (one, other) = (
        directory.peer("ana", "ws1").await,
        directory.peer("ana", "ws2").await,
    );
    for _ in 0..10 {
        one.ping().await;
    }
    let refused = one.get("/me", &[]).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    let found = problem(refused).await;
    assert_eq!(
        (found.kind(), found.retry_after_s),
        (Some(ProblemKind::TooMany), Some(1))
    );
    other.ping().await;
    directory.clock.advance(Duration::from_secs(1));
    one.ping().await;
    assert_eq!(
        problem_kind(one.get("/me", &[]).await).await,
        ProblemKind::TooMany
    );
}

#[tokio::test]
async fn guessed_tokens_and_logins_come_at_a_pace() {
    let limits = Limits {
        requests_per_second: 1,
        ..Limits::default()
    };
    let directory = limited(&["ana"], limits).await;
    let ana = directory.peer("ana", "ws1").await;
    let guess = async || {
        let request = directory
            .request(Method::GET, "/api/v1/me")
            .bearer_auth("A".repeat(43));
        problem_kind(request.send().await.unwrap()).await
    };
    for _ in 0..9 {
        assert_eq!(guess().await, ProblemKind::NoSession);
    }
    assert_eq!(guess().await, ProblemKind::TooMany);
    let login = login_request(&KeyPair::generate().unwrap(), "ana", "ws2");
    let refused = directory.post_login(&login).await;
    assert_eq!(problem_kind(refused).await, ProblemKind::TooMany);
    ana.ping().await;
    directory.clock.advance(Duration::from_secs(1));
    assert!(directory.post_login(&login).await.status().is_success());
}
