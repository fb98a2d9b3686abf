//! Reports of holders on SQLite.

use p2p_proto::{
    PeerId,
    rest::{
        events::What,
        publications::Publication,
        reports::{Fault, ReportRequest},
    },
};
use uuid::Uuid;

use super::{
    Sqlite, Write,
    events::tell_of,
    rows,
    visible::{columns, seen, select, visible},
};
use crate::{
    clock::before,
    storage::{Reply, ReportStore, Reported, Session, StorageError, reports::LIFETIME},
};

/// How many accounts' reports from after a time count against a holder of a publication.
macro_rules! report_count {
    ($holder:literal, $publication:literal, $since:literal) => {
        concat!(
            "(SELECT count(*) FROM holder_reports r WHERE r.publication = ",
            $publication,
            " AND r.holder = ",
            $holder,
            " AND r.at > ",
            $since,
            ")"
        )
    };
}

pub(super) use report_count;

const fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::Bytes => "bytes",
        Fault::Layer => "layer",
        Fault::Size => "size",
        Fault::Protocol => "protocol",
    }
}

/// The holder tells of the publication anew: what was reported before no longer counts, unless this repeats what it said
/// before the reports.
pub(super) async fn held_anew(
    tx: &mut Write,
    holder: &PeerId,
    publication: &Uuid,
) -> Result<(), StorageError> {
    for sql in [
        "DELETE FROM holder_reports WHERE publication = ? AND holder = ? AND resent = 0",
        "UPDATE holder_reports SET resent = 0 WHERE publication = ? AND holder = ?",
    ] {
        sqlx::query(sql)
            .bind(rows::blob(publication))
            .bind(holder.as_bytes().to_vec())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The holder drops the publication: what it says next of it is new.
pub(super) async fn dropped(tx: &mut Write, holder: &PeerId, publication: &Uuid) -> Result<(), StorageError> {
    sqlx::query("UPDATE holder_reports SET resent = 0 WHERE publication = ? AND holder = ?")
        .bind(rows::blob(publication))
        .bind(holder.as_bytes().to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The holder begins to send all of its index anew: of what it held wholly its next word is a repeat.
pub(super) async fn index_resent(tx: &mut Write, holder: &PeerId) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE holder_reports SET resent = 1 WHERE holder = ?1 AND EXISTS (SELECT 1 FROM holds h \
         WHERE h.peer = ?1 AND h.publication = holder_reports.publication AND h.state = 2)",
    )
    .bind(holder.as_bytes().to_vec())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets what the account reported.
pub(super) async fn forget_reports_of(tx: &mut Write, user: &Uuid) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM holder_reports WHERE reporter = ?")
        .bind(rows::blob(user))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn is_holder(tx: &mut Write, holder: &PeerId, publication: &Uuid) -> Result<bool, StorageError> {
    let row = sqlx::query("SELECT 1 FROM holds WHERE peer = ? AND publication = ?")
        .bind(holder.as_bytes().to_vec())
        .bind(rows::blob(publication))
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// Whether this account has reported that already.
async fn is_repeat(tx: &mut Write, reporter: &Uuid, report: &ReportRequest) -> Result<bool, StorageError> {
    let row =
        sqlx::query("SELECT 1 FROM holder_reports WHERE publication = ? AND holder = ? AND reporter = ?")
            .bind(rows::blob(&report.publication))
            .bind(report.holder.as_bytes().to_vec())
            .bind(rows::blob(reporter))
            .fetch_optional(&mut **tx)
            .await?;
    Ok(row.is_some())
}

async fn count_of(tx: &mut Write, reporter: &Uuid, since: i64) -> Result<u64, StorageError> {
    let row = sqlx::query("SELECT count(*) AS reports FROM holder_reports WHERE reporter = ? AND at > ?")
        .bind(rows::blob(reporter))
        .bind(since)
        .fetch_one(&mut **tx)
        .await?;
    rows::count(&row, "reports")
}

async fn store(
    tx: &mut Write,
    now: i64,
    reporter: &Uuid,
    report: &ReportRequest,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO holder_reports (publication, holder, reporter, fault, at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET fault = ?4, resent = 0, at = ?5",
    )
    .bind(rows::blob(&report.publication))
    .bind(report.holder.as_bytes().to_vec())
    .bind(rows::blob(reporter))
    .bind(word(report.fault))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whoever sees the publication is told, but not by whom the holder was reported.
async fn tell(
    tx: &mut Write,
    now: i64,
    of: &Publication,
    report: &ReportRequest,
) -> Result<(), StorageError> {
    let row = sqlx::query("SELECT owner FROM publications WHERE id = ?")
        .bind(rows::blob(&of.id))
        .fetch_one(&mut **tx)
        .await?;
    let what = What::Reported {
        publication: of.id,
        peer_id: report.holder,
        fault: report.fault,
    };
    tell_of(tx, now, rows::uuid(&row, "owner")?, of, &what).await
}

impl Sqlite {
    /// Reports from after this time count.
    pub(super) fn reports_since(&self) -> i64 {
        rows::millis(before(self.clock.now(), LIFETIME))
    }

    async fn store_report(
        &self,
        session: &Session,
        report: &ReportRequest,
        most: u64,
    ) -> Result<Reported, StorageError> {
        let mut tx = self.begin_for(session).await?;
        let found = sqlx::query(select!(" AND p.id = ?2"))
            .bind(rows::blob(&session.user))
            .bind(rows::blob(&report.publication))
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = found else {
            return Ok(Reported::NotVisible);
        };
        let publication = rows::publication(&row)?;
        if report.holder == session.peer || !is_holder(&mut tx, &report.holder, &report.publication).await? {
            return Ok(Reported::Ignored);
        }
        let again = is_repeat(&mut tx, &session.user, report).await?;
        if !again && count_of(&mut tx, &session.user, self.reports_since()).await? >= most {
            return Ok(Reported::TooMany);
        }
        let now = self.now();
        store(&mut tx, now, &session.user, report).await?;
        if !again {
            tell(&mut tx, now, &publication, report).await?;
        }
        tx.commit().await?;
        Ok(if again { Reported::Again } else { Reported::New })
    }
}

impl ReportStore for Sqlite {
    fn report<'a>(
        &'a self,
        session: &'a Session,
        request: &'a ReportRequest,
        most: u64,
    ) -> Reply<'a, Reported> {
        Box::pin(self.store_report(session, request, most))
    }
}
