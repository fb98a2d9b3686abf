//! A database of the first version, with data in it, read by this one.

use std::{net::SocketAddr, path::Path, sync::Arc};

use p2p_proto::{ContentHash, PeerId, Visibility};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use super::Sqlite;
use crate::{
    clock::SystemClock,
    storage::{EventStore, PeerStore, PublicationStore, SessionStore, UserStore},
};

const ANA: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);
const OPEN: Uuid = Uuid::from_u128(11);
const OWN: Uuid = Uuid::from_u128(12);
const CLUSTER: Uuid = Uuid::from_u128(99);
const TOKEN: [u8; 32] = [7; 32];
/// In the year 2100.
const LATER: i64 = 4_102_444_800_000;

/// As the first version made and filled it.
async fn make(file: &Path, peer: &PeerId) {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .foreign_keys(true);
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::migrate!("./migrations").run_to(1, &mut db).await.unwrap();
    let blob = |id: &Uuid| id.as_bytes().to_vec();
    for (id, name) in [(ANA, "ana"), (BOB, "bob")] {
        sqlx::query("INSERT INTO users (id, name, password_hash, admin, created_at) VALUES (?, ?, 'phc of ana', 0, 1)")
            .bind(blob(&id))
            .bind(name)
            .execute(&mut db)
            .await
            .unwrap();
    }
    sqlx::query(
        "INSERT INTO peers (id, owner, name, addresses, index_digest, files) VALUES (?, ?, 'ws1', '[\"127.0.0.1:7401\"]', ?, 1)",
    )
    .bind(peer.as_bytes().to_vec())
    .bind(blob(&ANA))
    .bind("0".repeat(64))
    .execute(&mut db)
    .await
    .unwrap();
    sqlx::query("INSERT INTO leases (peer, epoch, expires_at, last_seen, listed) VALUES (?, 1, ?, 1, 1)")
        .bind(peer.as_bytes().to_vec())
        .bind(LATER)
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO sessions (token_hash, user, peer, epoch, expires_at, certificate_expires_at) VALUES (?, ?, ?, 1, ?, ?)",
    )
    .bind(TOKEN.to_vec())
    .bind(blob(&ANA))
    .bind(peer.as_bytes().to_vec())
    .bind(LATER)
    .bind(LATER)
    .execute(&mut db)
    .await
    .unwrap();
    for (id, name, visibility) in [(OPEN, "open.tar", "public"), (OWN, "own.tar", "private")] {
        sqlx::query(
            "INSERT INTO publications (id, owner, name, folded, version, hash, size, visibility, asked_visibility, \
             published_at) VALUES (?1, ?2, ?3, ?3, 1, ?4, 7, ?5, ?5, 1)",
        )
        .bind(blob(&id))
        .bind(blob(&ANA))
        .bind(name)
        .bind(ContentHash::of(name.as_bytes()).as_bytes().to_vec())
        .bind(visibility)
        .execute(&mut db)
        .await
        .unwrap();
    }
    sqlx::query("INSERT INTO holds (peer, publication, state) VALUES (?, ?, 2)")
        .bind(peer.as_bytes().to_vec())
        .bind(blob(&OPEN))
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::query("INSERT INTO events (id, kind, visibility, payload, at) VALUES (x'01', 'peer.online', 'public', '{}', 1)")
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::query("INSERT INTO meta (key, value) VALUES ('cluster', ?), ('deny_version', '5')")
        .bind(CLUSTER.to_string())
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
}

#[tokio::test]
async fn what_the_first_version_wrote_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory.db");
    let peer = PeerId::of_spki(b"ws1");
    make(&file, &peer).await;
    let database = Sqlite::open(&file, Arc::new(SystemClock)).await.unwrap();

    let ana = database.user(&"ana".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((ana.id, ana.password_hash.as_str()), (ANA, "phc of ana"));
    let session = database.session(TOKEN).await.unwrap().unwrap();
    assert_eq!((session.user, session.peer), (ANA, peer));
    let own = database.publication(ANA, OWN).await.unwrap().unwrap();
    assert_eq!(own.hash, ContentHash::of(b"own.tar"));
    assert_eq!(own.visibility, Visibility::Private);
    assert_eq!(database.publication(BOB, OWN).await.unwrap(), None);
    let open = database.publication(BOB, OPEN).await.unwrap().unwrap();
    assert_eq!((open.name.as_str(), open.owner.as_str()), ("open.tar", "ana"));
    let peers = database.peers(BOB).await.unwrap();
    let address: SocketAddr = "127.0.0.1:7401".parse().unwrap();
    assert_eq!(peers.len(), 1);
    assert_eq!(
        (peers[0].peer_id, peers[0].online, peers[0].files),
        (peer, true, 1)
    );
    assert_eq!(peers[0].addresses, [address]);
    // Nobody could read the events of that time.
    assert!(database.events(ANA, None, 10).await.unwrap().events.is_empty());
    // And it goes on from there.
    assert!(database.withdraw(&session, OPEN).await.unwrap().is_some());
    assert_eq!(database.publication(BOB, OPEN).await.unwrap(), None);
}
