//! `POST /publications` and `DELETE /publications/{id}`.

use p2p_proto::{
    Visibility,
    grant::{Action, Expected, Verifier},
    index::HoldState,
    rest::{problem::ProblemKind, publications::PublishRequest},
};
use reqwest::StatusCode;

use crate::support::{Directory, good, problem, problem_kind, publish_request};

#[tokio::test]
async fn a_repeat_is_harmless_and_an_id_is_for_one_thing() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let request = publish_request("scan.tar", "one");
    let first = ana.publish(&request).await;
    assert_eq!((first.id, first.version), (request.id, 1));
    assert_eq!(ana.publish(&request).await, first);
    let other = PublishRequest {
        id: request.id,
        ..publish_request("scan.tar", "two")
    };
    assert_eq!(
        problem_kind(ana.post("/publications", &other).await).await,
        ProblemKind::Conflict
    );
    assert_eq!(
        problem_kind(bob.post("/publications", &request).await).await,
        ProblemKind::Conflict
    );
}

#[tokio::test]
async fn other_bytes_are_the_next_version_and_known_ones_are_theirs() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let one = ana.put("scan.tar", "one").await;
    let two = ana.put("scan.tar", "two").await;
    assert_eq!((one.version, two.version), (1, 2));
    assert_eq!(ana.put("scan.tar", "one").await, one);
    assert_eq!(ana.put("other.tar", "one").await.version, 1);
    assert_eq!(bob.put("scan.tar", "one").await.version, 1);
}

#[tokio::test]
async fn the_same_bytes_with_another_visibility_change_it() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let request = publish_request("scan.tar", "one");
    let public = ana.publish(&request).await;
    let private = ana.put_private("scan.tar", "one").await;
    assert_eq!((private.id, private.visibility), (public.id, Visibility::Private));
    assert_eq!(
        bob.not_located("scan.tar").await.kind(),
        Some(ProblemKind::NotFound)
    );
    // A repeat that was long under way does not open it again.
    assert_eq!(ana.publish(&request).await.visibility, Visibility::Private);
}

#[tokio::test]
async fn a_hash_has_one_size() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    ana.put("scan.tar", "one").await;
    let other = PublishRequest {
        size: 4,
        ..publish_request("scan.tar", "one")
    };
    assert_eq!(
        problem_kind(ana.post("/publications", &other).await).await,
        ProblemKind::Conflict
    );
}

#[tokio::test]
async fn bad_names_and_fields_are_refused() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    for name in ["../x", ".", "", "a/b", "a\nb", "\u{202E}gpj.exe"] {
        let mut request = serde_json::to_value(publish_request("x", "x")).unwrap();
        request["name"] = name.into();
        assert_eq!(
            problem_kind(ana.post("/publications", &request).await).await,
            ProblemKind::Invalid,
            "{name:?}"
        );
    }
    let mut request = serde_json::to_value(publish_request("x", "x")).unwrap();
    request["colour"] = "red".into();
    assert_eq!(
        problem_kind(ana.post("/publications", &request).await).await,
        ProblemKind::Invalid
    );
}

#[tokio::test]
async fn only_the_owner_withdraws_and_then_it_never_was() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (mut ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let request = publish_request("scan.tar", "one");
    let file = ana.publish(&request).await;
    ana.hold(&[file.id], HoldState::Complete).await;
    assert_eq!(
        problem_kind(bob.withdraw(file.id).await).await,
        ProblemKind::NotFound
    );
    assert_eq!(ana.withdraw(file.id).await.status(), StatusCode::NO_CONTENT);
    for reference in [
        "scan.tar",
        "ana/scan.tar@1",
        &format!("id:{}", file.id),
        &file.hash.to_string(),
    ] {
        assert_eq!(
            ana.not_located(reference).await.kind(),
            Some(ProblemKind::NotFound),
            "{reference}"
        );
    }
    assert_eq!(
        problem_kind(ana.withdraw(file.id).await).await,
        ProblemKind::NotFound
    );
    assert_eq!(
        problem_kind(ana.post("/publications", &request).await).await,
        ProblemKind::Conflict
    );
    // The holder sees from the digest that they disagree.
    assert_ne!(
        ana.ping().await.index.unwrap().digest,
        ana.ping_request().index.digest
    );
    assert_eq!(ana.put("scan.tar", "one").await.version, 2);
}

#[tokio::test]
async fn what_is_private_never_was_for_others() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (mut ana, mut bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let secret = ana.put_private("secret.txt", "s").await;
    ana.hold(&[secret.id], HoldState::Complete).await;
    let hash = secret.hash.to_string();
    for reference in [
        "secret.txt",
        "ana/secret.txt",
        "ana/secret.txt@1",
        &hash,
        &hash[..8],
        &format!("id:{}", secret.id),
    ] {
        for path in ["/download", "/files"] {
            let found = problem(bob.get(path, &[("ref", reference)]).await).await;
            assert_eq!(found.kind(), Some(ProblemKind::NotFound));
            assert_eq!(
                found.detail.unwrap(),
                format!("no file \"{reference}\" is visible to bob")
            );
        }
    }
    let by_hash = problem(bob.get(&format!("/files/{hash}"), &[]).await).await;
    assert_eq!(
        by_hash.detail.unwrap(),
        format!("no file \"{hash}\" is visible to bob")
    );
    assert_eq!(
        bob.hold(&[secret.id], HoldState::Complete).await.unknown,
        [secret.id]
    );
    let found: serde_json::Value = good(bob.get("/search", &[("q", "secret")]).await).await;
    assert_eq!(found["total"], 0);
    // The owner sees it on any peer.
    let elsewhere = directory.peer("ana", "ws3").await;
    assert_eq!(elsewhere.locate("secret.txt").await.holders.len(), 1);
}

#[tokio::test]
async fn a_located_file_comes_with_a_grant_for_the_caller() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let file = ana.put("scan.tar", "one").await;
    let found = ana.locate("scan.tar").await;
    assert_eq!(found.publication, file);
    let verifier = Verifier::new(&ana.login.credentials.grant_keys);
    let now = ana.ping().await.now.as_second();
    let expected = Expected {
        cluster: ana.login.cluster,
        peer: ana.login.peer_id,
        action: Action::Read,
        now,
        directory_away: false,
    };
    let grant = verifier.verify(&found.grant, &expected).unwrap();
    assert_eq!(
        (grant.publication, grant.hash, grant.exp - grant.iat),
        (file.id, file.hash, 900)
    );
    assert_eq!(
        grant.offline_exp,
        ana.login.credentials.certificate_expires_at.as_second()
    );
}
