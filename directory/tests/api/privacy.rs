//! Two accounts: what one has as private, or for a group without the other, is not there for the other. Whatever bob may ask is asked before ana has anything
//! and after, and every answer must be the same to the letter: status, headers that count, body.

use data_encoding::BASE64URL_NOPAD;
use p2p_directory::admin::types::{AddToGroup, GROUPS};
use p2p_proto::{
    ContentHash, Visibility,
    index::{HoldState, IndexDigest},
    rest::{
        placement::PlaceRequest,
        publications::{FileInfo, PublishRequest},
        reports::{Fault, ReportRequest},
        session::AcceptCopies,
    },
};
use reqwest::{Method, Response};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Directory, Peer, good};

/// What ana will publish for others than bob: ids, names and hashes are made beforehand, so that bob can ask for them before.
fn secrets(visibility: &str) -> Vec<PublishRequest> {
    let secret = |name: &str, hash: ContentHash| PublishRequest {
        id: Uuid::now_v7(),
        name: name.parse().unwrap(),
        hash,
        size: 7,
        visibility: visibility.parse().unwrap(),
    };
    vec![
        secret("secret.txt", ContentHash::of(b"secret")),
        secret("secret.txt", ContentHash::of(b"secret, later")),
        secret("\u{c4}nderung STRASSE.pdf", ContentHash::of(b"folded")),
        // The name of something public of hers, and that of something of bob's.
        secret("open.txt", ContentHash::of(b"open, later")),
        secret("bobs.txt", ContentHash::of(b"of ana")),
        // The content of bob's own files, public and private.
        secret("same.bin", ContentHash::of(b"same")),
        secret("same-too.bin", ContentHash::of(b"same, hidden")),
        // What begins as a file of bob does.
        secret("near.bin", near(2)),
        // A name that looks like a hash, and one that looks like a version.
        secret(&ContentHash::of(b"bobs").to_string(), ContentHash::of(b"posing")),
        secret("open.txt@1", ContentHash::of(b"posing too")),
    ]
}

/// Hashes that differ in their last byte.
fn near(last: u8) -> ContentHash {
    let mut bytes = [0xab; 32];
    bytes[31] = last;
    bytes.into()
}

/// Every way to write each of them.
fn references(secrets: &[PublishRequest]) -> Vec<String> {
    let mut all = vec![
        "open.txt@2".to_owned(),
        "bobs.txt".to_owned(),
        "abababab".to_owned(),
    ];
    for secret in secrets {
        let (name, hash) = (secret.name.as_str(), secret.hash.to_string());
        all.extend([
            name.to_owned(),
            format!("name:{name}"),
            format!("ana/{name}"),
            format!("{name}@1"),
            format!("{name}@2"),
            format!("ana/{name}@1"),
            format!("ana/{name}@2"),
            format!("bob/{name}"),
            format!("id:{}", secret.id),
            format!("hash:{hash}"),
            hash.to_uppercase(),
        ]);
        all.extend([8, 9, 20, 63].map(|length| hash[..length].to_owned()));
        all.extend([8, 63].map(|length| format!("hash:{}", &hash[..length])));
        all.push(hash);
    }
    all
}

/// What is to be searched for.
fn searches(secrets: &[PublishRequest]) -> Vec<Vec<(&'static str, String)>> {
    let cursor =
        |name: &str, owner: &str| BASE64URL_NOPAD.encode(json!([name, owner]).to_string().as_bytes());
    let mut all = vec![
        vec![],
        vec![("limit", "1".to_owned())],
        vec![("owner", "ana".to_owned())],
        vec![("owner", "ana".to_owned()), ("limit", "1".to_owned())],
        vec![("q", "s".to_owned())],
        vec![("q", "a\u{308}nd".to_owned())],
        vec![("q", "\u{e4}NDERUNG strasse".to_owned())],
        vec![("q", "stra\u{df}e".to_owned())],
    ];
    for secret in secrets {
        let name = secret.name.as_str();
        let part: String = name.chars().take(3).collect();
        all.extend([
            vec![("q", name.to_owned())],
            vec![("q", name.to_uppercase())],
            vec![("q", part.clone())],
            vec![("q", part), ("owner", "ana".to_owned())],
            vec![("cursor", cursor(name, "ana"))],
            vec![("cursor", cursor(name, "a")), ("limit", "1".to_owned())],
        ]);
    }
    all
}

async fn written(what: String, response: Response) -> String {
    let status = response.status();
    let kind = response.headers().get("content-type").cloned();
    let length = response.headers().get("content-length").cloned();
    let body = response.text().await.unwrap();
    format!("{what}: {status} {kind:?} {length:?} {body}")
}

/// Every answer that bob gets.
async fn view(bob: &Peer<'_>, anas: &Peer<'_>, secrets: &[PublishRequest]) -> Vec<String> {
    let mut all = Vec::new();
    for reference in references(secrets) {
        for path in ["/download", "/files"] {
            let response = bob.get(path, &[("ref", &reference)]).await;
            all.push(written(format!("{path} {reference}"), response).await);
        }
    }
    for query in searches(secrets) {
        let pairs: Vec<(&str, &str)> = query.iter().map(|(key, value)| (*key, value.as_str())).collect();
        all.push(written(format!("/search {pairs:?}"), bob.get("/search", &pairs).await).await);
    }
    let ids: Vec<Uuid> = secrets.iter().map(|secret| secret.id).collect();
    let copies = bob.post("/copies", &json!({ "publications": ids })).await;
    all.push(written("/copies".to_owned(), copies).await);
    all.push(written("/peers".to_owned(), bob.get("/peers", &[]).await).await);
    for secret in secrets {
        let response = bob.get(&format!("/files/{}", secret.hash), &[]).await;
        all.push(written(format!("/files/{}", secret.hash), response).await);
        for (copies, to) in [
            (2, vec![]),
            (0, vec!["*".to_owned()]),
            (1, vec!["anas".to_owned()]),
        ] {
            let request = PlaceRequest {
                publication: secret.id,
                copies,
                to,
                exclude: Vec::new(),
            };
            let response = bob.post("/upload", &request).await;
            all.push(written(format!("/upload {}", secret.id), response).await);
        }
        let report = ReportRequest {
            publication: secret.id,
            holder: anas.login.peer_id,
            fault: Fault::Bytes,
        };
        all.push(
            written(
                format!("/reports {}", secret.id),
                bob.post("/reports", &report).await,
            )
            .await,
        );
        let response = bob.withdraw(secret.id).await;
        all.push(written(format!("DELETE {}", secret.id), response).await);
        for state in ["complete", "partial"] {
            let all_anew = json!({
                "index_id": Uuid::nil(), "after_seq": 0, "seq": 1, "digest": IndexDigest::default(),
                "changes": [{ "held": { "publication": secret.id, "state": state } }],
            });
            // Each time under another id, else the second would be a repeat.
            let mut all_anew = all_anew;
            all_anew["index_id"] = Uuid::from_u128(secret.id.as_u128() ^ state.len() as u128)
                .to_string()
                .into();
            let response = bob.post("/index", &all_anew).await;
            all.push(written(format!("/index {}", secret.id), response).await);
        }
    }
    all.push(written("/me".to_owned(), bob.get("/me", &[]).await).await);
    let from = Uuid::nil().to_string();
    for query in [
        &[][..],
        &[("after", &*from)],
        &[("after", &*from), ("limit", "500")],
    ] {
        all.push(written(format!("/events {query:?}"), bob.get("/events", query).await).await);
    }
    all
}

/// Both accounts with what bob may know: open.txt of ana, which her peer holds, and files of bob's own.
async fn public_side<'a>(directory: &'a Directory) -> (Peer<'a>, Peer<'a>) {
    let mut ana = directory.peer("ana", "anas").await;
    let bob = directory.peer("bob", "bobs").await;
    ana.ping_as(|ping| ping.accept_copies = AcceptCopies::Cluster)
        .await;
    let open = ana.put("open.txt", "open").await;
    ana.hold(&[open.id], HoldState::Complete).await;
    bob.put("bobs.txt", "bobs").await;
    bob.put("mine.bin", "same").await;
    bob.put_private("mine-too.bin", "same, hidden").await;
    let near = PublishRequest {
        id: Uuid::now_v7(),
        name: "bobs-near.bin".parse().unwrap(),
        hash: near(1),
        size: 7,
        visibility: Visibility::Public,
    };
    bob.publish(&near).await;
    (ana, bob)
}

fn assert_same(before: &[String], after: &[String]) {
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before, after);
    }
}

#[tokio::test]
async fn nothing_that_bob_can_ask_tells_of_what_is_private() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    is_hidden_from_bob(&directory, "private").await;
}

#[tokio::test]
async fn nothing_that_bob_can_ask_tells_of_what_is_for_a_group_without_him() {
    let directory = Directory::with_users(&["ana", "bob", "cy"]).await;
    let lab = AddToGroup {
        name: "lab".parse().unwrap(),
        users: vec!["ana".parse().unwrap(), "cy".parse().unwrap()],
    };
    directory.admin.tell(GROUPS, &lab).await.unwrap();
    let cy = directory.peer("cy", "cys").await;
    for secret in is_hidden_from_bob(&directory, "group:lab").await {
        let found = cy.locate(&format!("id:{}", secret.id)).await.publication;
        assert_eq!(found.hash, secret.hash);
    }
}

/// What ana publishes with this visibility; bob is no wiser.
async fn is_hidden_from_bob(directory: &Directory, visibility: &str) -> Vec<PublishRequest> {
    let (mut ana, bob) = public_side(directory).await;
    let secrets = secrets(visibility);
    let before = view(&bob, &ana, &secrets).await;
    // The question itself leaves no trace.
    assert_same(&before, &view(&bob, &ana, &secrets).await);
    for secret in &secrets {
        ana.publish(secret).await;
    }
    let ids: Vec<Uuid> = secrets.iter().map(|secret| secret.id).collect();
    ana.hold(&ids, HoldState::Complete).await;
    assert_same(&before, &view(&bob, &ana, &secrets).await);
    // The table asks what it should: for ana nearly all of it is there, none of it for bob's own account to withdraw.
    for secret in &secrets {
        assert_eq!(
            ana.locate(&format!("id:{}", secret.id)).await.publication.id,
            secret.id
        );
    }
    let mine: serde_json::Value = good(ana.get("/search", &[]).await).await;
    assert_eq!(mine["total"], 12);
    secrets
}

#[tokio::test]
async fn what_was_private_once_shows_when_it_is_public() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (mut ana, bob) = public_side(&directory).await;
    let secrets = secrets("private");
    let before = view(&bob, &ana, &secrets).await;
    let opened = PublishRequest {
        visibility: Visibility::Public,
        ..secrets[0].clone()
    };
    let id = ana.publish(&opened).await.id;
    ana.hold(&[id], HoldState::Complete).await;
    // Else the comparison would say nothing.
    assert_ne!(before, view(&bob, &ana, &secrets).await);
}

#[tokio::test]
async fn the_same_bytes_published_by_bob_are_his_alone() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (mut ana, mut bob) = (
        directory.peer("ana", "anas").await,
        directory.peer("bob", "bobs").await,
    );
    let secret = ana.put_private("secret.txt", "same").await;
    ana.hold(&[secret.id], HoldState::Complete).await;
    // He learned the hash, and publishes it himself, in both ways.
    for bobs in [
        bob.put("guess", "same").await,
        bob.put_private("guess-2", "same").await,
    ] {
        let hash = bobs.hash.to_string();
        let first = bob.locate(&hash).await.publication;
        assert_eq!(first.owner.as_str(), "bob");
        for reference in [format!("id:{}", bobs.id), hash.clone(), hash[..8].to_owned()] {
            let found = bob.locate(&reference).await;
            assert_eq!(found.publication.owner.as_str(), "bob");
            assert_eq!((found.holders.len(), found.holders_total), (0, 0), "{reference}");
            assert_eq!(found.last_seen, None);
        }
        let info: FileInfo = good(bob.get(&format!("/files/{hash}"), &[]).await).await;
        let anas = info
            .holders
            .iter()
            .any(|holder| holder.peer_id == ana.login.peer_id);
        assert_eq!((info.versions.len(), anas), (1, false));
        bob.hold(&[bobs.id], HoldState::Complete).await;
        let info: FileInfo = good(bob.get("/files", &[("ref", &format!("id:{}", bobs.id))]).await).await;
        let holders: Vec<_> = info
            .holders
            .iter()
            .map(|holder| holder.peer_name.as_str())
            .collect();
        assert_eq!(holders, ["bobs"]);
        // And his grants open his publications only.
        let grant = bob.locate(&hash).await.grant;
        let claims = BASE64URL_NOPAD
            .decode(grant.split('.').nth(1).unwrap().as_bytes())
            .unwrap();
        assert!(
            !String::from_utf8(claims)
                .unwrap()
                .contains(&secret.id.to_string())
        );
    }
    let peers = bob.peers().await.peers;
    let files = |name: &str| {
        peers
            .iter()
            .find(|peer| peer.name.as_str() == name)
            .unwrap()
            .files
    };
    assert_eq!((files("anas"), files("bobs")), (0, 1));
    // Nor does ana's file find its way to bob's peer, or bob's say on it reach ana.
    let reader = directory.peer("ana", "reader").await;
    let names = |found: Vec<p2p_proto::rest::location::Holder>| -> Vec<String> {
        found
            .into_iter()
            .map(|holder| holder.peer_name.to_string())
            .collect()
    };
    assert_eq!(names(reader.locate("secret.txt").await.holders), ["anas"]);
    let report = ReportRequest {
        publication: bob.locate("guess").await.publication.id,
        holder: ana.login.peer_id,
        fault: Fault::Bytes,
    };
    assert!(bob.post("/reports", &report).await.status().is_success());
    assert_eq!(names(reader.locate("secret.txt").await.holders), ["anas"]);
}

#[tokio::test]
async fn nothing_is_told_without_a_session() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "anas").await;
    let secret = ana.put_private("secret.txt", "s").await;
    for (method, path) in [
        (Method::GET, "/download?ref=secret.txt".to_owned()),
        (Method::GET, "/files?ref=secret.txt".to_owned()),
        (Method::GET, format!("/files/{}", secret.hash)),
        (Method::GET, "/search".to_owned()),
        (Method::GET, "/peers".to_owned()),
        (Method::POST, "/copies".to_owned()),
        (Method::POST, "/upload".to_owned()),
        (Method::POST, "/reports".to_owned()),
        (Method::DELETE, format!("/publications/{}", secret.id)),
    ] {
        let request = directory.request(method, &format!("/api/v1{path}"));
        assert_eq!(request.send().await.unwrap().status(), 401, "{path}");
    }
}
