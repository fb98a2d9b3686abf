//! Renews the certificate at half its life, and after its end as long as the session lives.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use p2p_proto::{API_LEVEL, Failure, FailureKind, rest::session::RenewRequest};

use super::session::{Session, Sessions};

/// When the certificate of this session is to be renewed: at half its life, earlier by a share of up to a tenth that
/// differs from peer to peer, so that they do not all come at once.
#[must_use]
pub fn due_at(session: &Session) -> Timestamp {
    let record = &session.record;
    let life = record.certificate_expires_at.as_second() - record.certified_at.as_second();
    let jitter = i64::from(record.user_id.as_bytes()[15] ^ record.cluster.as_bytes()[15]) * life / 10 / 256;
    let at = record.certified_at.as_second() + life / 2 - jitter;
    Timestamp::from_second(at).unwrap_or(record.certificate_expires_at)
}

/// Renews the certificate now when it is due. True when it was.
///
/// # Errors
/// `NotLoggedIn` when the session is over; else what the directory said: try again later.
pub async fn renew_if_due(sessions: &Sessions, session: &Arc<Session>) -> Result<bool, Failure> {
    let now = Timestamp::now();
    if due_at(session) > now {
        return Ok(false);
    }
    let csr = sessions
        .key()
        .request()
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
    let credentials = session
        .client
        .renew(RenewRequest {
            csr,
            api_level: API_LEVEL,
        })
        .await?;
    sessions.renewed(session.record.clone().renewed(credentials, now))?;
    tracing::info!(ACCOUNT = %session.record.user, "certificate renewed");
    Ok(true)
}

/// How long from now until the certificate is due; zero when it is.
#[must_use]
pub fn due_in(session: &Session) -> Duration {
    let seconds = due_at(session).as_second() - Timestamp::now().as_second();
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
