//! Holds on SQLite. The digest of a peer's index is kept with the peer and changes in the transaction that changes its
//! holds.

use p2p_proto::{
    GroupName, PeerId, Visibility,
    index::{Hold, HoldState, IndexDigest},
    rest::{
        index::{HoldChange, IndexDelta},
        location::Holder,
        session::IndexState,
    },
};
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Sqlite, Write, peers,
    reports::{self, report_count},
    rows,
    visible::{seen, visible},
};
use crate::storage::{
    HoldStore, IndexOutcome, KnownHolder, Released, Reply, Session, StorageError, reports::ENOUGH,
};

/// The index of the peer; none when it never sent one.
pub(super) async fn index_state(tx: &mut Write, peer: &PeerId) -> Result<Option<IndexState>, StorageError> {
    let row = sqlx::query(
        "SELECT index_id, index_seq, index_digest FROM peers WHERE id = ? AND index_id IS NOT NULL",
    )
    .bind(peer.as_bytes().to_vec())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(IndexState {
            index_id: rows::uuid(&row, "index_id")?,
            seq: rows::count(&row, "index_seq")?,
            digest: digest(&row)?,
        })
    })
    .transpose()
}

fn digest(row: &SqliteRow) -> Result<IndexDigest, StorageError> {
    let text: String = row.try_get("index_digest")?;
    IndexDigest::try_from(text).map_err(|_| StorageError::Damaged("index_digest"))
}

async fn store_index(tx: &mut Write, peer: &PeerId, index: &IndexState) -> Result<(), StorageError> {
    sqlx::query("UPDATE peers SET index_id = ?, index_seq = ?, index_digest = ? WHERE id = ?")
        .bind(rows::blob(&index.index_id))
        .bind(rows::stored(index.seq))
        .bind(String::from(index.digest))
        .bind(peer.as_bytes().to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets all holds of the peer and its index.
pub(super) async fn forget_index(tx: &mut Write, peer: &PeerId) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM holds WHERE peer = ?")
        .bind(peer.as_bytes().to_vec())
        .execute(&mut **tx)
        .await?;
    sqlx::query("UPDATE peers SET index_id = NULL, index_seq = 0, index_digest = ? WHERE id = ?")
        .bind(String::from(IndexDigest::default()))
        .bind(peer.as_bytes().to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Drops every hold of publications for which the condition is true, and the digests of the holders change, so that their
/// peers notice: `f` is the publication, `p` the holder, `?1` the one thing that is bound.
macro_rules! drop_holds {
    ($tx:expr, $condition:expr, $bound:expr) => {{
        let tx: &mut Write = $tx;
        let bound = $bound;
        // By peer: each digest is read and written once.
        let rows = sqlx::query(concat!(
            "SELECT h.peer, h.publication, h.state, p.index_digest FROM publications f \
             JOIN holds h ON h.publication = f.id JOIN peers p ON p.id = h.peer WHERE ",
            $condition,
            " ORDER BY h.peer"
        ))
        .bind(bound.clone())
        .fetch_all(&mut **tx)
        .await?;
        update_digests(tx, &rows).await?;
        sqlx::query(concat!(
            "DELETE FROM holds WHERE (peer, publication) IN (SELECT h.peer, h.publication FROM publications f \
             JOIN holds h ON h.publication = f.id JOIN peers p ON p.id = h.peer WHERE ",
            $condition,
            ")"
        ))
        .bind(bound)
        .execute(&mut **tx)
        .await?;
    }};
}

/// Drops every hold of the publication.
pub(super) async fn drop_holds_of(tx: &mut Write, publication: &Uuid) -> Result<(), StorageError> {
    drop_holds!(tx, "f.id = ?1", rows::blob(publication));
    Ok(())
}

/// The same with those of peers whose accounts may not see it any more.
pub(super) async fn drop_unseen_holds_of(tx: &mut Write, publication: &Uuid) -> Result<(), StorageError> {
    drop_holds!(
        tx,
        concat!("f.id = ?1 AND NOT ", seen!("f", "p.owner")),
        rows::blob(publication)
    );
    Ok(())
}

/// The same with all publications of the group.
pub(super) async fn drop_unseen_holds_of_group(tx: &mut Write, group: GroupName) -> Result<(), StorageError> {
    drop_holds!(
        tx,
        concat!(
            "f.visibility = ?1 AND f.visibility NOT IN ('public', 'private') AND NOT ",
            seen!("f", "p.owner")
        ),
        String::from(Visibility::Group(group))
    );
    Ok(())
}

/// Drops every hold of the account's publications.
pub(super) async fn drop_holds_of_account(tx: &mut Write, owner: &Uuid) -> Result<(), StorageError> {
    drop_holds!(tx, "f.owner = ?1", rows::blob(owner));
    Ok(())
}

/// Takes these holds, which come by peer, out of the digests of their peers.
async fn update_digests(tx: &mut Write, rows: &[SqliteRow]) -> Result<(), StorageError> {
    let mut at = 0;
    while let Some(first) = rows.get(at) {
        let peer: Vec<u8> = first.try_get("peer")?;
        let mut digest = digest(first)?;
        while let Some(row) = rows.get(at)
            && row.try_get::<&[u8], _>("peer")? == peer
        {
            digest.toggle(&Hold {
                publication: rows::uuid(row, "publication")?,
                state: rows::hold_state(row, "state")?,
            });
            at += 1;
        }
        sqlx::query("UPDATE peers SET index_digest = ? WHERE id = ?")
            .bind(String::from(digest))
            .bind(peer)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Where a delta begins.
struct Begun {
    index: IndexState,
    /// It was applied before.
    is_repeat: bool,
}

/// Where the delta begins: the stored index when it follows it, an empty one when it begins anew, none for a gap.
async fn begin_delta(
    tx: &mut Write,
    peer: &PeerId,
    delta: &IndexDelta,
) -> Result<Option<Begun>, StorageError> {
    let stored = index_state(tx, peer).await?;
    let same = stored.filter(|index| index.index_id == delta.index_id);
    match same {
        // The last run once more: its answer was lost. Its changes are absolute, so they may be applied twice.
        Some(index) if index.seq == delta.after_seq || index.seq == delta.seq => Ok(Some(Begun {
            is_repeat: index.seq != delta.after_seq,
            index,
        })),
        Some(_) => Ok(None),
        None if delta.after_seq == 0 => {
            reports::index_resent(tx, peer).await?;
            forget_index(tx, peer).await?;
            Ok(Some(Begun {
                index: IndexState {
                    index_id: delta.index_id,
                    seq: 0,
                    digest: IndexDigest::default(),
                },
                is_repeat: false,
            }))
        }
        None => Ok(None),
    }
}

async fn count_holds(tx: &mut Write, peer: &PeerId) -> Result<u64, StorageError> {
    let row = sqlx::query("SELECT count(*) AS holds FROM holds WHERE peer = ?")
        .bind(peer.as_bytes().to_vec())
        .fetch_one(&mut **tx)
        .await?;
    rows::count(&row, "holds")
}

async fn is_visible(tx: &mut Write, caller: &Uuid, publication: &Uuid) -> Result<bool, StorageError> {
    let row = sqlx::query(concat!(
        "SELECT 1 FROM publications p WHERE p.id = ?2 AND ",
        visible!("p")
    ))
    .bind(rows::blob(caller))
    .bind(rows::blob(publication))
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}

/// Removes the hold and gives what it was.
async fn take_hold(
    tx: &mut Write,
    peer: &PeerId,
    publication: &Uuid,
) -> Result<Option<HoldState>, StorageError> {
    let row = sqlx::query("DELETE FROM holds WHERE peer = ? AND publication = ? RETURNING state")
        .bind(peer.as_bytes().to_vec())
        .bind(rows::blob(publication))
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| rows::hold_state(&row, "state")).transpose()
}

async fn insert_hold(tx: &mut Write, peer: &PeerId, hold: &Hold) -> Result<(), StorageError> {
    sqlx::query("INSERT INTO holds (peer, publication, state) VALUES (?, ?, ?)")
        .bind(peer.as_bytes().to_vec())
        .bind(rows::blob(&hold.publication))
        .bind(rows::stored_state(hold.state))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Applies one change; the publication's id when it is not there for the caller.
async fn apply(
    tx: &mut Write,
    session: &Session,
    change: HoldChange,
    begun: &mut Begun,
) -> Result<Option<Uuid>, StorageError> {
    let digest = &mut begun.index.digest;
    let publication = match change {
        HoldChange::Held(hold) => hold.publication,
        HoldChange::Dropped(publication) => publication,
    };
    if let Some(state) = take_hold(tx, &session.peer, &publication).await? {
        digest.toggle(&Hold { publication, state });
    }
    let HoldChange::Held(hold) = change else {
        reports::dropped(tx, &session.peer, &publication).await?;
        return Ok(None);
    };
    if !is_visible(tx, &session.user, &publication).await? {
        return Ok(Some(publication));
    }
    insert_hold(tx, &session.peer, &hold).await?;
    digest.toggle(&hold);
    if hold.state == HoldState::Complete && !begun.is_repeat {
        reports::held_anew(tx, &session.peer, &publication).await?;
    }
    Ok(None)
}

fn known_holder(row: &SqliteRow, caller: &PeerId) -> Result<KnownHolder, StorageError> {
    let peer_id: PeerId = rows::bytes32(row, "id")?;
    Ok(KnownHolder {
        holder: Holder {
            peer_id,
            peer_name: rows::text(row, "name")?,
            addresses: peers::addresses(row)?,
            online: row.try_get("online")?,
            state: rows::hold_state(row, "state")?,
            last_seen_at: rows::maybe_time(row, "last_seen")?,
        },
        is_caller: peer_id == *caller,
    })
}

impl HoldStore for Sqlite {
    fn apply_index<'a>(
        &'a self,
        session: &'a Session,
        delta: &'a IndexDelta,
        most: u64,
    ) -> Reply<'a, IndexOutcome> {
        Box::pin(async move {
            let mut tx = self.begin_for(session).await?;
            let Some(mut begun) = begin_delta(&mut tx, &session.peer, delta).await? else {
                return Ok(IndexOutcome::Gap);
            };
            let mut unknown = Vec::new();
            for change in &delta.changes {
                unknown.extend(apply(&mut tx, session, *change, &mut begun).await?);
            }
            if count_holds(&mut tx, &session.peer).await? > most {
                return Ok(IndexOutcome::TooMany);
            }
            let mut index = begun.index;
            index.seq = delta.seq;
            store_index(&mut tx, &session.peer, &index).await?;
            tx.commit().await?;
            Ok(IndexOutcome::Applied { index, unknown })
        })
    }

    fn release<'a>(
        &'a self,
        session: &'a Session,
        publication: Uuid,
        even_last: bool,
    ) -> Reply<'a, Released> {
        Box::pin(async move {
            let mut tx = self.begin_for(session).await?;
            if !is_visible(&mut tx, &session.user, &publication).await? {
                return Ok(Released::NotVisible);
            }
            if !even_last && !self.is_kept_elsewhere(&mut tx, session, &publication).await? {
                return Ok(Released::Last);
            }
            sqlx::query("UPDATE holds SET released = 1 WHERE peer = ? AND publication = ?")
                .bind(session.peer.as_bytes().to_vec())
                .bind(rows::blob(&publication))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(Released::Yes)
        })
    }

    fn holders<'a>(&'a self, session: &'a Session, publication: Uuid) -> Reply<'a, Vec<KnownHolder>> {
        Box::pin(async move {
            let mut reader = self.readers.acquire().await?;
            self.holders_now(&mut reader, session, publication).await
        })
    }
}

impl Sqlite {
    /// Another peer holds all of it, may serve it, was not told that it may drop it, and is not known to be a bad holder.
    async fn is_kept_elsewhere(
        &self,
        tx: &mut Write,
        session: &Session,
        publication: &Uuid,
    ) -> Result<bool, StorageError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            report_count!("h.peer", "h.publication", "?3"),
            " AS reports FROM holds h JOIN peers p ON p.id = h.peer JOIN users u ON u.id = p.owner \
             WHERE h.publication = ?1 AND h.peer <> ?2 AND h.state = ?5 AND h.released = 0 AND reports < ?4 \
             AND u.disabled = 0 AND NOT EXISTS (SELECT 1 FROM denied_peers d WHERE d.peer = h.peer) \
             AND NOT EXISTS (SELECT 1 FROM revoked_peers r WHERE r.peer = h.peer) LIMIT 1",
        ))
        .bind(rows::blob(publication))
        .bind(session.peer.as_bytes().to_vec())
        .bind(self.reports_since())
        .bind(ENOUGH)
        .bind(rows::stored_state(HoldState::Complete))
        .fetch_optional(&mut **tx)
        .await?;
        Ok(row.is_some())
    }

    /// Who holds the publication, as this connection sees it.
    pub(super) async fn holders_now(
        &self,
        reader: &mut SqliteConnection,
        session: &Session,
        publication: Uuid,
    ) -> Result<Vec<KnownHolder>, StorageError> {
        let rows = sqlx::query(concat!(
                "SELECT p.id, p.name, p.addresses, h.state, l.last_seen, coalesce(l.expires_at, 0) > ?2 AS online, ",
                report_count!("h.peer", "h.publication", "?3"),
                " AS reports \
                 FROM holds h JOIN peers p ON p.id = h.peer LEFT JOIN leases l ON l.peer = p.id \
                 WHERE h.publication = ?1 AND reports < ?4 \
                 ORDER BY online DESC, reports, p.active_transfers, random() LIMIT 1000",
            ))
            .bind(rows::blob(&publication))
            .bind(self.now())
            .bind(self.reports_since())
            .bind(ENOUGH)
            .fetch_all(reader)
            .await?;
        rows.iter().map(|row| known_holder(row, &session.peer)).collect()
    }
}
