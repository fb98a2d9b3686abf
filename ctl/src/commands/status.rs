//! `status`: daemon, session, directory, store, transfers and health on one screen.

use jiff::Timestamp;
use p2p_proto::{
    ByteCount,
    v1::{HealthLine, StatusRequest, StatusResponse, StoreStatus},
};

use crate::{
    context::Context,
    exit::Stop,
    output::{Paint, json, one_line, progress::rate, time},
};

/// Shows the screen; logged out is success.
pub(crate) async fn run(ctx: &Context) -> Result<(), Stop> {
    let mut daemon = ctx.connect().await?;
    let answer = daemon.client.status(StatusRequest {}).await;
    let status = answer.map_err(|status| daemon.failure(status))?.into_inner();
    if ctx.out.is_json() {
        return ctx.out.json("status", &json::Status::from(status));
    }
    for line in lines(&status, Timestamp::now()) {
        ctx.out.line(line)?;
    }
    ctx.out.line(ctx.out.paint(Paint::Bold, "# Health"))?;
    for line in &status.health {
        let level = match line.level.as_str() {
            "error" => ctx.out.paint(Paint::Red, "error"),
            "warning" => ctx.out.paint(Paint::Yellow, "warning"),
            other => one_line(other),
        };
        let blank = " ".repeat(9_usize.saturating_sub(line.level.chars().count()).max(2));
        ctx.out.line(format_args!("{level}{blank}{}", health(line)))?;
    }
    if status.health.is_empty() {
        ctx.out.line("ok")?;
    }
    Ok(())
}

fn lines(status: &StatusResponse, now: Timestamp) -> [String; 4] {
    let version = format!("p2pd {}", one_line(&status.version));
    [
        labelled(&version, &daemon(status, now)),
        labelled("directory", &directory(status, now)),
        labelled("store", &store(&status.store.clone().unwrap_or_default())),
        labelled(
            "transfers",
            &format!(
                "{} active, {} queued; down {}, up {}",
                status.active_transfers,
                status.queued_transfers,
                rate(status.download_rate),
                rate(status.upload_rate)
            ),
        ),
    ]
}

fn labelled(label: &str, text: &str) -> String {
    format!("{label:<10}   {}", one_line(text))
}

fn daemon(status: &StatusResponse, now: Timestamp) -> String {
    let mut parts = vec![status.peer_name.clone()];
    parts.extend(time::parse(&status.started_at).map(|start| format!("up {}", time::age(start, now))));
    parts.push(match &status.session {
        Some(session) => format!(
            "logged in as {} until {}",
            session.user,
            time::day(&session.session_expires_at)
        ),
        None => "not logged in: p2pctl login".to_owned(),
    });
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

fn directory(status: &StatusResponse, now: Timestamp) -> String {
    let directory = status.directory.clone().unwrap_or_default();
    let name = match &status.session {
        Some(session) if !session.directory.is_empty() => session.directory.clone(),
        _ => directory.urls.join(", "),
    };
    if name.is_empty() {
        return "none yet".to_owned();
    }
    let last = time::parse(&directory.last_ping_at).map(|last| time::age(last, now));
    if status.session.is_none() {
        return name;
    }
    match (directory.reachable, last) {
        (true, Some(age)) => format!("{name}, answered {age} ago"),
        (true, None) => format!("{name}, answers"),
        (false, Some(age)) => format!("{name}, does not answer; last answer {age} ago"),
        (false, None) => format!("{name}, has not answered yet"),
    }
}

fn store(store: &StoreStatus) -> String {
    let word = if store.files == 1 { "file" } else { "files" };
    let mut text = format!("{} {word}, {}", store.files, ByteCount(store.bytes));
    if store.partial_files > 0 {
        text.push_str(&format!(", {} partial", store.partial_files));
    }
    text.push_str(&format!("; {} free", ByteCount(store.free_bytes)));
    if let Some(max) = store.max_bytes {
        text.push_str(&format!("; at most {}", ByteCount(max)));
    }
    text
}

fn health(line: &HealthLine) -> String {
    let text = match line.fix.as_str() {
        "" => line.message.clone(),
        fix => format!("{}; {fix}", line.message),
    };
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use p2p_proto::v1::{DirectoryStatus, Session};

    use super::*;

    fn sample() -> StatusResponse {
        StatusResponse {
            version: "0.1.0".into(),
            peer_name: "gpu3".into(),
            started_at: "2026-11-21T09:59:00Z".into(),
            session: Some(Session {
                user: "ana".into(),
                directory: "https://dir.lab:7400".into(),
                session_expires_at: "2027-02-19T10:00:00Z".into(),
                ..Session::default()
            }),
            directory: Some(DirectoryStatus {
                urls: vec!["https://dir.lab:7400".into()],
                reachable: true,
                last_ping_at: "2026-11-21T11:59:57Z".into(),
            }),
            store: Some(StoreStatus {
                files: 1,
                bytes: 4_402_341_478,
                free_bytes: 1_319_413_953_331,
                ..StoreStatus::default()
            }),
            active_transfers: 1,
            upload_rate: 940 << 20,
            ..StatusResponse::default()
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn the_screen_is_as_promised() {
        assert_eq!(
            lines(&sample(), now()),
            [
                "p2pd 0.1.0   gpu3, up 2 h, logged in as ana until 2027-02-19",
                "directory    https://dir.lab:7400, answered 3 s ago",
                "store        1 file, 4.1 GiB; 1.2 TiB free",
                "transfers    1 active, 0 queued; down 0, up 940 MiB/s",
            ]
        );
        let line = HealthLine {
            level: "warning".into(),
            code: "port_unreachable".into(),
            message: "gpu7: port 7401 timed out".into(),
            fix: "on gpu7: sudo ufw allow 7401/tcp".into(),
        };
        assert_eq!(
            health(&line),
            "gpu7: port 7401 timed out; on gpu7: sudo ufw allow 7401/tcp"
        );
    }

    #[test]
    fn logged_out_says_what_to_do() {
        let status = StatusResponse {
            session: None,
            directory: None,
            ..sample()
        };
        let [daemon, directory, ..] = lines(&status, now());
        assert_eq!(daemon, "p2pd 0.1.0   gpu3, up 2 h, not logged in: p2pctl login");
        assert_eq!(directory, "directory    none yet");
    }
}
