//! What is not well, one line each, with the command that mends it. Nothing is kept: each question looks anew.

mod code;
mod machine;
mod network;
mod session;
mod store;
mod watch;

use jiff::Timestamp;
use p2p_proto::{ByteCount, Failure, v1::HealthLine};

pub use self::{code::Code, watch::watch_task};
use super::rpc::ControlRpc;
use crate::{identity::session::Session, store::Usage};

/// So many lines of one code; the rest is counted in one more.
const MAX_ALIKE: usize = 3;

/// Every line that holds now and this user may see: what names a file or a peer only those who may use the session.
///
/// # Errors
/// When the store cannot be asked.
pub async fn lines(
    rpc: &ControlRpc,
    uid: u32,
    session: Option<&Session>,
    usage: &Usage,
) -> Result<Vec<HealthLine>, Failure> {
    let mut lines = Vec::new();
    machine::lines(&rpc.config.now(), &mut lines).await;
    if rpc.acts(uid) {
        store::of_content(&rpc.store, &mut lines).await?;
    }
    match session {
        Some(session) => session::lines(session, &rpc.link.state(), Timestamp::now(), &mut lines),
        None => {
            if let Some(why) = rpc.sessions.why_ended().filter(|_| rpc.acts(uid)) {
                lines.push(session::ended(&rpc.sessions, why));
            }
        }
    }
    if rpc.acts(uid) {
        network::of_peers(rpc.sessions.dials(), &mut lines);
    }
    store::of_room(usage, &mut lines);
    network::of_transfers(rpc, uid, &mut lines);
    network::of_limits(rpc, uid, &mut lines);
    Ok(lines)
}

/// Of more lines of one code than are told the rest is counted.
fn more(lines: &mut Vec<HealthLine>, code: Code, all: usize, what: &str, fix: &str) {
    if let Some(rest) = all.checked_sub(MAX_ALIKE).filter(|rest| *rest > 0) {
        lines.push(code.line(format!("{rest} more {what}"), fix));
    }
}

/// How a store's room reads in a log line.
pub fn room(usage: &Usage) -> String {
    format!(
        "{} files, {}; {} free",
        usage.files,
        ByteCount(usage.bytes),
        ByteCount(usage.free_bytes)
    )
}
