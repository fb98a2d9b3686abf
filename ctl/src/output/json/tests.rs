//! The JSON that scripts rely on, field by field.

mod documented;
mod files;
mod managing;
mod moving;

use p2p_proto::v1;
use serde_json::{Value, json};

use super::*;

fn value<T: Serialize>(command: &str, body: &T) -> Value {
    let text = text(command, body);
    assert!(text.starts_with("{\"schema\":"), "{text}");
    assert!(!text.contains('\n'));
    serde_json::from_str(&text).unwrap()
}

fn publication() -> v1::Publication {
    v1::Publication {
        id: "id".into(),
        owner: "ana".into(),
        name: "scan.tar".into(),
        version: 1,
        hash: "5c0a".into(),
        size: 7,
        visibility: "public".into(),
        published_at: "2026-11-21T12:00:00Z".into(),
    }
}

fn session() -> v1::Session {
    v1::Session {
        user: "ana".into(),
        peer_id: "ab".into(),
        peer_name: "ws1".into(),
        directory: "https://dir.lab:7400".into(),
        ca_fingerprint: "sha256:9f".into(),
        session_expires_at: "2027-02-19T12:00:00Z".into(),
        certificate_expires_at: "2026-11-28T12:00:00Z".into(),
    }
}

#[test]
fn errors() {
    let failure = Failure::new(FailureKind::NotFound, "no").hint("p2pctl search no");
    assert_eq!(
        value("error", &Error::from(&failure)),
        json!({"schema": "p2pctl.error/1", "code": 6, "kind": "not_found", "message": "no",
               "hint": "p2pctl search no"})
    );
    let failure = Failure::new(FailureKind::Ambiguous, "two").candidates(vec!["a/x@1".into()]);
    assert_eq!(
        value("error", &Error::from(&failure)),
        json!({"schema": "p2pctl.error/1", "code": 11, "kind": "ambiguous", "message": "two", "hint": null,
               "candidates": ["a/x@1"]})
    );
}

#[test]
fn sessions() {
    assert_eq!(
        value("whoami", &Whoami::from(session())),
        json!({"schema": "p2pctl.whoami/1", "user": "ana", "peer_id": "ab", "peer_name": "ws1",
               "directory": "https://dir.lab:7400", "expires_at": "2027-02-19T12:00:00Z"})
    );
    let addresses = vec![v1::Reachability {
        address: "10.0.0.4:7401".into(),
        reachable: true,
    }];
    assert_eq!(
        value("login", &Login::new(session(), addresses)),
        json!({"schema": "p2pctl.login/1", "user": "ana", "peer_id": "ab", "peer_name": "ws1",
               "directory": "https://dir.lab:7400", "expires_at": "2027-02-19T12:00:00Z",
               "ca_fingerprint": "sha256:9f",
               "addresses": [{"address": "10.0.0.4:7401", "reachable": true}]})
    );
    assert_eq!(
        value(
            "logout",
            &Logout {
                directory_told: false
            }
        ),
        json!({"schema": "p2pctl.logout/1", "directory_told": false})
    );
}

#[test]
fn status() {
    let mut response = v1::StatusResponse {
        version: "0.1.0".into(),
        peer_id: "ab".into(),
        peer_name: "ws1".into(),
        started_at: "2026-11-21T12:00:00Z".into(),
        listen: vec!["[::]:7401".into()],
        session: Some(session()),
        directory: Some(v1::DirectoryStatus {
            urls: vec!["https://dir.lab:7400".into()],
            reachable: true,
            last_ping_at: "2026-11-21T12:00:01Z".into(),
        }),
        store: Some(v1::StoreStatus {
            files: 1,
            bytes: 2,
            partial_files: 3,
            free_bytes: 4,
            max_bytes: Some(5),
            path: "/var".into(),
        }),
        active_transfers: 6,
        queued_transfers: 7,
        health: vec![v1::HealthLine {
            level: "warning".into(),
            code: "clock_skew".into(),
            message: "m".into(),
            fix: "f".into(),
        }],
        ..v1::StatusResponse::default()
    };
    assert_eq!(
        value("status", &Status::from(response.clone())),
        json!({"schema": "p2pctl.status/1",
               "daemon": {"version": "0.1.0", "peer_id": "ab", "peer_name": "ws1",
                          "started_at": "2026-11-21T12:00:00Z", "listen": ["[::]:7401"]},
               "session": {"logged_in": true, "user": "ana", "directory": "https://dir.lab:7400",
                           "ca_fingerprint": "sha256:9f", "certificate_expires_at": "2026-11-28T12:00:00Z",
                           "session_expires_at": "2027-02-19T12:00:00Z"},
               "directory": {"reachable": true, "last_ping_at": "2026-11-21T12:00:01Z",
                             "urls": ["https://dir.lab:7400"]},
               "store": {"files": 1, "bytes": 2, "partial_files": 3, "free_bytes": 4, "max_bytes": 5},
               "transfers": {"active": 6, "queued": 7},
               "health": [{"level": "warning", "code": "clock_skew", "message": "m", "fix": "f"}]})
    );
    response.session = None;
    response.directory = None;
    response.store = Some(v1::StoreStatus::default());
    response.health[0].fix.clear();
    let value = value("status", &Status::from(response));
    assert_eq!(value["session"], json!({"logged_in": false}));
    assert_eq!(
        value["directory"],
        json!({"reachable": false, "last_ping_at": null, "urls": []})
    );
    assert_eq!(value["store"]["max_bytes"], Value::Null);
    assert_eq!(value["health"][0]["fix"], Value::Null);
}
