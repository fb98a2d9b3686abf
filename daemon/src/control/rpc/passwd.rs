//! `Passwd`: changes the account's password at the directory. Neither password is kept or logged here.

use std::mem;

use p2p_proto::{
    Failure, FailureKind,
    rest::session::PasswordRequest,
    v1::{PasswdRequest, PasswdResponse},
};

use super::ControlRpc;

/// Changes the password.
pub async fn passwd(rpc: &ControlRpc, mut request: PasswdRequest) -> Result<PasswdResponse, Failure> {
    let session = rpc.sessions.require()?;
    if request.new_password.is_empty() {
        return Err(Failure::new(FailureKind::Usage, "the new password is empty"));
    }
    let body = PasswordRequest {
        old: mem::take(&mut request.old_password).into(),
        new: mem::take(&mut request.new_password).into(),
    };
    session.client.change_password(body).await?;
    let user = session.record.user.to_string();
    tracing::info!(
        own = tracing::field::Empty,
        ACCOUNT = user,
        "the password of {user} was changed"
    );
    Ok(PasswdResponse { user })
}
