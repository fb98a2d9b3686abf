//! Accounts on SQLite.

use p2p_proto::{GroupName, UserName, rest::events::What};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Sqlite, Write, events::tell_account, groups, holds, peers, reports, rows, sessions};
use crate::storage::{Account, Ended, NewUser, Reply, StorageError, UserAdded, UserStore};

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

async fn is_disabled(tx: &mut Write, user: &Uuid) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT disabled FROM users WHERE id = ?")
        .bind(rows::blob(user))
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get("disabled")?)
}

/// The next version of the deny-list.
pub(super) async fn deny_list_changed(tx: &mut Write) -> Result<(), StorageError> {
    sqlx::query("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'deny_version'")
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
    deny_list_changed(tx).await
}

async fn let_in(tx: &mut Write, user: &Uuid) -> Result<(), StorageError> {
    sqlx::query(
        "DELETE FROM denied_peers WHERE peer IN (SELECT id FROM peers WHERE owner = ?) \
         AND peer NOT IN (SELECT peer FROM revoked_peers)",
    )
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
                let_in(&mut tx, &user).await?;
                What::AccountEnabled { user: name.clone() }
            };
            tell_account(&mut tx, now, user, &what).await?;
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
                .bind(rows::blob(&user))
                .execute(&mut *tx)
                .await?;
            let what = What::PasswordChanged { user: name.clone() };
            tell_account(&mut tx, self.now(), user, &what).await?;
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
            delete(&mut tx, &user).await?;
            let what = What::AccountRemoved { user: name.clone() };
            tell_account(&mut tx, now, user, &what).await?;
            tx.commit().await?;
            Ok(true)
        })
    }
}
