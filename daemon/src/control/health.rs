//! What is not well, one line each, with the command that mends it.

use jiff::Timestamp;
use p2p_proto::{ByteCount, Failure, v1::HealthLine};

use super::rpc::ControlRpc;
use crate::{identity::session::Session, store::Usage, transfer::progress::State};

/// A session or certificate this near its end is worth a line, in seconds.
const NEAR_END: i64 = 7 * 24 * 3600;

/// Clocks that differ by more than this are worth a line, in seconds.
const SKEW: i64 = 30;

/// A transfer that has waited for so long is worth a line, in seconds.
const STALLED: i64 = 10;

/// So many lines of one code; the rest is counted in one more.
const MAX_ALIKE: usize = 3;

fn line(level: &str, code: &str, message: String, fix: impl Into<String>) -> HealthLine {
    HealthLine {
        level: level.into(),
        code: code.into(),
        message,
        fix: fix.into(),
    }
}

/// Every line that holds now and this user may see: what names a file only those who may use the session.
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
    if rpc.acts(uid) {
        of_content(rpc, &mut lines).await?;
    }
    if let Some(session) = session {
        of_session(rpc, session, &mut lines);
    } else if let Some(reason) = rpc.sessions.why_ended() {
        let message = format!("not logged in: {reason}");
        lines.push(line("error", "session_ended", message, "p2pctl login"));
    }
    if usage.free_bytes == 0 {
        let message = format!("no space for more files in {}", usage.path.display());
        lines.push(line("warning", "disk_full", message, "p2pctl rm FILE"));
    }
    of_transfers(rpc, uid, &mut lines);
    Ok(lines)
}

/// What is damaged, and what the disk would not do.
async fn of_content(rpc: &ControlRpc, lines: &mut Vec<HealthLine>) -> Result<(), Failure> {
    let damaged = rpc.store.damaged().await?;
    for content in damaged.iter().take(MAX_ALIKE) {
        let name = match content.publications.first() {
            Some(file) => format!("{}/{}@{}", file.owner, file.name, file.version),
            None => content.hash.to_string(),
        };
        let message = format!("{name} is damaged: {}", content.reason);
        lines.push(line("error", "content_damaged", message, "p2pctl verify"));
    }
    more(
        lines,
        "error",
        "content_damaged",
        damaged.len(),
        "damaged files",
        "p2pctl verify",
    );
    let faults = rpc.store.faults();
    if let Some(last) = faults.last() {
        let message = format!("{} at {}; look at the disk", last.what, last.at);
        lines.push(line("warning", "store_fault", message, "sudo dmesg -T | tail"));
    }
    Ok(())
}

/// Which transfers nobody feeds.
fn of_transfers(rpc: &ControlRpc, uid: u32, lines: &mut Vec<HealthLine>) {
    let now = Timestamp::now();
    let stalled: Vec<_> = rpc
        .transfers
        .of_account()
        .into_iter()
        .filter(|transfer| rpc.sees(uid, transfer))
        .map(|transfer| (transfer.progress(), transfer))
        .filter(|(progress, _)| {
            matches!(progress.state, State::Waiting)
                && now.duration_since(progress.entered_at).as_secs() >= STALLED
        })
        .collect();
    for (progress, transfer) in stalled.iter().take(MAX_ALIKE) {
        let name = transfer.name().as_str();
        let reason = progress.reason.strip_prefix(name).unwrap_or(&progress.reason);
        let message = format!("{name} waits: {}", reason.trim_start_matches(": "));
        lines.push(line("warning", "transfer_stalled", message, "p2pctl transfers"));
    }
    let code = "transfer_stalled";
    more(
        lines,
        "warning",
        code,
        stalled.len(),
        "transfers wait",
        "p2pctl transfers",
    );
}

fn more(lines: &mut Vec<HealthLine>, level: &str, code: &str, all: usize, what: &str, fix: &str) {
    if let Some(rest) = all.checked_sub(MAX_ALIKE).filter(|rest| *rest > 0) {
        lines.push(line(level, code, format!("{rest} more {what}"), fix));
    }
}

fn of_session(rpc: &ControlRpc, session: &Session, lines: &mut Vec<HealthLine>) {
    let link = rpc.link.state();
    let record = &session.record;
    let now = Timestamp::now().as_second();
    let host = session.directory_host();
    if !link.reachable {
        let left = record.certificate_expires_at.as_second() - now;
        let message = format!(
            "{host} does not answer; this peer's certificate lasts {} h more",
            (left / 3600).max(0)
        );
        lines.push(line("warning", "directory_away", message, ""));
    }
    for address in &record.unreachable {
        let message = format!("{host} could not reach {address}");
        let fix = format!("sudo ufw allow {}/tcp", address.port());
        lines.push(line("warning", "port_unreachable", message, fix));
    }
    if link.reachable && link.skew_s.abs() > SKEW {
        let message = format!("this clock and {host}'s differ by {} s", link.skew_s.abs());
        lines.push(line(
            "warning",
            "clock_skew",
            message,
            "sudo timedatectl set-ntp true",
        ));
    }
    let left = record.session_expires_at.as_second() - now;
    if left < NEAR_END {
        let message = format!("the session ends in {} h", (left / 3600).max(0));
        lines.push(line("warning", "session_ends", message, "p2pctl login"));
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
