//! What of the daemon must answer before its service manager hears that it lives.

use std::{io, path::PathBuf};

use p2p_service::watchdog::Watchdog;
use tokio::{io::AsyncReadExt, net::UnixStream};

use crate::control::rpc::ControlRpc;

/// What must answer while it runs: the store's database, and whoever accepts at the control socket until the stop begins. It
/// speaks first, and does not mind a visitor who leaves.
#[must_use]
pub fn watchdog(rpc: &ControlRpc, socket: Option<PathBuf>) -> Watchdog {
    let store = rpc.store.clone();
    let soft = rpc.lifecycle.soft().clone();
    let watchdog = Watchdog::default().over("the store's database", move || {
        let store = store.clone();
        async move { Ok(store.answers().await?) }
    });
    let Some(socket) = socket else {
        return watchdog;
    };
    watchdog.over("the control socket", move || {
        let (socket, soft) = (socket.clone(), soft.clone());
        async move {
            let visit = async {
                let mut stream = match UnixStream::connect(socket).await {
                    // Somebody took the name away: nothing hangs.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    connected => connected?,
                };
                stream.read_u8().await?;
                Ok(())
            };
            soft.run_until_cancelled(visit).await.unwrap_or(Ok(()))
        }
    })
}
