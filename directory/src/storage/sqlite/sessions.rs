//! Sessions on SQLite.

use jiff::Timestamp;
use p2p_proto::{PeerId, index::IndexDigest};
use sqlx::Row;
use uuid::Uuid;

use super::{Sqlite, Write, admin, holds, peers, rows, users};
use crate::storage::{Ended, LogIn, NewSession, Reply, Session, SessionStore, StorageError};

/// The longest peer name, in characters.
const MAX_PEER_NAME: usize = 63;

/// Whether this peer may have this name, after taking it from a silent peer of the same account.
async fn take_name(
    tx: &mut Write,
    now: i64,
    peer: &PeerId,
    user: &Uuid,
    name: &str,
) -> Result<bool, StorageError> {
    let holder = sqlx::query(
        "SELECT p.id, p.owner, coalesce(l.expires_at, 0) > ?2 AS online \
         FROM peers p LEFT JOIN leases l ON l.peer = p.id WHERE p.name = ?1",
    )
    .bind(name)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(holder) = holder else {
        return Ok(true);
    };
    let other: PeerId = rows::bytes32(&holder, "id")?;
    if other == *peer {
        return Ok(true);
    }
    if rows::uuid(&holder, "owner")? != *user || holder.try_get::<bool, _>("online")? {
        return Ok(false);
    }
    // The older one gets its first free number below.
    let other_name = free_name(tx, name).await?;
    sqlx::query("UPDATE peers SET name = ? WHERE id = ?")
        .bind(other_name)
        .bind(other.as_bytes().to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// The name with the first number from 2 on that nobody has.
async fn free_name(tx: &mut Write, name: &str) -> Result<String, StorageError> {
    for number in 2_u64.. {
        let suffix = format!("-{number}");
        let end = name.len().min(MAX_PEER_NAME - suffix.len());
        let candidate = format!("{}{suffix}", &name[..end]);
        let taken = sqlx::query("SELECT 1 FROM peers WHERE name = ?")
            .bind(&candidate)
            .fetch_optional(&mut **tx)
            .await?;
        if taken.is_none() {
            return Ok(candidate);
        }
    }
    Err(StorageError::Damaged("peers.name"))
}

/// The name that the peer gets: the one it wants, one like it that it has, or the next free one.
async fn settle_name(tx: &mut Write, now: i64, new: &NewSession) -> Result<String, StorageError> {
    let wanted = new.peer_name.as_str();
    if take_name(tx, now, &new.peer, &new.user, wanted).await? {
        return Ok(wanted.to_owned());
    }
    let current = sqlx::query("SELECT name FROM peers WHERE id = ?")
        .bind(new.peer.as_bytes().to_vec())
        .fetch_optional(&mut **tx)
        .await?;
    if let Some(row) = current {
        let name: String = row.try_get("name")?;
        let numbered = name.strip_prefix(wanted).and_then(|rest| rest.strip_prefix('-'));
        if numbered.is_some_and(|number| number.parse::<u64>().is_ok()) {
            return Ok(name);
        }
    }
    free_name(tx, wanted).await
}

async fn store_peer(tx: &mut Write, new: &NewSession, name: &str) -> Result<(), StorageError> {
    let before = sqlx::query("SELECT owner FROM peers WHERE id = ?")
        .bind(new.peer.as_bytes().to_vec())
        .fetch_optional(&mut **tx)
        .await?;
    if let Some(row) = before
        && rows::uuid(&row, "owner")? != new.user
    {
        // What another account's peer held is not this one's to tell.
        holds::forget_index(tx, &new.peer).await?;
    }
    sqlx::query(
        "INSERT INTO peers (id, owner, name, addresses, index_digest) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, name = excluded.name, addresses = excluded.addresses, \
         free_bytes = CASE WHEN owner = excluded.owner THEN free_bytes END, \
         accept_copies = CASE WHEN owner = excluded.owner THEN accept_copies ELSE 'own' END",
    )
    .bind(new.peer.as_bytes().to_vec())
    .bind(rows::blob(&new.user))
    .bind(name)
    .bind(peers::stored_addresses(&new.addresses))
    .bind(String::from(IndexDigest::default()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn store_session(tx: &mut Write, new: &NewSession, epoch: i64) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM sessions WHERE peer = ?")
        .bind(new.peer.as_bytes().to_vec())
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO sessions (token_hash, user, peer, epoch, expires_at, certificate_expires_at) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(new.token_hash.to_vec())
    .bind(rows::blob(&new.user))
    .bind(new.peer.as_bytes().to_vec())
    .bind(epoch)
    .bind(rows::millis(new.expires_at))
    .bind(rows::millis(new.certificate_expires_at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

const fn word(why: Ended) -> &'static str {
    match why {
        Ended::Revoked => "revoked",
        Ended::Disabled => "disabled",
        Ended::Removed => "removed",
    }
}

fn read_word(word: &str) -> Option<Ended> {
    [Ended::Revoked, Ended::Disabled, Ended::Removed]
        .into_iter()
        .find(|why| self::word(*why) == word)
}

/// Ends the peer's session, and remembers why for whoever shows its token.
pub(super) async fn end_of_peer(
    tx: &mut Write,
    now: i64,
    peer: &PeerId,
    why: Ended,
) -> Result<(), StorageError> {
    for sql in [
        "INSERT OR IGNORE INTO ended_sessions (token_hash, why, at) SELECT token_hash, ?2, ?3 FROM sessions WHERE peer = ?1",
        "DELETE FROM sessions WHERE peer = ?1",
    ] {
        sqlx::query(sql)
            .bind(peer.as_bytes().to_vec())
            .bind(word(why))
            .bind(now)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The same with all sessions of an account.
pub(super) async fn end_of_account(
    tx: &mut Write,
    now: i64,
    user: &Uuid,
    why: Ended,
) -> Result<(), StorageError> {
    for sql in [
        "INSERT OR IGNORE INTO ended_sessions (token_hash, why, at) SELECT token_hash, ?2, ?3 FROM sessions WHERE user = ?1",
        "DELETE FROM sessions WHERE user = ?1",
    ] {
        sqlx::query(sql)
            .bind(rows::blob(user))
            .bind(word(why))
            .bind(now)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

impl SessionStore for Sqlite {
    fn log_in(&self, new: NewSession) -> Reply<'_, LogIn> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            if admin::is_revoked(&mut tx, &new.peer).await? {
                return Ok(LogIn::Revoked);
            }
            let name = settle_name(&mut tx, now, &new).await?;
            store_peer(&mut tx, &new, &name).await?;
            users::let_peer_in(&mut tx, new.peer.as_bytes()).await?;
            let epoch = peers::next_epoch(&mut tx, &new.peer).await?;
            store_session(&mut tx, &new, epoch).await?;
            peers::renew_lease(&mut tx, now, &new.peer, epoch, rows::millis(new.lease_until)).await?;
            tx.commit().await?;
            let peer_name = name.parse().map_err(|_| StorageError::Damaged("peers.name"))?;
            Ok(LogIn::Done(peer_name))
        })
    }

    fn session(&self, token_hash: [u8; 32]) -> Reply<'_, Option<Session>> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT s.user, u.name AS user_name, s.peer, p.name AS peer_name, s.epoch, s.expires_at, \
                 s.certificate_expires_at FROM sessions s \
                 JOIN users u ON u.id = s.user JOIN peers p ON p.id = s.peer \
                 WHERE s.token_hash = ?1 AND s.expires_at > ?2 AND u.disabled = 0",
            )
            .bind(token_hash.to_vec())
            .bind(self.now())
            .fetch_optional(&self.readers)
            .await?;
            let Some(row) = row else {
                return Ok(None);
            };
            Ok(Some(Session {
                token_hash,
                user: rows::uuid(&row, "user")?,
                user_name: rows::text(&row, "user_name")?,
                peer: rows::bytes32(&row, "peer")?,
                peer_name: rows::text(&row, "peer_name")?,
                epoch: row.try_get("epoch")?,
                expires_at: rows::time(&row, "expires_at")?,
                certificate_expires_at: rows::time(&row, "certificate_expires_at")?,
            }))
        })
    }

    fn why_ended(&self, token_hash: [u8; 32]) -> Reply<'_, Option<Ended>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT why FROM ended_sessions WHERE token_hash = ?")
                .bind(token_hash.to_vec())
                .fetch_optional(&self.readers)
                .await?;
            let Some(row) = row else {
                return Ok(None);
            };
            let why = read_word(row.try_get("why")?);
            why.map(Some).ok_or(StorageError::Damaged("ended_sessions.why"))
        })
    }

    fn renew<'a>(
        &'a self,
        session: &'a Session,
        expires_at: Timestamp,
        certificate_expires_at: Timestamp,
    ) -> Reply<'a, ()> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            sqlx::query(
                "UPDATE sessions SET expires_at = ?, certificate_expires_at = ? WHERE token_hash = ?",
            )
            .bind(rows::millis(expires_at))
            .bind(rows::millis(certificate_expires_at))
            .bind(session.token_hash.to_vec())
            .execute(&mut *tx)
            .await?;
            Ok(tx.commit().await?)
        })
    }

    fn log_out<'a>(&'a self, session: &'a Session) -> Reply<'a, ()> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let done = sqlx::query("DELETE FROM sessions WHERE token_hash = ?")
                .bind(session.token_hash.to_vec())
                .execute(&mut *tx)
                .await?;
            if done.rows_affected() > 0 {
                peers::end_lease(&mut tx, self.now(), session).await?;
            }
            Ok(tx.commit().await?)
        })
    }
}
