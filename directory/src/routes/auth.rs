//! Who asks: the bearer token of a session that lives.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{header::AUTHORIZATION, request::Parts},
};
use data_encoding::BASE64URL_NOPAD;
use p2p_proto::{peer_id::sha256, rest::problem::ProblemKind};
use zeroize::Zeroizing;

use super::admit;
use crate::{
    ca::{CaError, random},
    problem::{ApiError, session_ended},
    rate::Source,
    state::{ClientAddress, State},
    storage,
};

/// The session of the request.
pub(super) struct Caller(pub(super) storage::Session);

impl FromRequestParts<Arc<State>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, ApiError> {
        let hash = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(bearer)
            .ok_or_else(|| ApiError::new(ProblemKind::NoSession, "this needs a session: log in"))?;
        if let Some(session) = state.storage.session(hash).await? {
            admit(state, Source::Peer(session.peer))?;
            return Ok(Self(session));
        }
        // Tokens are not to be guessed.
        if let Some(from) = parts.extensions.get::<ClientAddress>() {
            admit(state, Source::at(from.ip()))?;
        }
        Err(session_ended(state.storage.why_ended(hash).await?))
    }
}

/// The hash of the token in the header.
fn bearer(header: &str) -> Option<[u8; 32]> {
    let (scheme, token) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let token = Zeroizing::new(BASE64URL_NOPAD.decode(token.trim().as_bytes()).ok()?);
    (token.len() == 32).then(|| sha256(&token))
}

/// A new token and its hash, which is all that is kept.
pub(super) fn new_token() -> Result<(String, [u8; 32]), CaError> {
    let mut token = Zeroizing::new([0; 32]);
    random(token.as_mut_slice())?;
    Ok((BASE64URL_NOPAD.encode(token.as_slice()), sha256(token.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_token_is_read() {
        let (token, hash) = new_token().unwrap();
        assert_eq!(bearer(&format!("Bearer {token}")), Some(hash));
        assert_eq!(bearer(&format!("bearer {token}")), Some(hash));
        for bad in [
            token.as_str(),
            "Bearer ",
            "Bearer x",
            &format!("Basic {token}"),
            &format!("Bearer {token}AAAA"),
        ] {
            assert_eq!(bearer(bad), None);
        }
    }
}
