//! Publications on SQLite.

use p2p_proto::{
    ContentHash,
    rest::{
        events::What,
        publications::{CopiesOf, Publication, PublishRequest},
    },
};
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::{
    Sqlite,
    events::tell_of,
    holds,
    publish::publish,
    rows,
    visible::{columns, newest, seen, select, visible},
};
use crate::storage::{
    Named, PublicationStore, Published, Reply, SearchFilter, SearchPage, Session, StorageError,
};

/// How many candidates are looked at.
const CANDIDATES: i64 = 21;

fn publications(rows: &[SqliteRow]) -> Result<Vec<Publication>, StorageError> {
    rows.iter().map(rows::publication).collect()
}

impl PublicationStore for Sqlite {
    fn copies(&self, caller: Uuid, publications: Vec<Uuid>) -> Reply<'_, Vec<CopiesOf>> {
        Box::pin(async move { self.count_copies(caller, &publications).await })
    }

    fn publish<'a>(
        &'a self,
        session: &'a Session,
        request: &'a PublishRequest,
        most: u64,
    ) -> Reply<'a, Published> {
        Box::pin(async move {
            let mut tx = self.begin_for(session).await?;
            let outcome = publish(&mut tx, self.now(), session.user, request, most).await?;
            tx.commit().await?;
            Ok(outcome)
        })
    }

    fn withdraw<'a>(&'a self, session: &'a Session, id: Uuid) -> Reply<'a, Option<Publication>> {
        Box::pin(async move {
            let owner = session.user;
            let mut tx = self.begin_for(session).await?;
            let now = self.now();
            let found = sqlx::query(select!(" AND p.id = ?2 AND p.owner = ?1"))
                .bind(rows::blob(&owner))
                .bind(rows::blob(&id))
                .fetch_optional(&mut *tx)
                .await?;
            let Some(row) = found else {
                return Ok(None);
            };
            let publication = rows::publication(&row)?;
            sqlx::query("UPDATE publications SET withdrawn_at = ? WHERE id = ?")
                .bind(now)
                .bind(rows::blob(&id))
                .execute(&mut *tx)
                .await?;
            holds::drop_holds_of(&mut tx, &id).await?;
            let what = What::Withdrawn {
                publication: publication.clone(),
            };
            tell_of(&mut tx, now, owner, &publication, &what).await?;
            tx.commit().await?;
            Ok(Some(publication))
        })
    }

    fn publication(&self, caller: Uuid, id: Uuid) -> Reply<'_, Option<Publication>> {
        Box::pin(async move {
            let row = sqlx::query(select!(" AND p.id = ?2"))
                .bind(rows::blob(&caller))
                .bind(rows::blob(&id))
                .fetch_optional(&self.readers)
                .await?;
            row.as_ref().map(rows::publication).transpose()
        })
    }

    fn named<'a>(&'a self, caller: Uuid, named: Named<'a>) -> Reply<'a, Vec<Publication>> {
        Box::pin(async move {
            let rows = sqlx::query(select!(concat!(
                " AND p.name = ?2 AND (?3 IS NULL OR u.name = ?3) AND (p.version = ?4 OR (?4 IS NULL AND ",
                newest!(),
                ")) ORDER BY p.owner = ?1 DESC, u.name LIMIT ?5"
            )))
            .bind(rows::blob(&caller))
            .bind(named.name.as_str())
            .bind(named.owner.map(|owner| owner.as_str().to_owned()))
            .bind(named.version.map(rows::stored))
            .bind(CANDIDATES)
            .fetch_all(&self.readers)
            .await?;
            publications(&rows)
        })
    }

    fn with_hash<'a>(&'a self, caller: Uuid, hash: &'a ContentHash) -> Reply<'a, Option<Publication>> {
        Box::pin(async move {
            let row = sqlx::query(select!(
                " AND p.hash = ?2 ORDER BY p.owner = ?1 DESC, p.published_at, p.id LIMIT 1"
            ))
            .bind(rows::blob(&caller))
            .bind(hash.as_bytes().to_vec())
            .fetch_optional(&self.readers)
            .await?;
            row.as_ref().map(rows::publication).transpose()
        })
    }

    fn hashes_between(&self, caller: Uuid, low: [u8; 32], high: [u8; 32]) -> Reply<'_, Vec<ContentHash>> {
        Box::pin(async move {
            let rows = sqlx::query(concat!(
                "SELECT DISTINCT p.hash FROM publications p WHERE ",
                visible!("p"),
                " AND p.hash BETWEEN ?2 AND ?3 ORDER BY p.hash LIMIT ?4"
            ))
            .bind(rows::blob(&caller))
            .bind(low.to_vec())
            .bind(high.to_vec())
            .bind(CANDIDATES)
            .fetch_all(&self.readers)
            .await?;
            rows.iter().map(|row| rows::bytes32(row, "hash")).collect()
        })
    }

    fn versions<'a>(&'a self, caller: Uuid, of: &'a Publication) -> Reply<'a, Vec<Publication>> {
        Box::pin(async move {
            let rows = sqlx::query(select!(
                " AND p.name = ?2 AND u.name = ?3 ORDER BY p.version DESC LIMIT 1000"
            ))
            .bind(rows::blob(&caller))
            .bind(of.name.as_str())
            .bind(of.owner.as_str())
            .fetch_all(&self.readers)
            .await?;
            publications(&rows)
        })
    }

    fn search<'a>(&'a self, caller: Uuid, filter: &'a SearchFilter) -> Reply<'a, SearchPage> {
        Box::pin(self.search_page(caller, filter))
    }
}
