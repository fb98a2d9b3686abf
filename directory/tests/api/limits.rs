//! Bodies that are too large, paths and methods that are not, requests that are no JSON.

use p2p_proto::rest::problem::ProblemKind;
use reqwest::Method;

use crate::support::{Directory, old_client, problem, problem_kind};

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
