//! What a reference means: the whole table.

use p2p_proto::{
    ContentHash,
    rest::{
        problem::ProblemKind,
        publications::{FileInfo, PublishRequest},
    },
};

use crate::support::{Directory, good, problem_kind, publish_request};

#[tokio::test]
async fn own_names_come_before_others() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let (first, newest) = (ana.put("scan.tar", "one").await, ana.put("scan.tar", "two").await);
    assert_eq!(bob.locate("scan.tar").await.publication, newest);
    let bobs = bob.put("scan.tar", "three").await;
    for (reference, expected) in [
        ("scan.tar", &bobs),
        ("name:scan.tar", &bobs),
        ("bob/scan.tar", &bobs),
        ("ana/scan.tar", &newest),
        ("ana/scan.tar@1", &first),
        ("scan.tar@1", &bobs),
        // Only ana has a second version.
        ("scan.tar@2", &newest),
        (&format!("id:{}", first.id), &first),
        (&first.hash.to_string(), &first),
        (&format!("hash:{}", &first.hash.to_string()[..9]), &first),
        (&first.hash.to_string()[..8].to_uppercase(), &first),
    ] {
        assert_eq!(&bob.locate(reference).await.publication, expected, "{reference}");
    }
}

#[tokio::test]
async fn an_exact_name_comes_before_a_version_and_a_hash() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let plain = ana.put("a", "one").await;
    let looks_versioned = ana.put("a@1", "two").await;
    assert_eq!(ana.locate("a@1").await.publication, looks_versioned);
    assert_eq!(ana.locate("a@1@1").await.publication, looks_versioned);
    let looks_hashed = ana.put(&plain.hash.to_string(), "three").await;
    assert_eq!(
        ana.locate(&plain.hash.to_string()).await.publication,
        looks_hashed
    );
    assert_eq!(
        ana.locate(&format!("hash:{}", plain.hash)).await.publication,
        plain
    );
}

#[tokio::test]
async fn the_same_name_of_several_others_is_ambiguous() {
    let directory = Directory::with_users(&["ana", "bob", "eve"]).await;
    directory.peer("ana", "ws1").await.put("scan.tar", "one").await;
    directory.peer("bob", "ws2").await.put("scan.tar", "two").await;
    let eve = directory.peer("eve", "ws3").await;
    let found = eve.not_located("scan.tar").await;
    assert_eq!(found.kind(), Some(ProblemKind::Ambiguous));
    assert_eq!(found.candidates, ["ana/scan.tar", "bob/scan.tar"]);
    assert_eq!(
        eve.not_located("scan.tar@1").await.candidates,
        ["ana/scan.tar@1", "bob/scan.tar@1"]
    );
    for candidate in found.candidates {
        assert!(eve.locate(&candidate).await.publication.version == 1);
    }
}

#[tokio::test]
async fn one_content_under_many_names_is_not_ambiguous() {
    let directory = Directory::with_users(&["ana", "bob", "eve"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let oldest = ana.put("x", "same").await;
    directory.clock.advance(std::time::Duration::from_secs(1));
    let bobs = bob.put("y", "same").await;
    let hash = oldest.hash.to_string();
    assert_eq!(bob.locate(&hash).await.publication, bobs);
    let eve = directory.peer("eve", "ws3").await;
    assert_eq!(eve.locate(&hash).await.publication, oldest);
    assert_eq!(eve.locate(&hash[..12]).await.publication, oldest);
}

#[tokio::test]
async fn a_prefix_of_several_contents_is_ambiguous() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let mut hashes = Vec::new();
    for last in [1, 2] {
        let mut bytes = [0xab; 32];
        bytes[31] = last;
        let hash = ContentHash::from(bytes);
        let request = PublishRequest {
            hash,
            ..publish_request(&format!("file-{last}"), "x")
        };
        hashes.push(ana.publish(&request).await.hash.to_string());
    }
    let found = ana.not_located("abababababab").await;
    assert_eq!(found.kind(), Some(ProblemKind::Ambiguous));
    assert_eq!(found.candidates, hashes);
    assert_eq!(
        ana.locate(&hashes[1]).await.publication.hash.to_string(),
        hashes[1]
    );
}

#[tokio::test]
async fn what_can_mean_nothing_is_a_bad_request() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    for reference in ["../x", "a/b/c", "hash:zz", ""] {
        assert_eq!(
            ana.not_located(reference).await.kind(),
            Some(ProblemKind::BadRequest),
            "{reference}"
        );
    }
    assert_eq!(
        problem_kind(ana.get("/download", &[]).await).await,
        ProblemKind::BadRequest
    );
    assert_eq!(
        problem_kind(ana.get("/files/zz", &[]).await).await,
        ProblemKind::BadRequest
    );
    assert_eq!(
        ana.not_located("id:nonsense").await.kind(),
        Some(ProblemKind::NotFound)
    );
}

#[tokio::test]
async fn a_file_comes_with_its_visible_versions() {
    let directory = Directory::with_users(&["ana", "bob"]).await;
    let (ana, bob) = (
        directory.peer("ana", "ws1").await,
        directory.peer("bob", "ws2").await,
    );
    let first = ana.put("scan.tar", "one").await;
    let second = ana.put("scan.tar", "two").await;
    let hidden = ana.put_private("scan.tar", "three").await;
    let info: FileInfo = good(bob.get("/files", &[("ref", "scan.tar")]).await).await;
    assert_eq!(info.publication, second);
    assert_eq!(info.versions, [second, first.clone()]);
    let own: FileInfo = good(ana.get("/files", &[("ref", "scan.tar")]).await).await;
    assert_eq!((own.publication, own.versions.len()), (hidden, 3));
    let by_hash: FileInfo = good(bob.get(&format!("/files/{}", first.hash), &[]).await).await;
    assert_eq!(by_hash.publication, first);
}
