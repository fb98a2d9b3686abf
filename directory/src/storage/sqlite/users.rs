//! Accounts on SQLite.

use p2p_proto::{GroupName, UserName, rest::events::What};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Sqlite, Write,
    events::{hide_files_of, tell_account, tell_of},
    groups, holds, peers, reports, rows, sessions,
    visible::{columns, seen, select, visible},
};
use crate::storage::{Account, Ended, NewPassword, NewUser, Reply, StorageError, UserAdded, UserStore};

/// Of how many publications of a removed account it is told that they are gone: all that happens in one transaction, in which
/// others wait.
const MOST_TOLD: u32 = 1000;

/// Groups come as one text, their names sorted and parted by spaces, which no name has.
macro_rules! select_account {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, password_hash, admin, disabled, created_at, (SELECT group_concat(of_group, ' ') FROM \
             (SELECT of_group FROM members WHERE user = users.id ORDER BY of_group)) AS of_groups FROM users ",
            $rest
        )
    };
}

fn account(row: &SqliteRow) -> Result<Account, StorageError> {
    Ok(Account {
        id: rows::uuid(row, "id")?,
        name: rows::text(row, "name")?,
        password_hash: row.try_get("password_hash")?,
        admin: row.try_get("admin")?,
        disabled: row.try_get("disabled")?,
        created_at: rows::time(row, "created_at")?,
        groups: of_groups(row)?,
    })
}

fn of_groups(row: &SqliteRow) -> Result<Vec<GroupName>, StorageError> {
    let names: Option<String> = row.try_get("of_groups")?;
    let names = names.unwrap_or_default();
    let parsed = names.split_whitespace().map(str::parse);
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_| StorageError::Damaged("members.of_group"))
}

/// The id of the account with this name.
pub(super) async fn find(tx: &mut Write, name: &UserName) -> Result<Option<Uuid>, StorageError> {
    let row = sqlx::query("SELECT id FROM users WHERE name = ?")
        .bind(name.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| rows::uuid(&row, "id")).transpose()
}

/// Whether the account is there, is not disabled, and has the password with this PHC string.
pub(super) async fn may_log_in(
    tx: &mut Write,
    user: &Uuid,
    password_hash: &str,
) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT 1 FROM users WHERE id = ? AND password_hash = ? AND disabled = 0")
        .bind(rows::blob(user))
        .bind(password_hash.to_owned())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

async fn is_disabled(tx: &mut Write, user: &Uuid) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT disabled FROM users WHERE id = ?")
        .bind(rows::blob(user))
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get("disabled")?)
}

/// The next version of the deny-list: a time, so that it is another one than any before a restore of an old database, be it
/// the second one of the same.
pub(super) async fn deny_list_changed(tx: &mut Write, now: i64) -> Result<(), StorageError> {
    sqlx::query("UPDATE meta SET value = max(CAST(value AS INTEGER) + 1, ?) WHERE key = 'deny_version'")
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends what the account has running, denies its peers, and forgets what it said of others.
async fn shut_out(tx: &mut Write, now: i64, user: &Uuid, why: Ended) -> Result<(), StorageError> {
    peers::end_leases_of(tx, now, user).await?;
    reports::forget_reports_of(tx, user).await?;
    sessions::end_of_account(tx, now, user, why).await?;
    sqlx::query(
        "INSERT OR IGNORE INTO denied_peers (peer, denied_at) SELECT id, ?1 FROM peers WHERE owner = ?2",
    )
    .bind(now)
    .bind(rows::blob(user))
    .execute(&mut **tx)
    .await?;
    deny_list_changed(tx, now).await
}

async fn let_in(tx: &mut Write, now: i64, user: &Uuid) -> Result<(), StorageError> {
    sqlx::query(
        "DELETE FROM denied_peers WHERE peer IN (SELECT id FROM peers WHERE owner = ?) \
         AND peer NOT IN (SELECT peer FROM revoked_peers)",
    )
    .bind(rows::blob(user))
    .execute(&mut **tx)
    .await?;
    deny_list_changed(tx, now).await
}

/// A peer that logged in anew is denied no more.
pub(super) async fn let_peer_in(tx: &mut Write, now: i64, peer: &[u8; 32]) -> Result<(), StorageError> {
    let done = sqlx::query("DELETE FROM denied_peers WHERE peer = ?")
        .bind(peer.to_vec())
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() > 0 {
        deny_list_changed(tx, now).await?;
    }
    Ok(())
}

/// Tells those who saw them that the account's publications are gone, and nothing any more of what was told before.
async fn withdraw_all(tx: &mut Write, now: i64, user: &Uuid) -> Result<(), StorageError> {
    let rows = sqlx::query(select!(
        " AND p.owner = ?1 AND p.visibility <> 'private' ORDER BY p.published_at DESC LIMIT ?2"
    ))
    .bind(rows::blob(user))
    .bind(MOST_TOLD)
    .fetch_all(&mut **tx)
    .await?;
    hide_files_of(tx, user).await?;
    for row in &rows {
        let publication = rows::publication(row)?;
        let what = What::Withdrawn {
            publication: publication.clone(),
        };
        tell_of(tx, now, *user, &publication, &what).await?;
    }
    Ok(())
}

async fn delete(tx: &mut Write, now: i64, user: &Uuid) -> Result<(), StorageError> {
    withdraw_all(tx, now, user).await?;
    holds::drop_holds_of_account(tx, user).await?;
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
    fn add_user(&self, user: NewUser) -> Reply<'_, UserAdded> {
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
                return Ok(UserAdded::NameTaken);
            }
            let name = user.name;
            tell_account(&mut tx, now, user.id, &What::AccountAdded { user: name.clone() }).await?;
            for group in user.groups {
                if !groups::exists(&mut tx, group).await? {
                    return Ok(UserAdded::NoGroup(group));
                }
                groups::join(&mut tx, now, user.id, &name, group).await?;
            }
            tx.commit().await?;
            Ok(UserAdded::Done)
        })
    }

    fn users(&self) -> Reply<'_, Vec<Account>> {
        Box::pin(async move {
            let rows = sqlx::query(select_account!("ORDER BY name"))
                .fetch_all(&self.readers)
                .await?;
            rows.iter().map(account).collect()
        })
    }

    fn user<'a>(&'a self, name: &'a UserName) -> Reply<'a, Option<Account>> {
        Box::pin(async move {
            let row = sqlx::query(select_account!("WHERE name = ?"))
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
            if is_disabled(&mut tx, &user).await? == disabled {
                return Ok(true);
            }
            sqlx::query("UPDATE users SET disabled = ? WHERE id = ?")
                .bind(disabled)
                .bind(rows::blob(&user))
                .execute(&mut *tx)
                .await?;
            let what = if disabled {
                shut_out(&mut tx, now, &user, Ended::Disabled).await?;
                What::AccountDisabled { user: name.clone() }
            } else {
                let_in(&mut tx, now, &user).await?;
                What::AccountEnabled { user: name.clone() }
            };
            tell_account(&mut tx, now, user, &what).await?;
            tx.commit().await?;
            Ok(true)
        })
    }

    fn set_password(&self, new: NewPassword) -> Reply<'_, bool> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let row = sqlx::query(
                "UPDATE users SET password_hash = ?1 WHERE id = ?2 \
                 AND (?3 IS NULL OR password_hash = ?3 AND disabled = 0) RETURNING name",
            )
            .bind(new.hash)
            .bind(rows::blob(&new.user))
            .bind(new.shown)
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else {
                return Ok(false);
            };
            let what = What::PasswordChanged {
                user: rows::text(&row, "name")?,
            };
            tell_account(&mut tx, self.now(), new.user, &what).await?;
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
            shut_out(&mut tx, now, &user, Ended::Removed).await?;
            delete(&mut tx, now, &user).await?;
            let what = What::AccountRemoved { user: name.clone() };
            tell_account(&mut tx, now, user, &what).await?;
            tx.commit().await?;
            Ok(true)
        })
    }
}
