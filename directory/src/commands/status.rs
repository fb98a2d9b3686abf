//! `admin status`: what an admin looks at first.

use axum::http::Method;
use p2p_proto::{ByteCount, Failure};
use serde_json::json;

use super::{Outcome, runtime, table::time};
use crate::{
    admin::{
        client::AdminClient,
        types::{STATUS, Status},
    },
    config::Config,
};

pub(super) fn run(config: &Config) -> Result<Outcome, Failure> {
    let client = AdminClient::new(&config.admin_socket());
    let status: Status = runtime()?.block_on(client.call(Method::GET, STATUS))?;
    let mut json = json!(status);
    json["uptime_s"] = uptime(&status).into();
    Ok(Outcome {
        command: "admin.status",
        text: text(&status),
        json,
    })
}

/// Seconds since it started.
fn uptime(status: &Status) -> i64 {
    status.now.duration_since(status.started_at).as_secs().max(0)
}

/// The largest unit that it has two of.
fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn text(status: &Status) -> String {
    let day = |at| time(Some(at));
    let certificate = status.certificate_expires_at.map_or("none yet".to_owned(), |at| {
        format!("until {}; made anew before that", day(at))
    });
    let free = status
        .free_bytes
        .map_or(String::new(), |free| format!("; {} free", ByteCount(free)));
    [
        format!("p2p-directory {}   up {}", status.version, span(uptime(status))),
        format!("cluster      {}", status.cluster),
        format!("CA           {}", status.ca_fingerprint),
        format!("             until {}", day(status.ca_expires_at)),
        format!("certificate  {certificate}"),
        format!(
            "accounts     {}, {} disabled; groups: {}",
            status.accounts, status.accounts_disabled, status.groups
        ),
        format!(
            "peers        {} online of {} known, {} revoked; {} sessions",
            status.peers_online, status.peers_known, status.peers_revoked, status.sessions
        ),
        format!(
            "files        {} published, {} holds",
            status.publications, status.holds
        ),
        format!("events       {} kept", status.events),
        format!(
            "database     {}, {}{free}",
            status.database.display(),
            ByteCount(status.database_bytes)
        ),
        String::new(),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_of_their_unit() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
