//! `GET /search`.

use p2p_proto::{
    index::HoldState,
    rest::{
        problem::ProblemKind,
        publications::{CopiesOf, CopiesResponse, SearchResponse},
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Directory, Peer, good, problem_kind};

async fn search(peer: &Peer<'_>, query: &[(&str, &str)]) -> SearchResponse {
    good(peer.get("/search", query).await).await
}

fn names(found: &SearchResponse) -> Vec<String> {
    let name =
        |p: &p2p_proto::rest::publications::Publication| format!("{}/{}@{}", p.owner, p.name, p.version);
    found.files.iter().map(|hit| name(&hit.publication)).collect()
}

#[tokio::test]
async fn copies_are_counted_of_what_is_asked_about() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let mut ana = directory.peer("ana", "ws1").await;
    let mut bob = directory.peer("bob", "ws2").await;
    let (open, own) = (ana.put("open", "open").await, ana.put_private("own", "own").await);
    ana.hold(&[open.id, own.id], HoldState::Complete).await;
    bob.hold(&[open.id], HoldState::Complete).await;
    bob.logout().await;
    let asked = json!({ "publications": [own.id, open.id, Uuid::nil()] });
    let counted: CopiesResponse = good(ana.post("/copies", &asked).await).await;
    let of = |publication, holders_online, holders_total| CopiesOf {
        publication,
        holders_online,
        holders_total,
    };
    assert_eq!(counted.copies, [of(own.id, 1, 1), of(open.id, 1, 2)]);
    let many = json!({ "publications": vec![open.id; 1001] });
    assert_eq!(
        problem_kind(ana.post("/copies", &many).await).await,
        ProblemKind::Invalid
    );
}

#[tokio::test]
async fn finds_the_newest_version_by_part_of_a_name() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    for content in ["one", "two"] {
        ana.put("Scan.tar", content).await;
    }
    bob.put("Scan.tar", "three").await;
    ana.put("ÄNDERUNG.txt", "four").await;
    ana.put_private("scan-secret", "five").await;
    assert_eq!(
        names(&search(&bob, &[("q", "sCAN")]).await),
        ["ana/Scan.tar@2", "bob/Scan.tar@1"]
    );
    assert_eq!(
        names(&search(&bob, &[("q", "änderung")]).await),
        ["ana/ÄNDERUNG.txt@1"]
    );
    assert_eq!(
        names(&search(&bob, &[("q", "a\u{308}nd")]).await),
        ["ana/ÄNDERUNG.txt@1"]
    );
    assert_eq!(
        names(&search(&bob, &[("owner", "bob")]).await),
        ["bob/Scan.tar@1"]
    );
    assert_eq!(search(&ana, &[("q", "scan")]).await.total, 3);
    assert!(search(&bob, &[("q", "%")]).await.files.is_empty());
}

#[tokio::test]
async fn an_older_version_shows_when_the_newest_is_private() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    ana.put("x", "one").await;
    ana.put_private("x", "two").await;
    assert_eq!(names(&search(&bob, &[]).await), ["ana/x@1"]);
    assert_eq!(names(&search(&ana, &[]).await), ["ana/x@2"]);
}

#[tokio::test]
async fn pages_hold_everything_once() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    for number in 0..5 {
        ana.put(&format!("file-{number}"), "x").await;
        bob.put(&format!("file-{number}"), "x").await;
    }
    let all = names(&search(&ana, &[]).await);
    assert_eq!(all.len(), 10);
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut query = vec![("limit", "3"), ("q", "FILE")];
        if !cursor.is_empty() {
            query.push(("cursor", &cursor));
        }
        let page = search(&ana, &query).await;
        assert_eq!(page.total, 10);
        paged.extend(names(&page));
        match page.next_cursor {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert_eq!(paged, all);
}

#[tokio::test]
async fn a_page_that_is_just_full_has_no_next() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    ana.put("a", "x").await;
    ana.put("b", "x").await;
    assert_eq!(search(&ana, &[("limit", "2")]).await.next_cursor, None);
    assert!(search(&ana, &[("limit", "1")]).await.next_cursor.is_some());
}

#[tokio::test]
async fn hits_count_complete_holders() {
    let directory = Directory::with_users(&["ana"]).await;
    let (mut one, mut two) = (
        directory.peer("ana", "ws1").await,
        directory.peer("ana", "ws2").await,
    );
    let mut partial = directory.peer("ana", "ws3").await;
    let file = one.put("x", "x").await;
    one.hold(&[file.id], HoldState::Complete).await;
    two.hold(&[file.id], HoldState::Complete).await;
    partial.hold(&[file.id], HoldState::Partial).await;
    two.logout().await;
    let hit = search(&one, &[]).await.files.remove(0);
    assert_eq!((hit.holders_online, hit.holders_total), (1, 2));
}

#[tokio::test]
async fn bad_queries_are_refused() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    for (key, value, kind) in [
        ("limit", "0", ProblemKind::Invalid),
        ("limit", "1001", ProblemKind::Invalid),
        ("limit", "many", ProblemKind::BadRequest),
        ("cursor", "x", ProblemKind::Invalid),
        ("owner", "Not A Name", ProblemKind::Invalid),
        ("colour", "red", ProblemKind::BadRequest),
    ] {
        assert_eq!(
            problem_kind(ana.get("/search", &[(key, value)]).await).await,
            kind,
            "{key}={value}"
        );
    }
}
