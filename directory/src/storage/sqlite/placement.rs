//! Places for copies on SQLite.

use p2p_proto::rest::session::AcceptCopies;
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Sqlite, peers, reports::report_count, rows, visible::seen};
use crate::storage::{Place, PlacementStore, Places, Reply, Session, StorageError};

/// Whose copies a peer takes, as it is stored.
pub(super) fn stored_accepts(accepts: AcceptCopies) -> &'static str {
    match accepts {
        AcceptCopies::Own => "own",
        AcceptCopies::Cluster => "cluster",
    }
}

fn accepts(row: &SqliteRow) -> Result<AcceptCopies, StorageError> {
    match row.try_get("accept_copies")? {
        "own" => Ok(AcceptCopies::Own),
        "cluster" => Ok(AcceptCopies::Cluster),
        _ => Err(StorageError::Damaged("accept_copies")),
    }
}

fn place(row: &SqliteRow) -> Result<Place, StorageError> {
    let free = row.try_get::<Option<i64>, _>("free_bytes")?;
    Ok(Place {
        peer_id: rows::bytes32(row, "id")?,
        peer_name: rows::text(row, "name")?,
        addresses: peers::addresses(row)?,
        user: rows::text(row, "user_name")?,
        accepts: accepts(row)?,
        free_bytes: free.and_then(|free| free.try_into().ok()),
        active_transfers: row.try_get("active_transfers")?,
        sees: row.try_get("sees")?,
        online: row.try_get("online")?,
        denied: row.try_get("denied")?,
        certificate_expires_at: rows::maybe_time(row, "certificate_expires_at")?,
        holds_all: row.try_get("holds_all")?,
        reports: row.try_get("reports")?,
    })
}

impl PlacementStore for Sqlite {
    fn places<'a>(&'a self, session: &'a Session, publication: Uuid) -> Reply<'a, Places> {
        Box::pin(async move {
            let mut moment = self.readers.begin().await?;
            let holders = self.holders_now(&mut moment, session, publication).await?;
            let rows = sqlx::query(concat!(
                "SELECT p.id, p.name, p.addresses, u.name AS user_name, p.accept_copies, p.free_bytes, \
                 p.active_transfers, coalesce(l.expires_at, 0) > ?2 AS online, d.peer IS NOT NULL AS denied, \
                 s.certificate_expires_at, h.peer IS NOT NULL AS holds_all, ",
                report_count!("p.id", "?1", "?3"),
                " AS reports, ",
                seen!("f", "p.owner"),
                " AS sees FROM peers p JOIN users u ON u.id = p.owner JOIN publications f ON f.id = ?1 \
                 LEFT JOIN leases l ON l.peer = p.id \
                 LEFT JOIN denied_peers d ON d.peer = p.id \
                 LEFT JOIN sessions s ON s.peer = p.id AND s.expires_at > ?2 \
                 LEFT JOIN holds h ON h.peer = p.id AND h.publication = ?1 AND h.state = 2 \
                 ORDER BY online DESC, random() LIMIT 10000",
            ))
            .bind(rows::blob(&publication))
            .bind(self.now())
            .bind(self.reports_since())
            .fetch_all(&mut *moment)
            .await?;
            let peers = rows.iter().map(place).collect::<Result<_, _>>()?;
            Ok(Places { holders, peers })
        })
    }
}
