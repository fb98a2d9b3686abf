//! `admin peer …`: peers of the directory that runs on this machine.

use axum::http::Method;
use p2p_proto::Failure;
use serde_json::json;

use super::{
    Outcome, runtime,
    table::{names, table, time},
};
use crate::{
    admin::{
        client::AdminClient,
        types::{PEERS, Peer, Peers, Revoked},
    },
    cli::PeerCommand,
    config::Config,
};

pub(super) fn run(config: &Config, command: PeerCommand) -> Result<Outcome, Failure> {
    let client = AdminClient::new(&config.admin_socket());
    runtime()?.block_on(call(&client, command))
}

async fn call(client: &AdminClient, command: PeerCommand) -> Result<Outcome, Failure> {
    match command {
        PeerCommand::List => Ok(list(&client.call(Method::GET, PEERS).await?)),
        PeerCommand::Revoke { peer } => {
            let done: Revoked = client
                .call(Method::POST, &format!("{PEERS}/{peer}/revoke"))
                .await?;
            let text = if done.changed {
                format!(
                    "Revoked {} ({}): its session has ended, and every other peer refuses it with its next ping.\n",
                    done.name, done.peer_id
                )
            } else {
                format!("{} ({}) is revoked already.\n", done.name, done.peer_id)
            };
            Ok(outcome("admin.peer.revoke", text, &done))
        }
        PeerCommand::Allow { peer } => {
            let done: Revoked = client
                .call(Method::POST, &format!("{PEERS}/{peer}/allow"))
                .await?;
            let text = if done.changed {
                format!("{} ({}) may log in again.\n", done.name, done.peer_id)
            } else {
                format!("{} ({}) is not revoked.\n", done.name, done.peer_id)
            };
            Ok(outcome("admin.peer.allow", text, &done))
        }
    }
}

fn outcome(command: &'static str, text: String, done: &Revoked) -> Outcome {
    Outcome {
        command,
        text,
        json: json!(done),
    }
}

/// What the peer may do now.
fn state(peer: &Peer) -> &'static str {
    match (peer.revoked_at, peer.online, peer.session_expires_at) {
        (Some(_), _, _) => "revoked",
        (None, true, _) => "online",
        (None, false, Some(_)) => "offline",
        (None, false, None) => "logged out",
    }
}

fn list(peers: &Peers) -> Outcome {
    let rows: Vec<_> = peers
        .peers
        .iter()
        .map(|peer| {
            [
                peer.name.to_string(),
                peer.user.as_ref().map_or("-".to_owned(), ToString::to_string),
                state(peer).to_owned(),
                time(peer.last_seen_at),
                time(peer.session_expires_at),
                time(peer.certificate_expires_at),
                names(&peer.addresses),
                peer.peer_id.to_string(),
            ]
        })
        .collect();
    let headings = [
        "NAME",
        "USER",
        "STATE",
        "LAST SEEN",
        "SESSION UNTIL",
        "CERTIFICATE UNTIL",
        "ADDRESSES",
        "ID",
    ];
    Outcome {
        command: "admin.peer.list",
        text: table(headings, &rows),
        json: json!(peers),
    }
}
