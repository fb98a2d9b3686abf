//! The JSON that scripts rely on, field by field.

use std::path::Path;

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

fn copy(peer: &str, state: &str, reason: &str) -> v1::Copy {
    v1::Copy {
        peer: peer.into(),
        state: state.into(),
        reason: reason.into(),
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

#[test]
fn uploads() {
    let copies = vec![v1::Copy {
        peer: "ws1".into(),
        state: "durable".into(),
        reason: String::new(),
    }];
    let mut upload = Upload {
        files: vec![Uploaded::new(publication(), copies)],
        ..Upload::default()
    };
    let files = json!([{"name": "scan.tar", "hash": "5c0a", "size": 7, "version": 1, "visibility": "public",
                        "copies": [{"peer": "ws1", "state": "durable"}]}]);
    assert_eq!(
        value("upload", &upload),
        json!({"schema": "p2pctl.upload/1", "files": files})
    );
    let failure = Failure::new(FailureKind::DiskFull, "full");
    upload.errors.push(InputError::new(Path::new("b"), failure));
    assert_eq!(
        value("upload", &upload),
        json!({"schema": "p2pctl.upload/1", "files": files,
               "errors": [{"input": "b", "code": 9, "kind": "disk_full", "message": "full"}]})
    );
}

#[test]
fn uploads_with_copies() {
    let copies = vec![
        copy("ws1", "durable", ""),
        copy("gpu1", "failed", "has 1.2 GiB free"),
    ];
    let upload = Upload {
        files: vec![Uploaded::new(publication(), copies)],
        errors: vec![InputError::new(
            Path::new("scan.tar"),
            Failure::new(FailureKind::Partial, "1 of 2"),
        )],
        transfer_ids: None,
    };
    let value_of = value("upload", &upload);
    assert_eq!(
        value_of["files"][0]["copies"],
        json!([{"peer": "ws1", "state": "durable"},
               {"peer": "gpu1", "state": "failed", "reason": "has 1.2 GiB free"}])
    );
    assert_eq!(
        value_of["errors"],
        json!([{"input": "scan.tar", "code": 12, "kind": "partial", "message": "1 of 2"}])
    );
    assert!(value_of.get("transfer_ids").is_none());
    let not_waited = Upload {
        transfer_ids: Some(vec!["43".into()]),
        ..Upload::default()
    };
    assert_eq!(
        value("upload", &not_waited),
        json!({"schema": "p2pctl.upload/1", "files": [], "transfer_ids": ["43"]})
    );
}

#[test]
fn replications() {
    let done = v1::ReplicateDone {
        publication: Some(publication()),
        copies: vec![copy("ws1", "durable", ""), copy("gpu1", "failed", "broke off")],
        wanted: 2,
    };
    assert_eq!(
        value("replicate", &Replicate::from(done)),
        json!({"schema": "p2pctl.replicate/1", "name": "scan.tar", "owner": "ana", "hash": "5c0a", "size": 7,
               "version": 1, "wanted": 2,
               "copies": [{"peer": "ws1", "state": "durable"},
                          {"peer": "gpu1", "state": "failed", "reason": "broke off"}]})
    );
}

fn transfer() -> v1::Transfer {
    v1::Transfer {
        id: "42".into(),
        direction: "download".into(),
        owner: "ana".into(),
        name: "scan.tar".into(),
        hash: "5c0a".into(),
        size: Some(7),
        done_bytes: 4,
        rate: 2,
        eta_s: Some(1),
        state: "transferring".into(),
        reason: String::new(),
        entered_at: "2026-11-21T12:00:01Z".into(),
        started_at: "2026-11-21T12:00:00Z".into(),
        peers: vec![
            v1::TransferPeer {
                peer: "ws1".into(),
                bytes: 4,
                silent_since: String::new(),
            },
            v1::TransferPeer {
                peer: "gpu1".into(),
                bytes: 0,
                silent_since: "2026-11-21T12:00:02Z".into(),
            },
        ],
        failure: None,
    }
}

#[test]
fn transfers() {
    let mut expected = json!({
        "id": "42", "direction": "download", "owner": "ana", "name": "scan.tar", "hash": "5c0a", "size": 7,
        "done_bytes": 4, "rate": 2, "eta_s": 1, "state": "transferring", "reason": null,
        "entered_at": "2026-11-21T12:00:01Z", "started_at": "2026-11-21T12:00:00Z",
        "peers": [{"peer": "ws1", "bytes": 4, "silent_since": null},
                  {"peer": "gpu1", "bytes": 0, "silent_since": "2026-11-21T12:00:02Z"}],
        "error": null});
    let list = v1::TransfersResponse {
        transfers: vec![transfer()],
    };
    assert_eq!(
        value("transfers", &Transfers::from(list)),
        json!({"schema": "p2pctl.transfers/1", "transfers": [expected]})
    );
    for command in ["wait", "pause", "resume", "cancel"] {
        expected["schema"] = json!(format!("p2pctl.{command}/1"));
        assert_eq!(value(command, &Transfer::from(transfer())), expected);
    }
}

#[test]
fn what_is_not_known_of_a_transfer() {
    let failed = v1::Transfer {
        hash: String::new(),
        size: None,
        eta_s: None,
        state: "failed".into(),
        reason: "the disk is full".into(),
        peers: vec![],
        failure: Some(v1::Failure {
            kind: "disk_full".into(),
            message: "the disk is full".into(),
            ..v1::Failure::default()
        }),
        ..transfer()
    };
    let value = value("wait", &Transfer::from(failed));
    for unknown in ["hash", "size", "eta_s"] {
        assert_eq!(value[unknown], Value::Null, "{unknown}");
    }
    assert_eq!(value["reason"], json!("the disk is full"));
    assert_eq!(
        value["error"],
        json!({"code": 9, "kind": "disk_full", "message": "the disk is full", "hint": null})
    );
}

#[test]
fn verifications() {
    let done = v1::VerifyDone {
        files: 2,
        bytes: 14,
        healed: 0,
        damaged: 1,
    };
    let file = |state: &str, reason: &str| v1::VerifiedFile {
        publication: Some(publication()),
        state: state.into(),
        reason: reason.into(),
    };
    let results = vec![file("good", ""), file("damaged", "3 groups differ")];
    assert_eq!(
        value("verify", &Verify::new(done, results)),
        json!({"schema": "p2pctl.verify/1", "files": 2, "bytes": 14, "healed": 0, "damaged": 1,
               "results": [{"name": "scan.tar", "owner": "ana", "hash": "5c0a", "version": 1, "state": "good",
                            "reason": null},
                           {"name": "scan.tar", "owner": "ana", "hash": "5c0a", "version": 1, "state": "damaged",
                            "reason": "3 groups differ"}]})
    );
}

#[test]
fn downloads() {
    let done = v1::DownloadDone {
        seconds: 1.5,
        resumed_bytes: 3,
        sources: vec![v1::SourceBytes {
            peer: "ws1".into(),
            bytes: 4,
        }],
    };
    assert_eq!(
        value(
            "download",
            &Download::done(publication(), Some(Path::new("/data/scan.tar")), done.clone())
        ),
        json!({"schema": "p2pctl.download/1", "name": "scan.tar", "owner": "ana", "hash": "5c0a", "size": 7,
               "version": 1, "path": "/data/scan.tar", "skipped": false, "seconds": 1.5, "resumed_bytes": 3,
               "sources": [{"peer": "ws1", "bytes": 4}]})
    );
    assert_eq!(
        value("fetch", &Download::done(publication(), None, done))["path"],
        Value::Null
    );
    let skipped = value("download", &Download::skipped(publication(), Path::new("x")));
    assert_eq!(skipped["skipped"], json!(true));
    assert_eq!(skipped["sources"], json!([]));
}

#[test]
fn tables() {
    let list = v1::ListResponse {
        files: vec![v1::HeldFile {
            publication: Some(publication()),
            pinned: true,
            state: "complete".into(),
            stored_bytes: 7,
        }],
    };
    assert_eq!(
        value("list", &List::from(list)),
        json!({"schema": "p2pctl.list/1",
               "files": [{"name": "scan.tar", "owner": "ana", "hash": "5c0a", "size": 7, "version": 1,
                          "visibility": "public", "pinned": true, "state": "complete", "stored_bytes": 7}]})
    );
    let search = v1::SearchResponse {
        files: vec![v1::FoundFile {
            publication: Some(publication()),
            holders_online: 1,
            holders_total: 2,
        }],
        total: 9,
    };
    assert_eq!(
        value("search", &Search::from(search)),
        json!({"schema": "p2pctl.search/1",
               "files": [{"name": "scan.tar", "owner": "ana", "hash": "5c0a", "size": 7, "version": 1,
                          "holders_online": 1, "holders_total": 2, "published_at": "2026-11-21T12:00:00Z"}],
               "total": 9})
    );
    let peers = v1::PeersResponse {
        peers: vec![v1::PeerInfo {
            peer_id: "ab".into(),
            name: "ws1".into(),
            user: "ana".into(),
            addresses: vec!["10.0.0.4:7401".into()],
            online: false,
            last_seen_at: String::new(),
            files: 3,
            free_bytes: None,
        }],
    };
    assert_eq!(
        value("peers", &Peers::from(peers)),
        json!({"schema": "p2pctl.peers/1",
               "peers": [{"peer_id": "ab", "name": "ws1", "user": "ana", "addresses": ["10.0.0.4:7401"],
                          "online": false, "last_seen_at": null, "files": 3, "free_bytes": null}]})
    );
}

#[test]
fn one_file() {
    let info = v1::InfoResponse {
        publication: Some(publication()),
        versions: vec![publication()],
        holders: vec![v1::HolderInfo {
            peer_id: "ab".into(),
            peer: "ws1".into(),
            online: true,
            complete: true,
            last_seen_at: "2026-11-21T12:00:00Z".into(),
        }],
    };
    assert_eq!(
        value("info", &Info::from(info)),
        json!({"schema": "p2pctl.info/1", "name": "scan.tar", "owner": "ana", "hash": "5c0a", "size": 7,
               "version": 1, "visibility": "public",
               "versions": [{"version": 1, "hash": "5c0a", "size": 7, "visibility": "public",
                             "published_at": "2026-11-21T12:00:00Z"}],
               "holders": [{"peer": "ws1", "online": true, "complete": true,
                            "last_seen_at": "2026-11-21T12:00:00Z"}]})
    );
    let removed = v1::RemoveResponse {
        dropped: vec![publication()],
        unpublished: vec![],
        freed_bytes: 7,
    };
    assert_eq!(
        value("rm", &Rm::from(removed)),
        json!({"schema": "p2pctl.rm/1",
               "dropped": [{"name": "scan.tar", "owner": "ana", "hash": "5c0a", "size": 7, "version": 1}],
               "unpublished": [], "freed_bytes": 7})
    );
}
