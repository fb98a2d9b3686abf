//! Groups on SQLite. Who leaves a group, and whoever saw what a removed group was told, loses the holds of it in the same
//! transaction: nobody is sent to a peer for what that peer's account may not see.

use p2p_proto::{GroupName, UserName, Visibility, rest::events::What};
use uuid::Uuid;

use super::{
    Sqlite, Write,
    events::{forget_group, tell_account},
    holds, rows, users,
};
use crate::storage::{Group, GroupChange, GroupStore, Reply, StorageError};

/// Whether there is that group.
pub(super) async fn exists(tx: &mut Write, group: GroupName) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT 1 FROM groups WHERE name = ?")
        .bind(group.as_str().to_owned())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// Whether the account is a member of that group.
pub(super) async fn is_member(tx: &mut Write, user: &Uuid, group: GroupName) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT 1 FROM members WHERE user = ? AND of_group = ?")
        .bind(rows::blob(user))
        .bind(group.as_str().to_owned())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// Makes the account a member of a group that there is.
pub(super) async fn join(
    tx: &mut Write,
    now: i64,
    user: Uuid,
    name: &UserName,
    group: GroupName,
) -> Result<(), StorageError> {
    let done = sqlx::query("INSERT OR IGNORE INTO members (user, of_group) VALUES (?, ?)")
        .bind(rows::blob(&user))
        .bind(group.as_str().to_owned())
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() > 0 {
        let joined = What::Joined {
            group,
            user: name.clone(),
        };
        tell_account(tx, now, user, &joined).await?;
    }
    Ok(())
}

async fn leave(
    tx: &mut Write,
    now: i64,
    user: Uuid,
    name: &UserName,
    group: GroupName,
) -> Result<bool, StorageError> {
    let done = sqlx::query("DELETE FROM members WHERE user = ? AND of_group = ?")
        .bind(rows::blob(&user))
        .bind(group.as_str().to_owned())
        .execute(&mut **tx)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let left = What::Left {
        group,
        user: name.clone(),
    };
    tell_account(tx, now, user, &left).await?;
    Ok(true)
}

/// The publications of the group, withdrawn ones too.
async fn publications_of(tx: &mut Write, group: GroupName) -> Result<Vec<Uuid>, StorageError> {
    let rows = sqlx::query(
        "SELECT id FROM publications WHERE visibility = ? AND visibility NOT IN ('public', 'private')",
    )
    .bind(String::from(Visibility::Group(group)))
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(|row| rows::uuid(row, "id")).collect()
}

async fn drop_unseen(tx: &mut Write, publications: &[Uuid]) -> Result<(), StorageError> {
    for publication in publications {
        holds::drop_unseen_holds_of(tx, publication).await?;
    }
    Ok(())
}

/// The ids of these accounts, or the first name that is none.
async fn ids(tx: &mut Write, names: &[UserName]) -> Result<Result<Vec<Uuid>, UserName>, StorageError> {
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        match users::find(tx, name).await? {
            Some(id) => ids.push(id),
            None => return Ok(Err(name.clone())),
        }
    }
    Ok(Ok(ids))
}

impl Sqlite {
    async fn list_groups(&self) -> Result<Vec<Group>, StorageError> {
        let mut moment = self.readers.begin().await?;
        let found = sqlx::query(
            "SELECT g.name, g.created_at, (SELECT count(*) FROM publications p \
             WHERE p.visibility = 'group:' || g.name AND p.visibility NOT IN ('public', 'private') \
             AND p.withdrawn_at IS NULL) AS publications FROM groups g ORDER BY g.name",
        )
        .fetch_all(&mut *moment)
        .await?;
        let mut groups = Vec::with_capacity(found.len());
        for row in &found {
            let name: GroupName = rows::text(row, "name")?;
            let members = sqlx::query(
                "SELECT u.name FROM members m JOIN users u ON u.id = m.user WHERE m.of_group = ? ORDER BY u.name",
            )
            .bind(name.as_str().to_owned())
            .fetch_all(&mut *moment)
            .await?;
            groups.push(Group {
                name,
                created_at: rows::time(row, "created_at")?,
                members: members
                    .iter()
                    .map(|row| rows::text(row, "name"))
                    .collect::<Result<_, _>>()?,
                publications: rows::count(row, "publications")?,
            });
        }
        Ok(groups)
    }
}

impl GroupStore for Sqlite {
    fn groups(&self) -> Reply<'_, Vec<Group>> {
        Box::pin(self.list_groups())
    }

    fn add_to_group<'a>(&'a self, group: GroupName, users: &'a [UserName]) -> Reply<'a, GroupChange> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            let made = sqlx::query("INSERT OR IGNORE INTO groups (name, created_at) VALUES (?, ?)")
                .bind(group.as_str().to_owned())
                .bind(now)
                .execute(&mut *tx)
                .await?;
            if made.rows_affected() == 0 && users.is_empty() {
                return Ok(GroupChange::Exists);
            }
            let ids = match ids(&mut tx, users).await? {
                Ok(ids) => ids,
                Err(name) => return Ok(GroupChange::NoUser(name)),
            };
            for (id, name) in ids.into_iter().zip(users) {
                join(&mut tx, now, id, name, group).await?;
            }
            tx.commit().await?;
            Ok(GroupChange::Done)
        })
    }

    fn remove_from_group<'a>(&'a self, group: GroupName, users: &'a [UserName]) -> Reply<'a, GroupChange> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            if !exists(&mut tx, group).await? {
                return Ok(GroupChange::NoGroup);
            }
            let ids = match ids(&mut tx, users).await? {
                Ok(ids) => ids,
                Err(name) => return Ok(GroupChange::NoUser(name)),
            };
            for (id, name) in ids.into_iter().zip(users) {
                if !leave(&mut tx, now, id, name, group).await? {
                    return Ok(GroupChange::NoMember(name.clone()));
                }
            }
            let publications = publications_of(&mut tx, group).await?;
            drop_unseen(&mut tx, &publications).await?;
            tx.commit().await?;
            Ok(GroupChange::Done)
        })
    }

    fn remove_group(&self, group: GroupName) -> Reply<'_, Option<u64>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let now = self.now();
            if !exists(&mut tx, group).await? {
                return Ok(None);
            }
            let members = sqlx::query(
                "SELECT u.id, u.name FROM members m JOIN users u ON u.id = m.user WHERE m.of_group = ?",
            )
            .bind(group.as_str().to_owned())
            .fetch_all(&mut *tx)
            .await?;
            for row in &members {
                leave(
                    &mut tx,
                    now,
                    rows::uuid(row, "id")?,
                    &rows::text(row, "name")?,
                    group,
                )
                .await?;
            }
            let publications = publications_of(&mut tx, group).await?;
            let row = sqlx::query(
                "SELECT count(*) AS live FROM publications WHERE visibility = ? AND withdrawn_at IS NULL \
                 AND visibility NOT IN ('public', 'private')",
            )
            .bind(String::from(Visibility::Group(group)))
            .fetch_one(&mut *tx)
            .await?;
            let live = rows::count(&row, "live")?;
            sqlx::query(
                "UPDATE publications SET visibility = 'private' WHERE visibility = ? \
                 AND visibility NOT IN ('public', 'private')",
            )
            .bind(String::from(Visibility::Group(group)))
            .execute(&mut *tx)
            .await?;
            forget_group(&mut tx, group).await?;
            drop_unseen(&mut tx, &publications).await?;
            sqlx::query("DELETE FROM groups WHERE name = ?")
                .bind(group.as_str().to_owned())
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(Some(live))
        })
    }
}
