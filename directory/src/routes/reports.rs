//! `POST /reports`: a holder gave what is not the content. A report of a peer that is not known to hold the publication,
//! or of the caller itself, is answered like any other and not kept: the holder may have dropped it a moment ago.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};
use p2p_proto::rest::{problem::ProblemKind, reports::ReportRequest};

use super::{Shared, auth::Caller, body::JsonBody, too_many};
use crate::{accounts::throttle::Wait, problem::ApiError, rate::Pace, resolve::not_found, storage::Reported};

/// How often one account reports: a download names each bad holder once.
const PACE: Pace = Pace {
    every: Duration::from_secs(1),
    at_once: 60,
};

/// When an account that has the most reports there may be tries again.
const FULL: Wait = Wait { seconds: 3600 };

pub(super) async fn post(
    State(state): Shared,
    Caller(session): Caller,
    JsonBody(report): JsonBody<ReportRequest>,
) -> Result<StatusCode, ApiError> {
    let admitted = state.reports.admit(session.user, PACE, state.clock.now());
    admitted.map_err(|wait| too_many("reports", wait))?;
    let most = state.settings().limits.reports_per_account;
    match state.storage.report(&session, &report, most).await? {
        Reported::New => {
            tracing::warn!(ACCOUNT = %session.user_name, PEER = %report.holder, PEER_ID = %report.holder,
            publication = %report.publication, fault = ?report.fault,
            "{} reports {}: {:?}", session.user_name, report.holder.short(), report.fault);
        }
        Reported::Again | Reported::Ignored => {}
        Reported::NotVisible => return Err(not_found(&session, &format!("id:{}", report.publication))),
        Reported::TooMany => {
            let detail = format!(
                "{} has {most} reports that count, the most there may be",
                session.user_name
            );
            return Err(ApiError::new(ProblemKind::TooMany, detail).retry_after(FULL));
        }
    }
    Ok(StatusCode::NO_CONTENT)
}
