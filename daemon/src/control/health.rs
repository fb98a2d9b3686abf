//! What is not well, one line each, with the command that mends it.

use jiff::Timestamp;
use p2p_proto::{ByteCount, v1::HealthLine};

use super::rpc::ControlRpc;
use crate::{identity::session::Session, store::Usage};

/// A session or certificate this near its end is worth a line, in seconds.
const NEAR_END: i64 = 7 * 24 * 3600;

/// Clocks that differ by more than this are worth a line, in seconds.
const SKEW: i64 = 30;

fn line(level: &str, code: &str, message: String, fix: impl Into<String>) -> HealthLine {
    HealthLine {
        level: level.into(),
        code: code.into(),
        message,
        fix: fix.into(),
    }
}

/// Every line that holds now.
pub fn lines(rpc: &ControlRpc, session: Option<&Session>, usage: &Usage) -> Vec<HealthLine> {
    let mut lines = Vec::new();
    if let Some(session) = session {
        of_session(rpc, session, &mut lines);
    }
    if usage.free_bytes == 0 {
        let message = format!("no space for more files in {}", usage.path.display());
        lines.push(line("warning", "disk_full", message, "p2pctl rm FILE"));
    }
    lines
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
