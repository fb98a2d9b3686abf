//! `POST /reports`: what becomes of a holder that gives what is not the content.

use std::time::Duration;

use axum::http::Method as AdminMethod;
use p2p_directory::{
    admin::types::{USERS, User},
    app::Bounds,
    config::Limits,
};
use p2p_proto::{
    PeerId,
    index::{Hold, HoldState},
    rest::{
        index::HoldChange,
        placement::{PlaceRequest, PlaceResponse},
        problem::ProblemKind,
        publications::{FileInfo, SearchResponse},
        reports::{Fault, ReportRequest},
    },
};
use reqwest::{Response, StatusCode};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use crate::support::{Directory, Peer, eventually, good, problem, problem_kind};

async fn send(peer: &Peer<'_>, publication: Uuid, holder: PeerId) -> Response {
    let report = ReportRequest {
        publication,
        holder,
        fault: Fault::Bytes,
    };
    peer.post("/reports", &report).await
}

async fn report(peer: &Peer<'_>, publication: Uuid, holder: &Peer<'_>) {
    let sent = send(peer, publication, holder.login.peer_id).await;
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
}

/// Online holders as a reader is told them.
async fn holders(reader: &Peer<'_>, reference: &str) -> Vec<String> {
    let found = reader.locate(reference).await.holders.into_iter();
    found.map(|holder| holder.peer_name.to_string()).collect()
}

async fn ask(directory: &Directory, sql: &'static str) -> Vec<String> {
    let options = SqliteConnectOptions::new()
        .filename(directory.config.database_file())
        .read_only(true);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query(sql).fetch_all(&mut database).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn kept(directory: &Directory) -> usize {
    ask(directory, "SELECT fault FROM holder_reports").await.len()
}

/// ana's file, held by ana's "bad" and by bob's "good", which is busier.
struct Stage<'a> {
    id: Uuid,
    bad: Peer<'a>,
    good: Peer<'a>,
    eve: Peer<'a>,
}

async fn stage(directory: &Directory) -> Stage<'_> {
    let mut bad = directory.peer("ana", "bad").await;
    let mut good = directory.peer("bob", "good").await;
    let id = bad.put("x", "x").await.id;
    bad.hold(&[id], HoldState::Complete).await;
    good.hold(&[id], HoldState::Complete).await;
    good.ping_as(|ping| ping.active_transfers = 9).await;
    let eve = directory.peer("eve", "reader").await;
    assert_eq!(holders(&eve, "x").await, ["bad", "good"]);
    Stage { id, bad, good, eve }
}

const USERS_HERE: [&str; 3] = ["ana", "bob", "eve"];

#[tokio::test]
async fn one_account_ranks_a_holder_last() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let stage = stage(&directory).await;
    report(&stage.eve, stage.id, &stage.bad).await;
    assert_eq!(holders(&stage.eve, "x").await, ["good", "bad"]);
    // All of an account's peers are one voice, however often they speak.
    let second = directory.peer("eve", "second").await;
    report(&second, stage.id, &stage.bad).await;
    report(&stage.eve, stage.id, &stage.bad).await;
    assert_eq!(holders(&stage.eve, "x").await, ["good", "bad"]);
    assert_eq!(kept(&directory).await, 1);
    let other = stage.bad.put("y", "x").await.id;
    let Stage {
        mut bad,
        mut good,
        eve,
        ..
    } = stage;
    bad.hold(&[other], HoldState::Complete).await;
    good.hold(&[other], HoldState::Complete).await;
    assert_eq!(holders(&eve, "y").await, ["bad", "good"]);
}

#[tokio::test]
async fn two_accounts_unlist_it_everywhere() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let stage = stage(&directory).await;
    report(&stage.eve, stage.id, &stage.bad).await;
    report(&stage.good, stage.id, &stage.bad).await;
    let found = stage.eve.locate("x").await;
    assert_eq!((found.holders.len(), found.holders_total), (1, 1));
    let info: FileInfo = good(stage.eve.get("/files", &[("ref", "x")]).await).await;
    assert_eq!(info.holders.len(), 1);
    let hit: SearchResponse = good(stage.eve.get("/search", &[]).await).await;
    assert_eq!((hit.files[0].holders_online, hit.files[0].holders_total), (1, 1));
    let request = PlaceRequest {
        publication: stage.id,
        copies: 2,
        to: vec!["bad".to_owned()],
        exclude: Vec::new(),
    };
    let placed: PlaceResponse = good(stage.eve.post("/upload", &request).await).await;
    assert_eq!((placed.holders.len(), placed.needed), (1, 1));
    assert!(placed.targets.is_empty());
    // What the holder told is kept: it still agrees with the directory.
    let index = stage.bad.ping().await.index.unwrap();
    assert_eq!(index.digest, stage.bad.ping_request().index.digest);
}

#[tokio::test]
async fn the_holders_own_account_is_one_voice_too() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let stage = stage(&directory).await;
    let sibling = directory.peer("ana", "sibling").await;
    report(&sibling, stage.id, &stage.bad).await;
    assert_eq!(holders(&stage.eve, "x").await, ["good", "bad"]);
    report(&stage.eve, stage.id, &stage.bad).await;
    assert_eq!(holders(&stage.eve, "x").await, ["good"]);
}

#[tokio::test]
async fn a_holder_that_tells_anew_is_listed_again() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let Stage {
        id,
        mut bad,
        good,
        eve,
    } = stage(&directory).await;
    for (dropped_first, partial_first) in [(false, false), (true, false), (false, true)] {
        report(&eve, id, &bad).await;
        report(&good, id, &bad).await;
        assert_eq!(holders(&eve, "x").await, ["good"]);
        if dropped_first {
            let drop = bad.delta(vec![HoldChange::Dropped(id)]);
            bad.send_index(&drop).await;
        }
        if partial_first {
            bad.hold(&[id], HoldState::Partial).await;
            assert_eq!(kept(&directory).await, 2);
        }
        bad.hold(&[id], HoldState::Complete).await;
        assert_eq!(holders(&eve, "x").await, ["bad", "good"]);
        assert_eq!(kept(&directory).await, 0);
    }
}

#[tokio::test]
async fn a_repeat_tells_nothing_anew() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let Stage {
        id,
        mut bad,
        good,
        eve,
    } = stage(&directory).await;
    let other = bad.put("y", "y").await.id;
    let held = |publication| {
        HoldChange::Held(Hold {
            publication,
            state: HoldState::Complete,
        })
    };
    let last = bad.delta(vec![held(id)]);
    bad.send_index(&last).await;
    report(&eve, id, &bad).await;
    report(&good, id, &bad).await;
    // The answer was lost, and the same run comes again.
    bad.send_index(&last).await;
    assert_eq!(holders(&eve, "x").await, ["good"]);
    // All of the index comes again, in two runs, under a new id; and each of them twice.
    bad.begin_anew();
    for run in [bad.delta(vec![held(other)]), bad.delta(vec![held(id)])] {
        bad.send_index(&run).await;
        bad.send_index(&run).await;
    }
    assert_eq!(holders(&eve, "x").await, ["good"]);
    // And once more.
    bad.begin_anew();
    bad.hold(&[id, other], HoldState::Complete).await;
    assert_eq!(holders(&eve, "x").await, ["good"]);
    // What comes after that is news.
    bad.hold(&[id], HoldState::Complete).await;
    assert_eq!(holders(&eve, "x").await, ["bad", "good"]);
}

#[tokio::test]
async fn reports_lose_force_after_a_week_and_are_forgotten() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let stage = stage(&directory).await;
    report(&stage.eve, stage.id, &stage.bad).await;
    report(&stage.good, stage.id, &stage.bad).await;
    directory.clock.advance(Duration::from_secs(7 * 24 * 3600 - 1));
    stage.bad.ping().await;
    assert!(holders(&stage.eve, "x").await.is_empty());
    directory.clock.advance(Duration::from_secs(1));
    assert_eq!(holders(&stage.eve, "x").await, ["bad"]);
    directory.clock.advance(Duration::from_secs(3600));
    eventually(async || kept(&directory).await == 0).await;
}

#[tokio::test]
async fn reports_that_make_no_sense_are_not_kept() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let stage = stage(&directory).await;
    report(&stage.bad, stage.id, &stage.bad).await;
    report(&stage.eve, stage.id, &stage.eve).await;
    let sent = send(&stage.eve, stage.id, PeerId::from([7; 32])).await;
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    let secret = stage.bad.put_private("secret", "s").await.id;
    for id in [secret, Uuid::now_v7()] {
        let found = problem(send(&stage.eve, id, stage.bad.login.peer_id).await).await;
        assert_eq!(found.kind(), Some(ProblemKind::NotFound));
        assert_eq!(
            found.detail.unwrap(),
            format!("no file \"id:{id}\" is visible to eve")
        );
    }
    for bad in ["\"rude\"", "null", "{}"] {
        let body = format!(
            r#"{{"publication":"{}","holder":"{}","fault":{bad}}}"#,
            stage.id, stage.bad.login.peer_id
        );
        let request = stage.eve.request(reqwest::Method::POST, "/reports").body(body);
        let found = problem_kind(request.send().await.unwrap()).await;
        assert!(
            [ProblemKind::Invalid, ProblemKind::BadRequest].contains(&found),
            "{bad}"
        );
    }
    assert_eq!(kept(&directory).await, 0);
}

#[tokio::test]
async fn an_event_tells_of_the_first_report_only_and_not_by_whom() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let stage = stage(&directory).await;
    report(&stage.eve, stage.id, &stage.bad).await;
    report(&stage.eve, stage.id, &stage.bad).await;
    let events = ask(
        &directory,
        "SELECT what || visibility FROM events WHERE kind = 'holder.reported'",
    )
    .await;
    assert_eq!(events.len(), 1);
    assert!(events[0].contains(&stage.bad.login.peer_id.to_string()));
    assert!(events[0].contains("bytes") && events[0].ends_with("public"));
    assert!(!events[0].contains("eve"));
}

#[tokio::test]
async fn an_account_that_is_shut_out_has_no_voice() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let stage = stage(&directory).await;
    report(&stage.eve, stage.id, &stage.bad).await;
    let _: User = directory
        .admin
        .call(AdminMethod::POST, &format!("{USERS}/eve/disable"))
        .await
        .unwrap();
    assert_eq!(
        holders(&directory.peer("bob", "asks").await, "x").await,
        ["bad", "good"]
    );
}

#[tokio::test]
async fn an_account_has_so_many_reports() {
    let limits = Limits {
        reports_per_account: 1,
        ..Limits::default()
    };
    let directory = Directory::bounded(&USERS_HERE, limits, Bounds::default()).await;
    let stage = stage(&directory).await;
    report(&stage.eve, stage.id, &stage.bad).await;
    let more = send(&stage.eve, stage.id, stage.good.login.peer_id).await;
    assert_eq!(more.headers()["retry-after"], "3600");
    assert_eq!(problem_kind(more).await, ProblemKind::TooMany);
    // One that is there already counts on, and others have theirs.
    report(&stage.eve, stage.id, &stage.bad).await;
    report(&stage.good, stage.id, &stage.bad).await;
    directory.clock.advance(Duration::from_secs(7 * 24 * 3600));
    report(&stage.eve, stage.id, &stage.good).await;
}

#[tokio::test]
async fn an_account_reports_at_a_human_pace() {
    let directory = Directory::with_users(&USERS_HERE).await;
    let stage = stage(&directory).await;
    for _ in 0..60 {
        report(&stage.eve, stage.id, &stage.bad).await;
    }
    let more = send(&stage.eve, stage.id, stage.bad.login.peer_id).await;
    assert_eq!(more.headers()["retry-after"], "1");
    assert_eq!(problem_kind(more).await, ProblemKind::TooMany);
    report(&stage.good, stage.id, &stage.bad).await;
    directory.clock.advance(Duration::from_secs(1));
    report(&stage.eve, stage.id, &stage.bad).await;
}
