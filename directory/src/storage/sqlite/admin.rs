//! What admins ask, on SQLite.

use p2p_proto::{PeerId, PeerName};
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    Sqlite, Write,
    events::{Happened, tell_of_peer},
    peers, rows, sessions, users,
};
use crate::storage::{AdminStore, Ended, KnownPeer, Reply, Revocation, StorageError};

/// The peer with this name or id, with its name.
async fn find(tx: &mut Write, peer: &str) -> Result<Option<(PeerId, PeerName)>, StorageError> {
    let row = sqlx::query("SELECT id, name FROM peers WHERE name = ?1 OR id = ?2")
        .bind(peer.to_owned())
        .bind(id_of(peer))
        .fetch_optional(&mut **tx)
        .await?;
    named(row.as_ref())
}

/// The revoked key with this id, or the one whose peer has, or had, this name.
async fn find_revoked(tx: &mut Write, peer: &str) -> Result<Option<(PeerId, PeerName)>, StorageError> {
    let row = sqlx::query(
        "SELECT r.peer AS id, coalesce(p.name, r.name) AS name FROM revoked_peers r \
         LEFT JOIN peers p ON p.id = r.peer WHERE p.name = ?1 OR r.peer = ?2 OR r.name = ?1 \
         ORDER BY p.name = ?1 DESC, r.revoked_at DESC LIMIT 1",
    )
    .bind(peer.to_owned())
    .bind(id_of(peer))
    .fetch_optional(&mut **tx)
    .await?;
    named(row.as_ref())
}

fn id_of(peer: &str) -> Option<Vec<u8>> {
    let id: PeerId = peer.parse().ok()?;
    Some(id.as_bytes().to_vec())
}

fn named(row: Option<&SqliteRow>) -> Result<Option<(PeerId, PeerName)>, StorageError> {
    row.map(|row| Ok((rows::bytes32(row, "id")?, rows::text(row, "name")?)))
        .transpose()
}

/// Whether the key may not log in.
pub(super) async fn is_revoked(tx: &mut Write, peer: &PeerId) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT 1 FROM revoked_peers WHERE peer = ?")
        .bind(peer.as_bytes().to_vec())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

async fn revoke(tx: &mut Write, now: i64, id: &PeerId, name: &PeerName) -> Result<(), StorageError> {
    let peer = || id.as_bytes().to_vec();
    sqlx::query("INSERT INTO revoked_peers (peer, name, revoked_at) VALUES (?, ?, ?)")
        .bind(peer())
        .bind(name.as_str().to_owned())
        .bind(now)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO denied_peers (peer, denied_at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET denied_at = ?2",
    )
    .bind(peer())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    users::deny_list_changed(tx, now).await?;
    sessions::end_of_peer(tx, now, id, Ended::Revoked).await?;
    peers::end_lease_of(tx, now, id).await?;
    tell_of_peer(tx, now, id, Happened::Revoked).await
}

fn known_peer(row: &SqliteRow) -> Result<KnownPeer, StorageError> {
    let user = row.try_get::<Option<String>, _>("user_name")?;
    let user = user.map(|name| name.parse().map_err(|_| StorageError::Damaged("users.name")));
    Ok(KnownPeer {
        peer_id: rows::bytes32(row, "id")?,
        name: rows::text(row, "name")?,
        user: user.transpose()?,
        addresses: peers::addresses(row)?,
        online: row.try_get("online")?,
        last_seen_at: rows::maybe_time(row, "last_seen")?,
        session_expires_at: rows::maybe_time(row, "expires_at")?,
        certificate_expires_at: rows::maybe_time(row, "certificate_expires_at")?,
        revoked_at: rows::maybe_time(row, "revoked_at")?,
    })
}

impl AdminStore for Sqlite {
    fn known_peers(&self) -> Reply<'_, Vec<KnownPeer>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT p.id, p.name, u.name AS user_name, p.addresses, coalesce(l.expires_at, 0) > ?1 AS online, \
                 l.last_seen, s.expires_at, s.certificate_expires_at, r.revoked_at FROM peers p \
                 JOIN users u ON u.id = p.owner LEFT JOIN leases l ON l.peer = p.id \
                 LEFT JOIN sessions s ON s.peer = p.id AND s.expires_at > ?1 \
                 LEFT JOIN revoked_peers r ON r.peer = p.id \
                 UNION ALL SELECT r.peer, r.name, NULL, '[]', 0, NULL, NULL, NULL, r.revoked_at \
                 FROM revoked_peers r WHERE NOT EXISTS (SELECT 1 FROM peers p WHERE p.id = r.peer) \
                 ORDER BY online DESC, 2 LIMIT 100000",
            )
            .bind(self.now())
            .fetch_all(&self.readers)
            .await?;
            rows.iter().map(known_peer).collect()
        })
    }

    fn revoke<'a>(&'a self, peer: &'a str) -> Reply<'a, Revocation> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let Some((id, name)) = find(&mut tx, peer).await? else {
                return Ok(match find_revoked(&mut tx, peer).await? {
                    Some((id, name)) => Revocation::Already(id, name),
                    None => Revocation::NoPeer,
                });
            };
            if is_revoked(&mut tx, &id).await? {
                return Ok(Revocation::Already(id, name));
            }
            revoke(&mut tx, self.now(), &id, &name).await?;
            tx.commit().await?;
            Ok(Revocation::Done(id, name))
        })
    }

    fn allow<'a>(&'a self, peer: &'a str) -> Reply<'a, Revocation> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let Some((id, name)) = find_revoked(&mut tx, peer).await? else {
                return Ok(match find(&mut tx, peer).await? {
                    Some((id, name)) => Revocation::Already(id, name),
                    None => Revocation::NoPeer,
                });
            };
            // Its old certificate stays denied: the login that is possible now takes it off that list.
            sqlx::query("DELETE FROM revoked_peers WHERE peer = ?")
                .bind(id.as_bytes().to_vec())
                .execute(&mut *tx)
                .await?;
            if peers::is_known(&mut tx, &id).await? {
                tell_of_peer(&mut tx, self.now(), &id, Happened::Allowed).await?;
            }
            tx.commit().await?;
            Ok(Revocation::Done(id, name))
        })
    }
}
