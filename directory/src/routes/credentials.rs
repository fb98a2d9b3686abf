//! An account's name and its password, as a login and a change of the password show them. Guessing is slowed down for both
//! alike.

use p2p_proto::{UserName, rest::problem::ProblemKind};
use zeroize::Zeroizing;

use super::too_many;
use crate::{
    accounts::password::MAX_PASSWORD,
    problem::ApiError,
    state::{self, ClientAddress},
    storage::Account,
};

const WRONG: &str = "the user name or password is wrong";

/// The account, when the password is its own. An unknown, a disabled and a known one cost the same and are refused with
/// the same words.
pub(super) async fn check(
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
            tracing::info!(ACCOUNT = %shown, from = %from.ip(), "a login was refused");
            let detail = format!("{WRONG}. Next try in {} s", wait.seconds);
            Err(ApiError::new(ProblemKind::BadCredentials, detail).retry_after(wait))
        }
    }
}

/// They were right when [`check`] looked, and are not any more.
pub(super) fn outdated() -> ApiError {
    ApiError::new(ProblemKind::BadCredentials, WRONG)
}
