//! How much there is, on SQLite.

use super::{Sqlite, rows};
use crate::storage::{FigureStore, Figures, Overview, Reply};

impl FigureStore for Sqlite {
    fn overview(&self) -> Reply<'_, Overview> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT (SELECT count(*) FROM users) AS accounts, \
                 (SELECT count(*) FROM leases WHERE expires_at > ?1) AS peers_online, \
                 (SELECT count(*) FROM (SELECT 1 FROM publications WHERE withdrawn_at IS NULL \
                  GROUP BY owner, name)) AS files",
            )
            .bind(self.now())
            .fetch_one(&self.readers)
            .await?;
            let count = |column| rows::count(&row, column);
            Ok(Overview {
                accounts: count("accounts")?,
                peers_online: count("peers_online")?,
                files: count("files")?,
            })
        })
    }

    fn figures(&self) -> Reply<'_, Figures> {
        Box::pin(async move {
            let row = sqlx::query(
                "SELECT (SELECT count(*) FROM users) AS accounts, \
                 (SELECT count(*) FROM users WHERE disabled = 1) AS accounts_disabled, \
                 (SELECT count(*) FROM groups) AS groups, \
                 (SELECT count(*) FROM leases WHERE expires_at > ?1) AS peers_online, \
                 (SELECT count(*) FROM peers) AS peers_known, \
                 (SELECT count(*) FROM revoked_peers) AS peers_revoked, \
                 (SELECT count(*) FROM sessions s JOIN users u ON u.id = s.user \
                  WHERE s.expires_at > ?1 AND u.disabled = 0) AS sessions, \
                 (SELECT count(*) FROM (SELECT 1 FROM publications WHERE withdrawn_at IS NULL \
                  GROUP BY owner, name)) AS files, \
                 (SELECT count(*) FROM publications WHERE withdrawn_at IS NULL) AS publications, \
                 (SELECT count(*) FROM holds) AS holds, (SELECT count(*) FROM events) AS events",
            )
            .bind(self.now())
            .fetch_one(&self.readers)
            .await?;
            let count = |column| rows::count(&row, column);
            Ok(Figures {
                accounts: count("accounts")?,
                accounts_disabled: count("accounts_disabled")?,
                groups: count("groups")?,
                peers_online: count("peers_online")?,
                peers_known: count("peers_known")?,
                peers_revoked: count("peers_revoked")?,
                sessions: count("sessions")?,
                files: count("files")?,
                publications: count("publications")?,
                holds: count("holds")?,
                events: count("events")?,
                database_bytes: self.bytes(),
                database: self.file.clone(),
            })
        })
    }
}
