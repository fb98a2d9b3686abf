//! Leases: who is alive, and what is told when that changes.

use std::time::Duration;

use p2p_directory::leases::sweep;
use p2p_proto::index::HoldState;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Directory, eventually};

/// The kinds of events so far that tell of peers.
async fn presence_events(directory: &Directory) -> Vec<String> {
    let options = SqliteConnectOptions::new()
        .filename(directory.config.database_file())
        .read_only(true);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query("SELECT kind FROM events WHERE kind LIKE 'peer.%' ORDER BY id")
        .fetch_all(&mut database)
        .await;
    rows.unwrap().iter().map(|row| row.get("kind")).collect()
}

#[tokio::test]
async fn a_silent_peer_is_unlisted_when_its_lease_ends() {
    let directory = Directory::with_users(&["ana"]).await;
    let (silent, alive) = (
        directory.peer("ana", "ws1").await,
        directory.peer("ana", "ws2").await,
    );
    silent.ping().await;
    directory.clock.advance(Duration::from_secs(29));
    alive.ping().await;
    assert!(alive.sees_online("ws1").await);
    directory.clock.advance(Duration::from_secs(1));
    assert!(!alive.sees_online("ws1").await);
    assert!(alive.sees_online("ws2").await);
}

#[tokio::test]
async fn the_sweeper_tells_of_it_by_itself() {
    let directory = Directory::with_users(&["ana"]).await;
    directory.peer("ana", "ws1").await;
    assert_eq!(presence_events(&directory).await, ["peer.online"]);
    directory.clock.advance(Duration::from_secs(30));
    eventually(async || presence_events(&directory).await == ["peer.online", "peer.offline"]).await;
    assert_eq!(sweep(&directory.state).await.unwrap(), None);
}

#[tokio::test]
async fn a_ping_lists_a_peer_again() {
    let directory = Directory::with_users(&["ana"]).await;
    let peer = directory.peer("ana", "ws1").await;
    directory.clock.advance(Duration::from_secs(30));
    eventually(async || presence_events(&directory).await.len() == 2).await;
    peer.ping().await;
    assert!(peer.sees_online("ws1").await);
    assert_eq!(
        presence_events(&directory).await,
        ["peer.online", "peer.offline", "peer.online"]
    );
}

#[tokio::test]
async fn a_peer_that_stops_is_unlisted_at_once_and_keeps_its_session() {
    let directory = Directory::with_users(&["ana"]).await;
    let (stopping, other) = (
        directory.peer("ana", "ws1").await,
        directory.peer("ana", "ws2").await,
    );
    let mut ping = stopping.ping_request();
    ping.leaving = true;
    assert!(stopping.post("/ping", &ping).await.status().is_success());
    assert!(!other.sees_online("ws1").await);
    stopping.ping().await;
    assert!(other.sees_online("ws1").await);
}

#[tokio::test]
async fn holders_come_and_go_with_their_leases() {
    let directory = Directory::with_users(&["ana"]).await;
    let (mut holder, reader) = (
        directory.peer("ana", "ws1").await,
        directory.peer("ana", "ws2").await,
    );
    let file = holder.put("scan.tar", "x").await;
    assert_eq!(reader.locate("scan.tar").await.last_seen, None);
    holder.hold(&[file.id], HoldState::Complete).await;
    let found = reader.locate("scan.tar").await;
    assert_eq!((found.holders.len(), found.holders_total), (1, 1));
    assert_eq!(holder.locate("scan.tar").await.holders_total, 0);
    directory.clock.advance(Duration::from_secs(30));
    let found = reader.locate("scan.tar").await;
    assert_eq!((found.holders.len(), found.holders_total), (0, 1));
    assert_eq!(found.last_seen.unwrap().peer_name.as_str(), "ws1");
    holder.ping().await;
    assert_eq!(reader.locate("scan.tar").await.holders.len(), 1);
    holder.logout().await;
    assert!(reader.locate("scan.tar").await.holders.is_empty());
}

#[tokio::test]
async fn busy_and_partial_holders_come_last_or_not_at_all() {
    let directory = Directory::with_users(&["ana"]).await;
    let reader = directory.peer("ana", "reader").await;
    let file = reader.put("scan.tar", "x").await;
    for (name, load, state) in [
        ("busy", 5, HoldState::Complete),
        ("idle", 0, HoldState::Complete),
        ("partial", 0, HoldState::Partial),
    ] {
        let mut peer = directory.peer("ana", name).await;
        peer.hold(&[file.id], state).await;
        let mut ping = peer.ping_request();
        ping.active_transfers = load;
        assert!(peer.post("/ping", &ping).await.status().is_success());
    }
    let found = reader.locate("scan.tar").await;
    let names: Vec<_> = found
        .holders
        .iter()
        .map(|holder| holder.peer_name.as_str())
        .collect();
    assert_eq!(
        (names.as_slice(), found.holders_total),
        (["idle", "busy"].as_slice(), 2)
    );
}
