//! `POST /upload`: where copies go.

use std::{collections::HashSet, time::Duration};

use axum::http::Method as AdminMethod;
use p2p_directory::admin::types::{USERS, User};
use p2p_proto::{
    PeerId,
    grant::{Action, Expected, Verifier},
    index::HoldState,
    rest::{
        placement::{MAX_COPIES, MAX_PATTERN, MAX_PATTERNS, PlaceRequest, PlaceResponse},
        problem::ProblemKind,
        session::AcceptCopies,
    },
};
use uuid::Uuid;

use crate::support::{Directory, Peer, good, problem, problem_kind};

fn copies(publication: Uuid, copies: u32) -> PlaceRequest {
    PlaceRequest {
        publication,
        copies,
        to: Vec::new(),
        exclude: Vec::new(),
    }
}

fn to(publication: Uuid, patterns: &[&str]) -> PlaceRequest {
    PlaceRequest {
        to: patterns.iter().map(|&text| text.to_owned()).collect(),
        ..copies(publication, 0)
    }
}

async fn place(peer: &Peer<'_>, request: &PlaceRequest) -> PlaceResponse {
    good(peer.post("/upload", request).await).await
}

fn targets(placed: &PlaceResponse) -> Vec<&str> {
    placed
        .targets
        .iter()
        .map(|target| target.peer_name.as_str())
        .collect()
}

fn refused(placed: &PlaceResponse) -> Vec<(&str, &str)> {
    placed
        .refused
        .iter()
        .map(|refused| (refused.peer_name.as_str(), refused.reason.as_str()))
        .collect()
}

/// A peer that has told how it is.
async fn pinged<'a>(directory: &'a Directory, user: &str, name: &str, load: u32, free: u64) -> Peer<'a> {
    let peer = directory.peer(user, name).await;
    peer.ping_as(|ping| {
        ping.active_transfers = load;
        ping.free_bytes = free;
    })
    .await;
    peer
}

#[tokio::test]
async fn the_least_loaded_comes_first_then_the_emptiest() {
    let directory = Directory::with_users(&["ana"]).await;
    let mut ana = pinged(&directory, "ana", "ws1", 0, 1 << 40).await;
    let _busy = pinged(&directory, "ana", "busy", 3, 1 << 40).await;
    let _small = pinged(&directory, "ana", "small", 0, 100).await;
    let _large = pinged(&directory, "ana", "large", 0, 1 << 30).await;
    let _full = pinged(&directory, "ana", "full", 0, 2).await;
    let _silent = directory.peer("ana", "silent").await;
    let file = ana.put("scan.tar", "one").await;
    ana.hold(&[file.id], HoldState::Complete).await;
    let placed = place(&ana, &copies(file.id, 2)).await;
    assert_eq!(targets(&placed), ["large", "small", "busy"]);
    assert_eq!((placed.needed, placed.refused.len()), (1, 0));
    assert_eq!(placed.publication, file);
    let holders: Vec<_> = placed.holders.iter().map(|holder| holder.peer_id).collect();
    assert_eq!(holders, [ana.login.peer_id]);
}

#[tokio::test]
async fn a_target_replicates_in_its_own_name() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    directory.clock.advance(Duration::from_secs(3600));
    let target = pinged(&directory, "ana", "gpu1", 0, 1 << 30).await;
    ana.ping().await;
    let file = ana.put("scan.tar", "one").await;
    let placed = place(&ana, &copies(file.id, 1)).await;
    let told = &placed.targets[0];
    assert_eq!(
        (told.peer_id, told.peer_name.as_str()),
        (target.login.peer_id, "gpu1")
    );
    let verifier = Verifier::new(&ana.login.credentials.grant_keys);
    let mut expected = Expected {
        cluster: ana.login.cluster,
        peer: target.login.peer_id,
        action: Action::Replicate,
        now: ana.ping().await.now.as_second(),
        directory_away: false,
    };
    let grant = verifier.verify(&told.grant, &expected).unwrap();
    assert_eq!(
        (grant.publication, grant.hash, grant.exp - grant.iat),
        (file.id, file.hash, 900)
    );
    assert_eq!(
        grant.offline_exp,
        target.login.credentials.certificate_expires_at.as_second()
    );
    assert_ne!(
        grant.offline_exp,
        ana.login.credentials.certificate_expires_at.as_second()
    );
    expected.action = Action::Read;
    assert!(verifier.verify(&told.grant, &expected).is_err());
    expected.action = Action::Replicate;
    expected.peer = ana.login.peer_id;
    assert!(verifier.verify(&told.grant, &expected).is_err());
}

#[tokio::test]
async fn copies_that_are_online_count_and_others_do_not() {
    let directory = Directory::with_users(&["ana"]).await;
    let mut ana = directory.peer("ana", "ws1").await;
    let mut second = pinged(&directory, "ana", "second", 0, 1 << 30).await;
    let mut partial = pinged(&directory, "ana", "partial", 1, 1 << 30).await;
    let mut gone = pinged(&directory, "ana", "gone", 0, 1 << 30).await;
    let file = ana.put("scan.tar", "one").await;
    // The caller counts as soon as it has told that it holds the file.
    assert_eq!(place(&ana, &copies(file.id, 2)).await.needed, 2);
    ana.hold(&[file.id], HoldState::Complete).await;
    second.hold(&[file.id], HoldState::Complete).await;
    partial.hold(&[file.id], HoldState::Partial).await;
    gone.hold(&[file.id], HoldState::Complete).await;
    gone.logout().await;
    let placed = place(&ana, &copies(file.id, 4)).await;
    assert_eq!((placed.needed, placed.holders.len()), (2, 2));
    assert_eq!(targets(&placed), ["partial"]);
    let enough = place(&ana, &copies(file.id, 2)).await;
    assert_eq!((enough.needed, enough.targets.len()), (0, 0));
    assert_eq!(place(&ana, &copies(file.id, 1)).await.needed, 0);
}

#[tokio::test]
async fn who_finishes_a_copy_meanwhile_is_a_target_or_a_holder() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let mut second = pinged(&directory, "ana", "second", 0, 1 << 30).await;
    for round in 0..200 {
        let file = ana.put("scan.tar", &format!("{round}")).await;
        let (held, asked) = ([file.id], copies(file.id, 2));
        let (_, placed) = tokio::join!(second.hold(&held, HoldState::Complete), place(&ana, &asked));
        let (there, to_come) = (placed.holders.len(), targets(&placed));
        assert!(there == 1 || to_come == ["second"], "{round}: {placed:?}");
    }
}

#[tokio::test]
async fn some_targets_are_spare_and_who_failed_is_left_out() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let mut all = Vec::new();
    for number in 0..6 {
        all.push(pinged(&directory, "ana", &format!("gpu{number}"), number, 1 << 30).await);
    }
    let file = ana.put("scan.tar", "one").await;
    let mut request = copies(file.id, 2);
    let placed = place(&ana, &request).await;
    assert_eq!(targets(&placed), ["gpu0", "gpu1", "gpu2", "gpu3", "gpu4"]);
    request.exclude = vec![all[0].login.peer_id, all[2].login.peer_id];
    let placed = place(&ana, &request).await;
    assert_eq!(targets(&placed), ["gpu1", "gpu3", "gpu4", "gpu5"]);
    assert_eq!(placed.needed, 2);
}

#[tokio::test]
async fn equal_targets_take_turns() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let mut peers = Vec::new();
    for name in ["gpu1", "gpu2", "gpu3"] {
        peers.push(pinged(&directory, "ana", name, 0, 1 << 30).await);
    }
    let file = ana.put("scan.tar", "one").await;
    let mut firsts = HashSet::new();
    for _ in 0..64 {
        firsts.insert(place(&ana, &copies(file.id, 1)).await.targets[0].peer_id);
    }
    assert!(firsts.len() > 1);
}

#[tokio::test]
async fn a_peer_decides_whose_copies_it_takes() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let _own = pinged(&directory, "ana", "mine", 0, 1 << 30).await;
    let _closed = pinged(&directory, "bob", "closed", 0, 1 << 30).await;
    let open = pinged(&directory, "bob", "open", 0, 1 << 20).await;
    open.ping_as(|ping| {
        ping.accept_copies = AcceptCopies::Cluster;
        ping.free_bytes = 1 << 20;
    })
    .await;
    let public = ana.put("scan.tar", "one").await;
    assert_eq!(
        targets(&place(&ana, &copies(public.id, 1)).await),
        ["mine", "open"]
    );
    let private = ana.put_private("secret", "two").await;
    assert_eq!(targets(&place(&ana, &copies(private.id, 1)).await), ["mine"]);
    let named = place(&ana, &to(private.id, &["*"])).await;
    assert_eq!(targets(&named), ["mine"]);
    assert_eq!(
        refused(&named),
        [
            ("closed", "cannot take private files of ana"),
            ("open", "cannot take private files of ana")
        ]
    );
    // Who asks counts, not who published.
    let bob = directory.peer("bob", "asks").await;
    let placed = place(&bob, &copies(public.id, 1)).await;
    assert_eq!(targets(&placed), ["closed", "open"]);
    // A ping that says nothing of it is that of an older p2pd.
    let mut old = serde_json::to_value(open.ping_request()).unwrap();
    old.as_object_mut().unwrap().remove("accept_copies");
    assert!(open.post("/ping", &old).await.status().is_success());
    assert_eq!(targets(&place(&ana, &copies(public.id, 1)).await), ["mine"]);
}

#[tokio::test]
async fn who_was_named_and_cannot_is_told_why() {
    let directory = Directory::with_users(&["ana", "bob", "eve"]).await;
    let mut ana = directory.peer("ana", "ws1").await;
    let good = pinged(&directory, "ana", "gpu1", 0, 1 << 30).await;
    let _full = pinged(&directory, "ana", "gpu2", 0, 2).await;
    let gone = pinged(&directory, "ana", "gpu3", 0, 1 << 30).await;
    gone.logout().await;
    let _bobs = pinged(&directory, "bob", "gpu4", 0, 1 << 30).await;
    let _silent = directory.peer("ana", "gpu5").await;
    let _eves = pinged(&directory, "eve", "gpu6", 0, 1 << 30).await;
    let mut holder = pinged(&directory, "ana", "gpu7", 0, 1 << 30).await;
    let _: User = directory
        .admin
        .call(AdminMethod::POST, &format!("{USERS}/eve/disable"))
        .await
        .unwrap();
    let file = ana.put("scan.tar", "one").await;
    ana.hold(&[file.id], HoldState::Complete).await;
    holder.hold(&[file.id], HoldState::Complete).await;
    let placed = place(&ana, &to(file.id, &["gpu?", "ws*", "gpu1"])).await;
    assert_eq!(
        refused(&placed),
        [
            ("gpu2", "has 2 B free"),
            ("gpu3", "is offline"),
            ("gpu4", "accepts copies of its own account only"),
            ("gpu5", "has not told how much is free"),
            ("gpu6", "is shut out of this directory"),
        ]
    );
    assert_eq!((placed.needed, targets(&placed)), (1, vec!["gpu1"]));
    assert_eq!(placed.holders.len(), 2);
    let by_id = place(&ana, &to(file.id, &[&good.login.peer_id.to_string()])).await;
    assert_eq!(targets(&by_id), ["gpu1"]);
    let holds_already = place(&ana, &to(file.id, &["gpu7", "ws1"])).await;
    assert_eq!((holds_already.needed, holds_already.refused.len()), (0, 0));
}

#[tokio::test]
async fn a_number_and_names_bound_each_other() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let mut peers = Vec::new();
    for number in 0..3 {
        peers.push(pinged(&directory, "ana", &format!("gpu{number}"), number, 1 << 30).await);
    }
    peers.push(pinged(&directory, "ana", "nas", 0, 1 << 30).await);
    let file = ana.put("scan.tar", "one").await;
    let request = PlaceRequest {
        copies: 2,
        ..to(file.id, &["gpu*"])
    };
    let placed = place(&ana, &request).await;
    assert_eq!(
        (placed.needed, targets(&placed)),
        (2, vec!["gpu0", "gpu1", "gpu2"])
    );
}

#[tokio::test]
async fn a_peer_whose_certificate_has_ended_is_no_target() {
    let directory = Directory::with_users(&["ana"]).await;
    let target = pinged(&directory, "ana", "gpu1", 0, 1 << 30).await;
    directory.clock.advance(Duration::from_secs(8 * 24 * 3600));
    target.ping().await;
    let ana = directory.peer("ana", "ws1").await;
    let file = ana.put("scan.tar", "one").await;
    assert!(targets(&place(&ana, &copies(file.id, 1)).await).is_empty());
    let placed = place(&ana, &to(file.id, &["gpu1"])).await;
    assert_eq!(refused(&placed), [("gpu1", "has no valid certificate")]);
}

#[tokio::test]
async fn peers_and_files_that_are_not_there_are_told() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let file = ana.put("scan.tar", "one").await;
    let nobody = PeerId::from([7; 32]).to_string();
    for named in ["gpu7", "gpu*", "WS1", nobody.as_str()] {
        let found = problem(ana.post("/upload", &to(file.id, &["ws1", named])).await).await;
        assert_eq!(found.kind(), Some(ProblemKind::NotFound));
        assert_eq!(
            found.detail.unwrap(),
            format!("no peer \"{named}\" is visible to ana")
        );
    }
    let private = ana.put_private("secret", "two").await;
    for id in [private.id, Uuid::now_v7()] {
        let found = problem(bob.post("/upload", &copies(id, 1)).await).await;
        assert_eq!(found.kind(), Some(ProblemKind::NotFound));
        assert_eq!(
            found.detail.unwrap(),
            format!("no file \"id:{id}\" is visible to bob")
        );
    }
}

#[tokio::test]
async fn what_may_be_asked_is_bounded() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let file = ana.put("scan.tar", "one").await;
    let one = || copies(file.id, 1);
    let excluding = |count: usize| PlaceRequest {
        exclude: vec![PeerId::from([1; 32]); count],
        ..one()
    };
    let named = |count: usize, length: usize| PlaceRequest {
        to: vec!["*".repeat(length); count],
        ..one()
    };
    for fine in [
        copies(file.id, MAX_COPIES),
        excluding(1024),
        named(MAX_PATTERNS, MAX_PATTERN),
    ] {
        place(&ana, &fine).await;
    }
    for bad in [
        copies(file.id, 0),
        copies(file.id, MAX_COPIES + 1),
        excluding(1025),
        named(MAX_PATTERNS + 1, 1),
        named(1, MAX_PATTERN + 1),
        named(1, 0),
    ] {
        let found = ana.post("/upload", &bad).await;
        assert_eq!(problem_kind(found).await, ProblemKind::Invalid, "{bad:?}");
    }
}
