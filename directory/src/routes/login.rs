//! `POST /login`: an account and its password for a session and a certificate of the peer's key.

use axum::{Extension, Json, extract::State};
use p2p_proto::{
    UserName,
    rest::{
        problem::ProblemKind,
        session::{LoginRequest, LoginResponse},
    },
};
use zeroize::Zeroizing;

use super::{
    Shared, admit, agree_level, auth,
    body::{Answer, JsonBody},
    check_addresses, dial, millis, too_many,
};
use crate::{
    accounts::password::MAX_PASSWORD,
    ca::issue::ProvenKey,
    problem::ApiError,
    rate::Source,
    state::{self, ClientAddress},
    storage::{Account, NewSession},
};

pub(super) async fn post(
    State(state): Shared,
    Extension(from): Extension<ClientAddress>,
    JsonBody(mut request): JsonBody<LoginRequest>,
) -> Answer<LoginResponse> {
    let password = Zeroizing::new(std::mem::take(&mut request.password));
    let api_level = agree_level(request.api_level)?;
    check_addresses(&state, &request.addresses)?;
    admit(&state, Source::at(from.ip()))?;
    let account = check_password(&state, from, &request.user, password).await?;
    let key = ProvenKey::from_csr(&request.csr)?;
    let answered = dial::dial_back(&request.addresses).await;
    let (certificate, session_end) = state.certify(&key, account.id)?;
    let (session_token, token_hash) = auth::new_token()?;
    let session = NewSession {
        token_hash,
        user: account.id,
        peer: key.peer(),
        peer_name: request.peer_name,
        addresses: request.addresses,
        expires_at: session_end,
        certificate_expires_at: certificate.expires_at,
        lease_until: state.lease_until(),
    };
    let peer_name = state.storage.log_in(session).await?.peer_name;
    state.leases.renewed();
    tracing::info!(account = %account.name, peer = %peer_name, peer_id = %key.peer().short(), from = %from.ip(),
        "{} logged in on {peer_name}", account.name);
    let liveness = state.settings().liveness;
    Ok(Json(LoginResponse {
        session_token,
        user: account.name,
        user_id: account.id,
        cluster: state.cluster,
        peer_id: key.peer(),
        peer_name,
        answered,
        ping_interval_ms: millis(liveness.ping_interval),
        lease_ms: millis(liveness.lease),
        api_level,
        credentials: state.credentials(certificate, session_end),
    }))
}

/// The account, when the password is its own. An unknown, a disabled and a known one cost the same and are refused with
/// the same words.
async fn check_password(
    state: &state::State,
    from: ClientAddress,
    user: &str,
    password: Zeroizing<String>,
) -> Result<Account, ApiError> {
    if !(1..=MAX_PASSWORD).contains(&password.len()) {
        let detail = format!("a password has 1 to {MAX_PASSWORD} bytes");
        return Err(ApiError::new(ProblemKind::Invalid, detail));
    }
    let attempt = state
        .throttle
        .begin(user, from.ip(), state.clock.now())
        .map_err(|wait| too_many("failed logins", wait))?;
    let account = match user.parse::<UserName>() {
        Ok(name) => state
            .storage
            .user(&name)
            .await?
            .filter(|account| !account.disabled),
        Err(_) => None,
    };
    let known = account.as_ref().map(|account| account.password_hash.clone());
    let fits = state.passwords.verify(password, known).await?;
    match account.filter(|_| fits) {
        Some(account) => {
            attempt.succeeded();
            Ok(account)
        }
        None => {
            let wait = attempt.failed(state.clock.now());
            // What was typed as a user may be a password in the wrong field: only a known form of it is logged.
            let shown = user
                .parse::<UserName>()
                .map_or("(no account name)".to_owned(), |name| name.to_string());
            tracing::warn!(account = %shown, from = %from.ip(), "a login was refused");
            let detail = format!(
                "the user name or password is wrong. Next try in {} s",
                wait.seconds
            );
            Err(ApiError::new(ProblemKind::BadCredentials, detail).retry_after(wait))
        }
    }
}
