//! `POST /index` and what pings say of it.

use axum::http::Method;
use p2p_directory::admin::types::{USERS, User};
use p2p_proto::{
    index::{Hold, HoldState, IndexDigest},
    rest::{
        index::{HoldChange, IndexDelta, IndexResponse, MAX_CHANGES},
        problem::ProblemKind,
        publications::ReleaseRequest,
    },
};
use reqwest::{Response, StatusCode};
use uuid::Uuid;

use crate::support::{Directory, Peer, good, problem_kind};

fn held(publication: Uuid) -> HoldChange {
    HoldChange::Held(Hold {
        publication,
        state: HoldState::Complete,
    })
}

/// A peer with two publications.
async fn peer_with_two(directory: &Directory) -> (Peer<'_>, [Uuid; 2]) {
    let peer = directory.peer("ana", "ws1").await;
    let ids = [peer.put("a", "one").await.id, peer.put("b", "two").await.id];
    (peer, ids)
}

#[tokio::test]
async fn deltas_follow_each_other() {
    let directory = Directory::with_users(&["ana"]).await;
    let (mut peer, [a, b]) = peer_with_two(&directory).await;
    assert_eq!(peer.ping().await.index, None);
    peer.hold(&[a], HoldState::Complete).await;
    let answer = peer.hold(&[b], HoldState::Partial).await;
    assert_eq!(answer.index, peer.ping_request().index);
    assert_eq!(peer.ping().await.index, Some(answer.index));
    let dropped = IndexDelta {
        after_seq: 2,
        seq: 3,
        changes: vec![HoldChange::Dropped(a)],
        ..peer.delta(Vec::new())
    };
    let answer = peer.send_index(&dropped).await;
    let left = Hold {
        publication: b,
        state: HoldState::Partial,
    };
    assert_eq!(answer.index.digest, IndexDigest::of([&left]));
}

#[tokio::test]
async fn a_hold_said_again_replaces_what_was_said() {
    let directory = Directory::with_users(&["ana"]).await;
    let (mut peer, [a, _]) = peer_with_two(&directory).await;
    peer.hold(&[a], HoldState::Partial).await;
    let answer = peer.hold(&[a], HoldState::Complete).await;
    let now = Hold {
        publication: a,
        state: HoldState::Complete,
    };
    assert_eq!(answer.index.digest, IndexDigest::of([&now]));
}

#[tokio::test]
async fn a_gap_is_refused_and_all_can_be_sent_anew() {
    let directory = Directory::with_users(&["ana"]).await;
    let (mut peer, [a, b]) = peer_with_two(&directory).await;
    peer.hold(&[a], HoldState::Complete).await;
    let lost = peer.delta(vec![held(b)]);
    let next = peer.delta(vec![HoldChange::Dropped(a)]);
    assert_eq!(
        problem_kind(peer.post("/index", &next).await).await,
        ProblemKind::IndexGap
    );
    assert_eq!(peer.ping().await.index.unwrap().seq, 1);
    let unknown_index = IndexDelta {
        index_id: Uuid::new_v4(),
        ..lost
    };
    assert_eq!(
        problem_kind(peer.post("/index", &unknown_index).await).await,
        ProblemKind::IndexGap
    );
    let anew = IndexDelta {
        index_id: Uuid::new_v4(),
        after_seq: 0,
        seq: 1,
        ..unknown_index
    };
    let answer = peer.send_index(&anew).await;
    let only = Hold {
        publication: b,
        state: HoldState::Complete,
    };
    assert_eq!(answer.index.digest, IndexDigest::of([&only]));
    assert_eq!((answer.index.index_id, answer.index.seq), (anew.index_id, 1));
}

#[tokio::test]
async fn a_delta_whose_answer_was_lost_may_be_sent_again() {
    let directory = Directory::with_users(&["ana"]).await;
    let (mut peer, [a, b]) = peer_with_two(&directory).await;
    let first = peer.delta(vec![held(a), held(b)]);
    let answer = peer.send_index(&first).await;
    assert_eq!(peer.send_index(&first).await.index, answer.index);
}

#[tokio::test]
async fn unknown_publications_are_listed_and_not_stored() {
    let directory = Directory::with_users(&["ana"]).await;
    let (mut peer, [a, _]) = peer_with_two(&directory).await;
    let nobodys = Uuid::now_v7();
    let answer = peer.hold(&[nobodys, a], HoldState::Complete).await;
    assert_eq!(answer.unknown, [nobodys]);
    let known = Hold {
        publication: a,
        state: HoldState::Complete,
    };
    assert_eq!(
        (answer.index.seq, answer.index.digest),
        (2, IndexDigest::of([&known]))
    );
}

#[tokio::test]
async fn a_delta_has_a_thousand_changes_and_counts_them() {
    let directory = Directory::with_users(&["ana"]).await;
    let (mut peer, [a, _]) = peer_with_two(&directory).await;
    let most = peer.delta(vec![held(a); MAX_CHANGES]);
    let answer: IndexResponse = good(peer.post("/index", &most).await).await;
    assert_eq!(answer.index.seq, 1000);
    let more = peer.delta(vec![held(a); MAX_CHANGES + 1]);
    assert_eq!(
        problem_kind(peer.post("/index", &more).await).await,
        ProblemKind::Invalid
    );
    let miscounted = IndexDelta {
        after_seq: 1000,
        seq: 5000,
        ..most
    };
    assert_eq!(
        problem_kind(peer.post("/index", &miscounted).await).await,
        ProblemKind::Invalid
    );
}

#[tokio::test]
async fn a_peer_that_changes_its_account_begins_with_nothing() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (mut peer, [a, _]) = peer_with_two(&directory).await;
    peer.hold(&[a], HoldState::Complete).await;
    let peer = directory.peer_with(peer.key, "bob", "ws1").await;
    assert_eq!(peer.ping().await.index, None);
}

async fn release(peer: &Peer<'_>, id: Uuid, even_last: bool) -> Response {
    let path = format!("/publications/{id}/release");
    peer.post(&path, &ReleaseRequest { even_last }).await
}

#[tokio::test]
async fn the_last_copy_is_not_let_go_and_one_that_may_go_is_no_copy() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let mut one = directory.peer("ana", "one").await;
    let mut two = directory.peer("bob", "two").await;
    let id = one.put("x", "x").await.id;
    one.hold(&[id], HoldState::Complete).await;
    two.hold(&[id], HoldState::Partial).await;
    assert_eq!(
        problem_kind(release(&one, id, false).await).await,
        ProblemKind::LastCopy
    );
    two.hold(&[id], HoldState::Complete).await;

    assert_eq!(release(&one, id, false).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(release(&one, id, false).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        problem_kind(release(&two, id, false).await).await,
        ProblemKind::LastCopy
    );
    // It did not go, and is told anew.
    one.hold(&[id], HoldState::Complete).await;
    assert_eq!(release(&two, id, false).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        problem_kind(release(&one, id, false).await).await,
        ProblemKind::LastCopy
    );
    assert_eq!(release(&one, id, true).await.status(), StatusCode::NO_CONTENT);

    let private = two.put_private("y", "y").await.id;
    for unknown in [private, Uuid::from_u128(7)] {
        assert_eq!(
            problem_kind(release(&one, unknown, true).await).await,
            ProblemKind::NotFound
        );
    }
}

#[tokio::test]
async fn a_copy_of_a_disabled_account_is_no_copy() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let mut one = directory.peer("ana", "one").await;
    let mut two = directory.peer("bob", "two").await;
    let id = one.put("x", "x").await.id;
    one.hold(&[id], HoldState::Complete).await;
    two.hold(&[id], HoldState::Complete).await;
    let disabled: User = directory
        .admin
        .call(Method::POST, &format!("{USERS}/bob/disable"))
        .await
        .unwrap();
    assert!(disabled.disabled);
    assert_eq!(
        problem_kind(release(&one, id, false).await).await,
        ProblemKind::LastCopy
    );
}
