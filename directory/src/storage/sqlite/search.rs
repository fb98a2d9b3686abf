//! Searching on SQLite: one page of the newest visible versions, and how many there are in all.

use p2p_proto::rest::publications::{CopiesOf, SearchHit};
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    Sqlite,
    reports::report_count,
    rows,
    visible::{columns, newest, seen, visible},
};
use crate::storage::{SearchFilter, SearchPage, StorageError, reports::ENOUGH};

/// What a search looks at: `?2` part of the name, `?3` the owner or null.
macro_rules! searched {
    () => {
        concat!(
            "FROM publications p JOIN users u ON u.id = p.owner WHERE ",
            visible!("p"),
            " AND (?2 = '' OR instr(p.folded, ?2) > 0) AND (?3 IS NULL OR u.name = ?3) AND ",
            newest!()
        )
    };
}

/// How many peers have all of `p`: at this time, by the reports since then, of which so many are enough.
macro_rules! counted {
    ($now:literal, $since:literal, $enough:literal) => {
        concat!(
            "(SELECT count(*) FROM holds h WHERE h.publication = p.id AND h.state = 2 AND ",
            report_count!("h.peer", "h.publication", $since),
            " < ",
            $enough,
            ") AS holders_total, (SELECT count(*) FROM holds h JOIN leases l ON l.peer = h.peer \
             WHERE h.publication = p.id AND h.state = 2 AND l.expires_at > ",
            $now,
            " AND ",
            report_count!("h.peer", "h.publication", $since),
            " < ",
            $enough,
            ") AS holders_online "
        )
    };
}

fn small(row: &SqliteRow, column: &'static str) -> Result<u32, StorageError> {
    row.try_get::<u32, _>(column).map_err(StorageError::from)
}

fn hit(row: &SqliteRow) -> Result<SearchHit, StorageError> {
    Ok(SearchHit {
        publication: rows::publication(row)?,
        holders_online: small(row, "holders_online")?,
        holders_total: small(row, "holders_total")?,
    })
}

impl Sqlite {
    pub(super) async fn search_page(
        &self,
        caller: Uuid,
        filter: &SearchFilter,
    ) -> Result<SearchPage, StorageError> {
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let rows = self.search_rows(caller, filter).await?;
        Ok(SearchPage {
            hits: rows.iter().take(limit).map(hit).collect::<Result<_, _>>()?,
            total: self.search_total(caller, filter).await?,
            more: rows.len() > limit,
        })
    }

    /// All as of one moment.
    pub(super) async fn count_copies(
        &self,
        caller: Uuid,
        publications: &[Uuid],
    ) -> Result<Vec<CopiesOf>, StorageError> {
        let mut moment = self.readers.begin().await?;
        let mut copies = Vec::new();
        for &publication in publications {
            let row = sqlx::query(concat!(
                "SELECT ",
                counted!("?3", "?4", "?5"),
                "FROM publications p WHERE ",
                visible!("p"),
                " AND p.id = ?2"
            ))
            .bind(rows::blob(&caller))
            .bind(rows::blob(&publication))
            .bind(self.now())
            .bind(self.reports_since())
            .bind(ENOUGH)
            .fetch_optional(&mut *moment)
            .await?;
            if let Some(row) = row {
                copies.push(CopiesOf {
                    publication,
                    holders_online: small(&row, "holders_online")?,
                    holders_total: small(&row, "holders_total")?,
                });
            }
        }
        Ok(copies)
    }

    async fn search_total(&self, caller: Uuid, filter: &SearchFilter) -> Result<u64, StorageError> {
        let row = sqlx::query(concat!("SELECT count(*) AS total ", searched!()))
            .bind(rows::blob(&caller))
            .bind(&filter.folded)
            .bind(filter.owner.as_ref().map(|owner| owner.as_str().to_owned()))
            .fetch_one(&self.readers)
            .await?;
        rows::count(&row, "total")
    }

    async fn search_rows(&self, caller: Uuid, filter: &SearchFilter) -> Result<Vec<SqliteRow>, StorageError> {
        let (after_name, after_owner) = filter.after.clone().unzip();
        Ok(sqlx::query(concat!(
            "SELECT ",
            columns!(),
            ", ",
            counted!("?4", "?8", "?9"),
            searched!(),
            " AND (?5 IS NULL OR (p.name, u.name) > (?5, ?6)) ORDER BY p.name, u.name LIMIT ?7"
        ))
        .bind(rows::blob(&caller))
        .bind(&filter.folded)
        .bind(filter.owner.as_ref().map(|owner| owner.as_str().to_owned()))
        .bind(self.now())
        .bind(after_name)
        .bind(after_owner)
        .bind(i64::from(filter.limit) + 1)
        .bind(self.reports_since())
        .bind(ENOUGH)
        .fetch_all(&self.readers)
        .await?)
    }
}
