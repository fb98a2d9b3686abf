//! Limits, pins, events, passwords and completions.

use super::*;

pub(super) fn event() -> v1::Event {
    v1::Event {
        id: "0198".into(),
        at: "2026-11-21T12:00:00Z".into(),
        r#type: "transfer.failed".into(),
        message: "scan.tar failed".into(),
        publication: Some(publication()),
        transfer_id: "42".into(),
        peer: "ws1".into(),
        user: "ana".into(),
        reason: "the disk is full".into(),
    }
}

#[test]
fn limits() {
    let rate = |bytes_per_second| Some(v1::RateLimit { bytes_per_second });
    let mut limits = v1::LimitResponse {
        upload: rate(None),
        download: rate(Some(7)),
        transfer_id: String::new(),
    };
    assert_eq!(
        value("limit", &Limit::from(limits.clone())),
        json!({"schema": "p2pctl.limit/1", "transfer_id": null, "up_bytes_per_second": null,
               "down_bytes_per_second": 7})
    );
    limits.transfer_id = "42".into();
    assert_eq!(value("limit", &Limit::from(limits))["transfer_id"], "42");
}

#[test]
fn pins() {
    let held = v1::HeldFile {
        publication: Some(publication()),
        pinned: true,
        state: "complete".into(),
        stored_bytes: 7,
        copies_known: None,
    };
    for command in ["pin", "unpin"] {
        assert_eq!(
            value(command, &Held::from(held.clone())),
            json!({"schema": format!("p2pctl.{command}/1"), "name": "scan.tar", "owner": "ana", "hash": "5c0a",
                   "size": 7, "version": 1, "visibility": "public", "pinned": true, "state": "complete",
                   "stored_bytes": 7})
        );
    }
}

#[test]
fn events() {
    assert_eq!(
        value("watch", &Event::from(event())),
        json!({"schema": "p2pctl.watch/1", "id": "0198", "at": "2026-11-21T12:00:00Z", "type": "transfer.failed",
               "message": "scan.tar failed", "transfer_id": "42", "peer": "ws1", "user": "ana",
               "reason": "the disk is full",
               "file": {"name": "scan.tar", "owner": "ana", "hash": "5c0a", "size": 7, "version": 1,
                        "visibility": "public"}})
    );
    let bare = v1::Event {
        id: "1".into(),
        ..v1::Event::default()
    };
    let value = value("watch", &Event::from(bare));
    for absent in ["file", "at", "transfer_id", "peer", "user", "reason"] {
        assert_eq!(value[absent], Value::Null, "{absent}");
    }
}

#[test]
fn whose_password_it_is() {
    let body = Passwd { user: "ana".into() };
    assert_eq!(
        value("passwd", &body),
        json!({"schema": "p2pctl.passwd/1", "user": "ana"})
    );
}

#[test]
fn completions() {
    let body = Completions {
        shell: "bash",
        script: "complete\n".into(),
    };
    assert_eq!(
        value("completions", &body),
        json!({"schema": "p2pctl.completions/1", "shell": "bash", "script": "complete\n"})
    );
}
