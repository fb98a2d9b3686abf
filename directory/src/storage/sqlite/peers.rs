//! Peers and leases on SQLite.

use std::net::SocketAddr;

use jiff::Timestamp;
use p2p_proto::{
    PeerId,
    rest::{
        location::Peer,
        session::{DenyList, PingRequest},
    },
};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Sqlite, Write,
    events::{Happened, last_seen, tell_of_peer},
    holds,
    placement::stored_accepts,
    rows,
    visible::{seen, visible},
};
use crate::storage::{EndedLease, PeerStore, Pong, Reply, Session, StorageError};

/// Addresses as they are stored.
pub(super) fn stored_addresses(addresses: &[SocketAddr]) -> String {
    serde_json::json!(addresses).to_string()
}

/// Stored addresses.
pub(super) fn addresses(row: &SqliteRow) -> Result<Vec<SocketAddr>, StorageError> {
    let text: &str = row.try_get("addresses")?;
    serde_json::from_str(text).map_err(|_| StorageError::Damaged("addresses"))
}

/// The epoch of the peer's next session.
pub(super) async fn next_epoch(tx: &mut Write, peer: &PeerId) -> Result<i64, StorageError> {
    let row = sqlx::query("SELECT coalesce(max(epoch), 0) + 1 AS epoch FROM leases WHERE peer = ?")
        .bind(peer.as_bytes().to_vec())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get("epoch")?)
}

/// Renews or begins the lease, unless a higher epoch has it.
pub(super) async fn renew_lease(
    tx: &mut Write,
    now: i64,
    peer: &PeerId,
    epoch: i64,
    until: i64,
) -> Result<(), StorageError> {
    let listed = sqlx::query("SELECT listed FROM leases WHERE peer = ? AND listed = 1")
        .bind(peer.as_bytes().to_vec())
        .fetch_optional(&mut **tx)
        .await?;
    let done = sqlx::query(
        "INSERT INTO leases (peer, epoch, expires_at, last_seen, listed) VALUES (?1, ?2, ?3, ?4, 1) \
         ON CONFLICT (peer) DO UPDATE SET epoch = ?2, expires_at = ?3, last_seen = ?4, listed = 1 WHERE epoch <= ?2",
    )
    .bind(peer.as_bytes().to_vec())
    .bind(epoch)
    .bind(until)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    if listed.is_none() && done.rows_affected() > 0 {
        tell_of_peer(tx, now, peer, Happened::Online).await?;
    }
    Ok(())
}

/// Ends the lease of the session's peer now.
pub(super) async fn end_lease(tx: &mut Write, now: i64, session: &Session) -> Result<(), StorageError> {
    let done = sqlx::query(
        "UPDATE leases SET expires_at = ?1, last_seen = ?1, listed = 0 WHERE peer = ?2 AND epoch = ?3 AND listed = 1",
    )
        .bind(now)
        .bind(session.peer.as_bytes().to_vec())
        .bind(session.epoch)
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() > 0 {
        tell_of_peer(tx, now, &session.peer, Happened::Offline).await?;
    }
    Ok(())
}

/// Ends the leases of all peers of an account now.
pub(super) async fn end_leases_of(tx: &mut Write, now: i64, user: &Uuid) -> Result<(), StorageError> {
    let rows = sqlx::query(
        "SELECT p.id, p.name FROM peers p JOIN leases l ON l.peer = p.id WHERE p.owner = ? AND l.listed = 1",
    )
    .bind(rows::blob(user))
    .fetch_all(&mut **tx)
    .await?;
    for row in &rows {
        unlist(tx, now, row).await?;
    }
    Ok(())
}

/// Ends the lease of this peer now.
pub(super) async fn end_lease_of(tx: &mut Write, now: i64, peer: &PeerId) -> Result<(), StorageError> {
    let row = sqlx::query(
        "SELECT p.id, p.name FROM peers p JOIN leases l ON l.peer = p.id WHERE p.id = ? AND l.listed = 1",
    )
    .bind(peer.as_bytes().to_vec())
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(row) = row {
        unlist(tx, now, &row).await?;
    }
    Ok(())
}

/// Whether the peer ever logged in, and its account is still there.
pub(super) async fn is_known(tx: &mut Write, peer: &PeerId) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT 1 FROM peers WHERE id = ?")
        .bind(peer.as_bytes().to_vec())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

async fn unlist(tx: &mut Write, now: i64, row: &SqliteRow) -> Result<EndedLease, StorageError> {
    let ended = EndedLease {
        peer: rows::bytes32(row, "id")?,
        name: rows::text(row, "name")?,
    };
    sqlx::query("UPDATE leases SET expires_at = min(expires_at, ?1), listed = 0 WHERE peer = ?2")
        .bind(now)
        .bind(ended.peer.as_bytes().to_vec())
        .execute(&mut **tx)
        .await?;
    tell_of_peer(tx, now, &ended.peer, Happened::Offline).await?;
    Ok(ended)
}

async fn deny_list(tx: &mut Write, known: u64) -> Result<Option<DenyList>, StorageError> {
    let row = sqlx::query("SELECT value FROM meta WHERE key = 'deny_version'")
        .fetch_one(&mut **tx)
        .await?;
    let version: u64 = rows::text(&row, "value")?;
    if version == known {
        return Ok(None);
    }
    let rows = sqlx::query("SELECT peer FROM denied_peers ORDER BY peer")
        .fetch_all(&mut **tx)
        .await?;
    let peers = rows
        .iter()
        .map(|row| rows::bytes32(row, "peer"))
        .collect::<Result<_, _>>()?;
    Ok(Some(DenyList { version, peers }))
}

async fn store_report(tx: &mut Write, peer: &PeerId, ping: &PingRequest) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE peers SET addresses = ?, files = ?, free_bytes = ?, active_transfers = ?, accept_copies = ? \
         WHERE id = ?",
    )
    .bind(stored_addresses(&ping.addresses))
    .bind(rows::stored(ping.files))
    .bind(rows::stored(ping.free_bytes))
    .bind(ping.active_transfers)
    .bind(stored_accepts(ping.accept_copies))
    .bind(peer.as_bytes().to_vec())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn peer(row: &SqliteRow) -> Result<Peer, StorageError> {
    let free = row.try_get::<Option<i64>, _>("free_bytes")?;
    Ok(Peer {
        peer_id: rows::bytes32(row, "id")?,
        name: rows::text(row, "name")?,
        user: rows::text(row, "user_name")?,
        addresses: addresses(row)?,
        online: row.try_get("online")?,
        last_seen_at: rows::maybe_time(row, "last_seen")?,
        files: rows::count(row, "files")?,
        free_bytes: free.and_then(|free| free.try_into().ok()),
    })
}

impl PeerStore for Sqlite {
    fn ping<'a>(&'a self, session: &'a Session, ping: &'a PingRequest, until: Timestamp) -> Reply<'a, Pong> {
        Box::pin(async move {
            let mut tx = self.begin_for(session).await?;
            if ping.leaving {
                end_lease(&mut tx, self.now(), session).await?;
            } else {
                let until = rows::millis(until);
                renew_lease(&mut tx, self.now(), &session.peer, session.epoch, until).await?;
            }
            store_report(&mut tx, &session.peer, ping).await?;
            let index = holds::index_state(&mut tx, &session.peer).await?;
            let deny = deny_list(&mut tx, ping.deny_version).await?;
            tx.commit().await?;
            let mut reader = self.readers.acquire().await?;
            let last_event = last_seen(&mut reader, &session.user).await?;
            Ok(Pong {
                index,
                deny,
                last_event,
            })
        })
    }

    fn peers(&self, caller: Uuid) -> Reply<'_, Vec<Peer>> {
        Box::pin(async move {
            let rows = sqlx::query(concat!(
                "SELECT p.id, p.name, u.name AS user_name, p.addresses, p.free_bytes, l.last_seen, \
                 coalesce(l.expires_at, 0) > ?2 AS online, \
                 (SELECT count(DISTINCT f.hash) FROM holds h JOIN publications f ON f.id = h.publication \
                  WHERE h.peer = p.id AND h.state = 2 AND ",
                visible!("f"),
                ") AS files \
                 FROM peers p JOIN users u ON u.id = p.owner LEFT JOIN leases l ON l.peer = p.id \
                 ORDER BY online DESC, p.name LIMIT 10000",
            ))
            .bind(rows::blob(&caller))
            .bind(self.now())
            .fetch_all(&self.readers)
            .await?;
            rows.iter().map(peer).collect()
        })
    }

    fn end_leases(&self) -> Reply<'_, Vec<EndedLease>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            let rows = sqlx::query(
                "SELECT p.id, p.name FROM leases l JOIN peers p ON p.id = l.peer \
                 WHERE l.listed = 1 AND l.expires_at <= ?",
            )
            .bind(now)
            .fetch_all(&mut *tx)
            .await?;
            let mut ended = Vec::with_capacity(rows.len());
            for row in &rows {
                ended.push(unlist(&mut tx, now, row).await?);
            }
            tx.commit().await?;
            Ok(ended)
        })
    }

    fn next_lease_end(&self) -> Reply<'_, Option<Timestamp>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT min(expires_at) AS next FROM leases WHERE listed = 1")
                .fetch_one(&self.readers)
                .await?;
            rows::maybe_time(&row, "next")
        })
    }
}
