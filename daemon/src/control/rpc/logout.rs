//! `Logout`.

use p2p_proto::{Failure, v1::LogoutResponse};

use super::ControlRpc;
use crate::identity::login;

/// Ends the session.
pub async fn logout(rpc: &ControlRpc) -> Result<LogoutResponse, Failure> {
    let directory_told = login::logout(&rpc.sessions).await?;
    Ok(LogoutResponse { directory_told })
}
