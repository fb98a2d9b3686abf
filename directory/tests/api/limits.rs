//! Bodies that are too large, paths and methods that are not, requests that are no JSON, queries that are
//! too long.

use p2p_proto::rest::{problem::ProblemKind, session::RenewRequest};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Directory, csr, good, login_request, old_client, problem, problem_kind, publish_request,
};

#[tokio::test]
async fn a_body_has_a_mebibyte() {
    let directory = Directory::start().await;
    for (bytes, kind) in [
        (1 << 20, ProblemKind::BadRequest),
        ((1 << 20) + 1, ProblemKind::TooLarge),
    ] {
        let request = directory
            .request(Method::POST, "/api/v1/login")
            .body(vec![b' '; bytes]);
        assert_eq!(problem_kind(request.send().await.unwrap()).await, kind, "{bytes}");
    }
}

#[tokio::test]
async fn a_large_body_over_http1_is_told_so() {
    let directory = Directory::start().await;
    let client = old_client(directory.state.authority.bundle());
    let request = client
        .post(format!("https://{}/api/v1/login", directory.address))
        .body(vec![b' '; 3 << 20]);
    let response = request.send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_11);
    assert_eq!(problem_kind(response).await, ProblemKind::TooLarge);
}

#[tokio::test]
async fn an_index_has_eight() {
    let directory = Directory::with_users(&["ana"]).await;
    let peer = directory.peer("ana", "ws1").await;
    for (bytes, kind) in [
        (8 << 20, ProblemKind::BadRequest),
        ((8 << 20) + 1, ProblemKind::TooLarge),
    ] {
        let request = peer.request(Method::POST, "/index").body(vec![b' '; bytes]);
        assert_eq!(problem_kind(request.send().await.unwrap()).await, kind, "{bytes}");
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_are_problems_too() {
    let directory = Directory::start().await;
    for (method, path, kind) in [
        (Method::GET, "/", ProblemKind::NotFound),
        (Method::GET, "/api/v1/nothing", ProblemKind::NotFound),
        (Method::GET, "/admin/v1/users", ProblemKind::NotFound),
        (Method::GET, "/api/v1/login", ProblemKind::MethodNotAllowed),
        (Method::DELETE, "/api/v1/ca", ProblemKind::MethodNotAllowed),
    ] {
        let response = directory.request(method, path).send().await.unwrap();
        assert_eq!(problem_kind(response).await, kind, "{path}");
    }
}

#[tokio::test]
async fn no_answer_repeats_a_password() {
    let directory = Directory::start().await;
    let body = r#"{"user":"ana","password":"hunter2-hunter2","peer_name":"ws1","csr":1}"#;
    let response = directory
        .request(Method::POST, "/api/v1/login")
        .body(body)
        .send()
        .await
        .unwrap();
    let found = problem(response).await;
    assert_eq!(found.kind(), Some(ProblemKind::Invalid));
    assert!(!found.detail.unwrap().contains("hunter2"));
}

#[tokio::test]
async fn every_body_is_read_strictly() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let file = ana.put("a", "one").await.id;
    let holder = ana.login.peer_id;
    let renew = RenewRequest {
        csr: csr(&ana.key),
        api_level: 1,
    };
    let bodies: [(&str, Value); 8] = [
        (
            "/login",
            serde_json::to_value(login_request(&ana.key, "ana", "ws1")).unwrap(),
        ),
        ("/session/renew", serde_json::to_value(renew).unwrap()),
        ("/ping", serde_json::to_value(ana.ping_request()).unwrap()),
        (
            "/publications",
            serde_json::to_value(publish_request("b", "two")).unwrap(),
        ),
        (
            "/index",
            json!({ "index_id": file, "after_seq": 0, "seq": 0, "digest": "0".repeat(64), "changes": [] }),
        ),
        ("/copies", json!({ "publications": [file] })),
        ("/upload", json!({ "publication": file, "copies": 1 })),
        (
            "/reports",
            json!({ "publication": file, "holder": holder, "fault": "bytes" }),
        ),
    ];
    for (path, body) in &bodies {
        let mut unknown = body.clone();
        unknown["colour"] = "red".into();
        let found = problem(ana.post(path, &unknown).await).await;
        assert_eq!(found.kind(), Some(ProblemKind::Invalid), "{path}");
        assert!(found.detail.unwrap().contains("colour"), "{path}");
        let deep = "[".repeat(100_000);
        for (bytes, kind) in [
            (b"".as_slice(), ProblemKind::BadRequest),
            (b"{", ProblemKind::BadRequest),
            (b"\xff\xfe", ProblemKind::BadRequest),
            (b"{} {}", ProblemKind::Invalid),
            (b"null", ProblemKind::Invalid),
            (b"7", ProblemKind::Invalid),
            (deep.as_bytes(), ProblemKind::Invalid),
        ] {
            let request = ana.request(Method::POST, path).body(bytes.to_vec());
            let found = problem_kind(request.send().await.unwrap()).await;
            let either = [kind, ProblemKind::BadRequest];
            assert!(
                either.contains(&found),
                "{path} {:?}",
                &bytes[..bytes.len().min(9)]
            );
        }
        for (key, value) in body.as_object().unwrap() {
            let mut wrong = body.clone();
            wrong[key] = match value {
                Value::Object(_) => 7.into(),
                _ => json!({ "a": 1 }),
            };
            let found = problem_kind(ana.post(path, &wrong).await).await;
            assert_eq!(found, ProblemKind::Invalid, "{path} {key}");
        }
    }
    // And each as it should be is taken.
    for (path, body) in &bodies[1..] {
        assert!(ana.post(path, body).await.status().is_success(), "{path}");
    }
}

#[tokio::test]
async fn a_level_that_there_is_not_is_refused() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let renew = |api_level| RenewRequest {
        csr: csr(&ana.key),
        api_level,
    };
    let found = ana.post("/session/renew", &renew(0)).await;
    assert_eq!(problem_kind(found).await, ProblemKind::ApiLevel);
    let mut negative = serde_json::to_value(renew(1)).unwrap();
    negative["api_level"] = (-1).into();
    let found = ana.post("/session/renew", &negative).await;
    assert_eq!(problem_kind(found).await, ProblemKind::Invalid);
    assert!(ana.post("/session/renew", &renew(99)).await.status().is_success());
}

#[tokio::test]
async fn queries_are_bounded() {
    let directory = Directory::with_users(&["ana"]).await;
    let ana = directory.peer("ana", "ws1").await;
    let long = |length: usize| "x".repeat(length);
    for (path, key, value, kind) in [
        ("/download", "ref", long(1025), ProblemKind::BadRequest),
        ("/files", "ref", long(20_000), ProblemKind::BadRequest),
        (
            "/files",
            "ref",
            format!("id:{}", long(2000)),
            ProblemKind::BadRequest,
        ),
        ("/search", "q", long(1021), ProblemKind::Invalid),
        ("/search", "owner", long(2000), ProblemKind::Invalid),
        ("/search", "cursor", long(5000), ProblemKind::Invalid),
        ("/download", "colour", long(1), ProblemKind::BadRequest),
        ("/files", "colour", long(1), ProblemKind::BadRequest),
    ] {
        let found = problem(ana.get(path, &[(key, &value)]).await).await;
        assert_eq!(found.kind(), Some(kind), "{path} {key}");
        assert!(found.detail.unwrap().len() < 500, "{path} {key}");
    }
    let found = ana.get(&format!("/files/{}", long(5000)), &[]).await;
    assert_eq!(problem_kind(found).await, ProblemKind::BadRequest);
    let found: Value = good(ana.get("/search", &[("q", long(1020).as_str())]).await).await;
    assert_eq!(found["total"], 0);
}
