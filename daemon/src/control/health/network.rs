//! Health of what goes between peers: those that could not be dialled, transfers that nobody feeds, bytes that are held
//! back.

use jiff::Timestamp;
use p2p_proto::v1::HealthLine;

use super::{Code, MAX_ALIKE, more};
use crate::{
    control::rpc::ControlRpc,
    peer::dials::{Dials, How},
    transfer::{
        Transfers,
        limits::{Way, said},
        progress::State,
    },
};

/// A transfer that has waited for so long is worth a line, in seconds.
const STALLED: i64 = 10;

/// Peers that could not be dialled lately. Names them.
pub(super) fn of_peers(dials: &Dials, lines: &mut Vec<HealthLine>) {
    let failed = dials.failed();
    for peer in failed.iter().take(MAX_ALIKE) {
        let (name, port) = (&peer.name, peer.port);
        let (message, fix) = match peer.how {
            How::TimedOut => (
                format!("{name}: port {port} timed out"),
                format!("on {name}: sudo ufw allow {port}/tcp"),
            ),
            How::Refused => (
                format!("{name}: port {port} refused the connection"),
                format!("on {name}: sudo systemctl start p2pd"),
            ),
        };
        lines.push(Code::PeerUnreachable.line(message, fix));
    }
    more(
        lines,
        Code::PeerUnreachable,
        failed.len(),
        "peers cannot be reached",
        "p2pctl peers",
    );
}

/// Which transfers nobody feeds, of those that this user sees.
pub(super) fn of_transfers(rpc: &ControlRpc, uid: u32, lines: &mut Vec<HealthLine>) {
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
        lines.push(Code::TransferStalled.line(message, "p2pctl transfers"));
    }
    more(
        lines,
        Code::TransferStalled,
        stalled.len(),
        "transfers wait",
        "p2pctl transfers",
    );
}

/// Limits that hold bytes back: those of all, and of the transfers that this user sees.
pub(super) fn of_limits(rpc: &ControlRpc, uid: u32, lines: &mut Vec<HealthLine>) {
    let limits = rpc.transfers.limits();
    let (up, down) = (limits.up(), limits.down());
    if up.is_some() || down.is_some() {
        let message = format!("limits: up {}, down {}", said(up), said(down));
        let lift = [(up, " --up unlimited"), (down, " --down unlimited")];
        let lift = lift.into_iter().filter(|(rate, _)| rate.is_some());
        let fix: String = lift.map(|(_, flag)| flag).collect();
        lines.push(Code::LimitsInForce.line(message, format!("p2pctl limit{fix}")));
    }
    let mut limited = rpc.transfers.of_account();
    limited.retain(|transfer| {
        transfer.limit().is_some() && !transfer.progress().state.is_final() && rpc.sees(uid, transfer)
    });
    for transfer in limited.iter().take(MAX_ALIKE) {
        let (id, name) = (transfer.id, transfer.name());
        let message = format!("limit of transfer {id}, {name}: {}", said(transfer.limit()));
        let way = match Transfers::way(transfer) {
            Some(Way::Up) => "--up",
            _ => "--down",
        };
        let fix = format!("p2pctl limit {way} unlimited {id}");
        lines.push(Code::LimitsInForce.line(message, fix));
    }
    more(
        lines,
        Code::LimitsInForce,
        limited.len(),
        "transfers are limited",
        "p2pctl transfers",
    );
}
