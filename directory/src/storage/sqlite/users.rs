//! Accounts on SQLite.

use p2p_proto::UserName;
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Event, Sqlite, Write, holds, peers, reports, rows, write_event};
use crate::storage::{Account, NewUser, Reply, StorageError, UserStore};

const SELECT: &str = "SELECT id, name, password_hash, admin, disabled, created_at FROM users WHERE name = ?";

fn account(row: &SqliteRow) -> Result<Account, StorageError> {
    Ok(Account {
        id: rows::uuid(row, "id")?,
        name: rows::text(row, "name")?,
        password_hash: row.try_get("password_hash")?,
        admin: row.try_get("admin")?,
        disabled: row.try_get("disabled")?,
        created_at: rows::time(row, "created_at")?,
    })
}

async fn find(tx: &mut Write, name: &UserName) -> Result<Option<Account>, StorageError> {
    let row = sqlx::query(SELECT)
        .bind(name.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(account).transpose()
}

async fn tell(
    tx: &mut Write,
    now: i64,
    kind: &'static str,
    name: &UserName,
    id: Uuid,
) -> Result<(), StorageError> {
    let payload = serde_json::json!({ "user": name, "user_id": id });
    let event = Event {
        kind,
        visibility: "private",
        owner: Some(id),
        payload: &payload,
    };
    write_event(tx, now, event).await
}

/// The next version of the deny-list.
async fn deny_list_changed(tx: &mut Write) -> Result<(), StorageError> {
    sqlx::query("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'deny_version'")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends what the account has running, denies its peers, and forgets what it said of others.
async fn shut_out(tx: &mut Write, now: i64, user: &Uuid) -> Result<(), StorageError> {
    peers::end_leases_of(tx, now, user).await?;
    reports::forget_reports_of(tx, user).await?;
    sqlx::query("DELETE FROM sessions WHERE user = ?")
        .bind(rows::blob(user))
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT OR IGNORE INTO denied_peers (peer, denied_at) SELECT id, ?1 FROM peers WHERE owner = ?2",
    )
    .bind(now)
    .bind(rows::blob(user))
    .execute(&mut **tx)
    .await?;
    deny_list_changed(tx).await
}

async fn let_in(tx: &mut Write, user: &Uuid) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM denied_peers WHERE peer IN (SELECT id FROM peers WHERE owner = ?)")
        .bind(rows::blob(user))
        .execute(&mut **tx)
        .await?;
    deny_list_changed(tx).await
}

/// A peer that logged in anew is denied no more.
pub(super) async fn let_peer_in(tx: &mut Write, peer: &[u8; 32]) -> Result<(), StorageError> {
    let done = sqlx::query("DELETE FROM denied_peers WHERE peer = ?")
        .bind(peer.to_vec())
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() > 0 {
        deny_list_changed(tx).await?;
    }
    Ok(())
}

async fn delete(tx: &mut Write, user: &Uuid) -> Result<(), StorageError> {
    let ids = sqlx::query("SELECT id FROM publications WHERE owner = ?")
        .bind(rows::blob(user))
        .fetch_all(&mut **tx)
        .await?;
    for row in &ids {
        holds::drop_holds_of(tx, &rows::uuid(row, "id")?).await?;
    }
    for sql in [
        "DELETE FROM publications WHERE owner = ?",
        "DELETE FROM peers WHERE owner = ?",
        "DELETE FROM users WHERE id = ?",
    ] {
        sqlx::query(sql).bind(rows::blob(user)).execute(&mut **tx).await?;
    }
    Ok(())
}

impl UserStore for Sqlite {
    fn add_user(&self, user: NewUser) -> Reply<'_, bool> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            let done = sqlx::query(
                "INSERT INTO users (id, name, password_hash, admin, created_at) VALUES (?, ?, ?, ?, ?) \
                 ON CONFLICT (name) DO NOTHING",
            )
            .bind(rows::blob(&user.id))
            .bind(user.name.as_str())
            .bind(user.password_hash)
            .bind(user.admin)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
            tell(&mut tx, now, "user_added", &user.name, user.id).await?;
            tx.commit().await?;
            Ok(true)
        })
    }

    fn users(&self) -> Reply<'_, Vec<Account>> {
        Box::pin(async move {
            let rows = sqlx::query(
                "SELECT id, name, password_hash, admin, disabled, created_at FROM users ORDER BY name",
            )
            .fetch_all(&self.readers)
            .await?;
            rows.iter().map(account).collect()
        })
    }

    fn user<'a>(&'a self, name: &'a UserName) -> Reply<'a, Option<Account>> {
        Box::pin(async move {
            let row = sqlx::query(SELECT)
                .bind(name.as_str())
                .fetch_optional(&self.readers)
                .await?;
            row.as_ref().map(account).transpose()
        })
    }

    fn set_disabled<'a>(&'a self, name: &'a UserName, disabled: bool) -> Reply<'a, bool> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            let Some(user) = find(&mut tx, name).await? else {
                return Ok(false);
            };
            if user.disabled == disabled {
                return Ok(true);
            }
            sqlx::query("UPDATE users SET disabled = ? WHERE id = ?")
                .bind(disabled)
                .bind(rows::blob(&user.id))
                .execute(&mut *tx)
                .await?;
            let kind = if disabled {
                shut_out(&mut tx, now, &user.id).await?;
                "user_disabled"
            } else {
                let_in(&mut tx, &user.id).await?;
                "user_enabled"
            };
            tell(&mut tx, now, kind, name, user.id).await?;
            tx.commit().await?;
            Ok(true)
        })
    }

    fn set_password<'a>(&'a self, name: &'a UserName, password_hash: String) -> Reply<'a, bool> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let Some(user) = find(&mut tx, name).await? else {
                return Ok(false);
            };
            sqlx::query("UPDATE users SET password_hash = ? WHERE id = ?")
                .bind(password_hash)
                .bind(rows::blob(&user.id))
                .execute(&mut *tx)
                .await?;
            tell(&mut tx, self.now(), "user_password_changed", name, user.id).await?;
            tx.commit().await?;
            Ok(true)
        })
    }

    fn remove_user<'a>(&'a self, name: &'a UserName) -> Reply<'a, bool> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            let Some(user) = find(&mut tx, name).await? else {
                return Ok(false);
            };
            shut_out(&mut tx, now, &user.id).await?;
            delete(&mut tx, &user.id).await?;
            tell(&mut tx, now, "user_removed", name, user.id).await?;
            tx.commit().await?;
            Ok(true)
        })
    }
}
