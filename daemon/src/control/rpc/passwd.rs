//! `Passwd`: changes the account's password at the directory. Neither password is kept or logged here.

use p2p_proto::{
    Failure, FailureKind,
    rest::session::PasswordRequest,
    v1::{PasswdRequest, PasswdResponse},
};
use zeroize::Zeroizing;

use super::ControlRpc;

/// Changes the password.
pub async fn passwd(rpc: &ControlRpc, request: PasswdRequest) -> Result<PasswdResponse, Failure> {
    let (old, new) = (
        Zeroizing::new(request.old_password),
        Zeroizing::new(request.new_password),
    );
    let session = rpc.sessions.require()?;
    if new.is_empty() {
        return Err(Failure::new(FailureKind::Usage, "the new password is empty"));
    }
    let body = PasswordRequest {
        old: old.to_string(),
        new: new.to_string(),
    };
    session.client.change_password(body).await?;
    let user = session.record.user.to_string();
    tracing::info!(ACCOUNT = user, "the password of {user} was changed");
    Ok(PasswdResponse { user })
}
