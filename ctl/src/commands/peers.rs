//! `peers`: every peer that this user may see.

use p2p_proto::{
    ByteCount,
    v1::{PeerInfo, PeersRequest},
};

use crate::{
    context::Context,
    exit::Stop,
    output::{json, table::Column, time},
};

const COLUMNS: [Column; 6] = [
    Column::name("NAME"),
    Column::name("USER").spare(1),
    Column::name("ADDRESS").spare(3),
    Column::text("ONLINE/LAST SEEN"),
    Column::number("FILES").spare(2),
    Column::number("FREE").spare(1),
];

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
    ctx.out.table(&COLUMNS, peers.peers.into_iter().map(row))
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
    use crate::output::table::{self, View};

    #[test]
    fn what_is_unknown_is_left_open() {
        let peer = PeerInfo {
            name: "gpu3".into(),
            user: "ana".into(),
            ..PeerInfo::default()
        };
        let lines = table::lines(&COLUMNS, [row(peer)], View::default());
        assert_eq!(lines[1], "gpu3  ana   -        never                 0     -");
    }
}
