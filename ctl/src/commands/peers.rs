//! `peers`: every peer that this user may see.

use p2p_proto::{
    ByteCount,
    v1::{PeerInfo, PeersRequest},
};

use crate::{
    context::Context,
    exit::Stop,
    output::{json, table, time},
};

/// Shows the peers.
pub(crate) async fn run(ctx: &Context) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.peers(PeersRequest {}).await;
    let peers = answer.map_err(|status| daemon.failure(status))?.into_inner();
    if ctx.out.is_json() {
        return ctx.out.json("peers", &json::Peers::from(peers));
    }
    if peers.peers.is_empty() {
        ctx.out.note("No peer is known.");
        return Ok(());
    }
    let head = ["NAME", "USER", "ADDRESS", "ONLINE/LAST SEEN", "FILES", "FREE"];
    ctx.out
        .table(&table::lines(head, peers.peers.into_iter().map(row)))
}

fn row(peer: PeerInfo) -> [String; 6] {
    let seen = match peer.online {
        true => "online".to_owned(),
        false => time::ago(&peer.last_seen_at),
    };
    [
        peer.name,
        peer.user,
        peer.addresses.join(", "),
        seen,
        peer.files.to_string(),
        peer.free_bytes
            .map_or_else(String::new, |bytes| ByteCount(bytes).to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_left_open() {
        let peer = PeerInfo {
            name: "gpu3".into(),
            user: "ana".into(),
            ..PeerInfo::default()
        };
        let lines = table::lines(["N", "U", "A", "S", "F", "R"], [row(peer)]);
        assert_eq!(lines[1], "gpu3  ana  -  never  0  -");
    }
}
