//! Files, one and many, and what is known of peers.

use std::path::Path;

use super::*;

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
            copies_known: Some(2),
        }],
    };
    assert_eq!(
        value("list", &List::from(list)),
        json!({"schema": "p2pctl.list/1",
               "files": [{"name": "scan.tar", "owner": "ana", "hash": "5c0a", "size": 7, "version": 1,
                          "visibility": "public", "pinned": true, "state": "complete", "stored_bytes": 7,
                          "copies_known": 2}]})
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
