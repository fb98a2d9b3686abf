//! What moves: uploads, copies, transfers; and what was verified.

use std::path::Path;

use super::*;

fn copy(peer: &str, state: &str, reason: &str) -> v1::Copy {
    v1::Copy {
        peer: peer.into(),
        state: state.into(),
        reason: reason.into(),
    }
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

pub(super) fn transfer() -> v1::Transfer {
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
        priority: "normal".into(),
        limit: None,
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
        "priority": "normal", "limit_bytes_per_second": null, "error": null});
    let list = v1::TransfersResponse {
        transfers: vec![transfer()],
    };
    assert_eq!(
        value("transfers", &Transfers::from(list)),
        json!({"schema": "p2pctl.transfers/1", "transfers": [expected]})
    );
    for command in ["wait", "pause", "resume", "cancel", "priority"] {
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
